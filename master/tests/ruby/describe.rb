# Reads documents (one a line, in hexadecimal) with Ruby's own YAML library, as a Ruby master or
# worker would, and says for each what it read and how Ruby would write it.

require 'date'
require 'set'
require 'yaml'

CLASSES = [Set, Symbol, Time].freeze

KEYWORDS = Psych.method(:safe_load).parameters.include?(%i[key permitted_classes])

def read(text)
  return Psych.safe_load(text, permitted_classes: CLASSES, aliases: true) if KEYWORDS

  Psych.safe_load(text, CLASSES, [], true) # before Psych 3.1
end

def hex(string)
  string.b.unpack('H*').first
end

def describe(value)
  case value
  when nil then 'nil'
  when true, false then value.to_s
  when Integer then "int #{value}"
  when Float then value.nan? ? 'float nan' : "float #{[value].pack('G').unpack('H*').first}"
  when String then "string #{hex(value)}"
  when Symbol then "symbol #{hex(value.to_s)}"
  when Time then "time #{(value.to_r * 1_000_000_000).to_i}"
  when Array then "[#{value.map { |item| describe(item) }.join(', ')}]"
  when Hash then "{#{value.map { |key, item| "#{describe(key)} => #{describe(item)}" }.join(', ')}}"
  when Set then "set {#{value.map { |item| describe(item) }.join(', ')}}"
  else "a #{value.class}"
  end
end

$stdin.each_line do |line|
  text = [line.chomp].pack('H*').force_encoding(Encoding::UTF_8)
  begin
    value = read(text)
    puts "#{describe(value)}\t#{hex(value.to_yaml)}"
  rescue StandardError => e
    puts "#{e.class}: #{e.message.inspect}\t"
  end
end
