# frozen_string_literal: true

# States for the stand-in: one that was recorded, with real numbers in the place of recorded
# ones, and one that another master has handed over, looked at from all sides.

require 'json'
require 'psych'
require 'set'
require 'socket'

CLASSES = [Set, Symbol, Time].freeze
SERVER = 'Einhorn::Event::CommandServer'
CONNECTION = 'Einhorn::Event::Connection'
TIMER = 'Einhorn::Event::ACKTimer'
KEYS = {
  state: %i[children config versions version sockets orig_cmd bind bind_fds bound_ports cmd
            script_name respawn upgrading smooth_upgrade reloading_for_upgrade path cmd_name
            verbosity generation last_spinup ack_mode kill_children_on_exit command_socket_as_fd
            socket_path pidfile lockfile consecutive_deaths_before_ack last_upgraded nice
            reexec_commandline drop_environment_variables signal_timeout preloaded],
  SERVER => %i[class server],
  CONNECTION => %i[class socket read_buffer write_buffer subscriptions],
  TIMER => %i[class time start pid]
}.freeze

def tell(event, facts = {})
  $stderr.write("stand-in: #{event} #{JSON.generate(facts)}\n")
end

def complain(text)
  $stderr.write("stand-in complains: #{text}\n")
end

def read_yaml(text)
  Psych.safe_load(text, permitted_classes: CLASSES, aliases: true)
end

# A state as it was recorded, and its text with other numbers in it.
class Recording
  attr_reader :state, :events

  def initialize(path)
    @text = File.read(path)
    # What the newest Ruby writes, older ones cannot read.
    document = read_yaml(@text.gsub('!ruby/set', '!ruby/object:Set'))
    @state = document.fetch(:state)
    @events = document.fetch(:persistent_descriptors)
  end

  def connections
    @events.select { |event| event[:class] == CONNECTION }
  end

  def server
    @events.filter_map { |event| event[:server] }.first
  end

  def workers
    @state[:children].select { |_, child| child[:type] == :worker }
  end

  def passers
    @state[:children].keys - workers.keys
  end

  # `numbers` and `pids` are from recorded ones to real ones; what is in neither stays.
  def text(numbers, pids, ports, words)
    text = shifted(@text)
    text = list(text, :bind_fds, @state[:bind_fds].map { |number| numbers.fetch(number, number) })
    text = list(text, :bound_ports, ports)
    words.each do |key, value|
      text = value.is_a?(Array) ? list(text, key, value) : scalar(text, key, value)
    end
    text = text.gsub(/^(\s+:(?:server|socket): )(\d+)$/) do
      "#{$1}#{numbers.fetch($2.to_i, $2)}"
    end
    text.gsub(/^(\s+(?::pid: )?)(\d+)(:?)$/) { "#{$1}#{pids.fetch($2.to_i, $2)}#{$3}" }
  end

  private

  def list(text, key, items)
    lines = Psych.dump(items).sub(/\A---\s?\n?/, '').gsub(/^(?=.)/, '  ')
    text.sub(/^  :#{key}:(?: \[\])?\n(?:  - .*\n(?:    .*\n)*)*/) { "  :#{key}:\n#{lines}" }
  end

  def scalar(text, key, value)
    text.sub(/^(  :#{key}:).*$/) { "#{$1} #{value.inspect}" }
  end

  # The newest time becomes this very second, and the others move along.
  def shifted(text)
    pattern = /(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)/
    newest = text.scan(pattern).map { |parts| Time.utc(*parts) }.max
    return text if newest.nil?

    by = Time.now.to_i - newest.to_i
    text.gsub(pattern) do
      (Time.utc($1, $2, $3, $4, $5, $6) + by).strftime('%Y-%m-%d %H:%M:%S')
    end
  end
end

# The other end of a reload: a state, looked at from all sides.
class Inheritance
  attr_reader :state, :events

  def initialize(number, rest)
    document = read_yaml(IO.open(number, &:read))
    @state = document.fetch(:state)
    @events = document.fetch(:persistent_descriptors)
    look_at_keys(document)
    look_at_descriptors(number)
    look_at_process(number, rest)
    @state = @state.slice(*KEYS[:state])
    @state[:children] = living
  end

  def of_class(name)
    @events.select { |event| event[:class] == name }
  end

  private

  def look_at_keys(document)
    strange = document.keys - %i[state persistent_descriptors]
    complain "the document has #{strange}" unless strange.empty?
    unknown = @state.keys - KEYS[:state] - [:einhorn]
    complain "the state has #{unknown}" unless unknown.empty?
    missing = KEYS[:state] - @state.keys - [:reexec_commandline]
    complain "the state lacks #{missing}" unless missing.empty?
    @events.each do |event|
      keys = KEYS.fetch(event[:class]) { complain "no class #{event[:class]}" }
      complain "#{event[:class]} has #{event.keys}" unless keys && (event.keys - keys).empty?
    end
    complain ':renice_cmd is no string' unless @state[:nice][:renice_cmd].is_a?(String)
  end

  def look_at_descriptors(number)
    clients = of_class(CONNECTION).map { |event| event[:socket] }
    server = of_class(SERVER).map { |event| event[:server] }
    complain "command sockets: #{server}" unless server.size == 1
    named = @state[:bind_fds] + server + clients
    complain "named twice: #{named}" unless named.uniq == named
    strays = CROSSED - named - [0, 1, 2, number]
    complain "descriptors that nobody names: #{strays}" unless strays.empty?
    @state[:bind_fds].each_with_index do |fd, n|
      host, = @state[:bind][n]
      look_at_listener(fd, @state[:bound_ports][n], host.delete_prefix('unix:'))
    end
    server.each { |fd| look_at_listener(fd, nil, @state[:socket_path]) }
    clients.each do |fd|
      look(fd) { |socket| socket.getpeername && socket.local_address.unix? }
    end
  end

  def look_at_listener(number, port, path)
    look(number) do |socket|
      listens = socket.getsockopt(:SOCKET, :ACCEPTCONN).bool
      address = socket.local_address
      here = port ? address.ip_port == port : address.unix_path == path
      listens && here
    end
  end

  def look(number)
    socket = Socket.for_fd(number)
    socket.autoclose = false
    complain "descriptor #{number} is something else" unless yield(socket)
  rescue SystemCallError => e
    complain "descriptor #{number}: #{e.message}"
  end

  def look_at_process(number, rest)
    wanted = ['--with-state-fd', number.to_s, '--', *@state[:cmd]]
    complain "called with #{rest}, not #{wanted}" unless rest == wanted
    status = File.read('/proc/self/status')
    { 'SigBlk' => 'blocked', 'SigIgn' => 'ignored' }.each do |field, word|
      # Of the others some belong to the C library.
      signals = status[/^#{field}:\s*(\h+)/, 1].hex & 0x7fffffff
      complain "signals #{signals.to_s(16)} are #{word}" unless signals.zero?
    end
    children = File.read("/proc/self/task/#{Process.pid}/children").split.map(&:to_i)
    strangers = children - @state[:children].keys
    complain "children that nobody names: #{strangers}" unless strangers.empty?
    asked = START.keys.grep(/UPGRADE_CHECK/)
    complain "#{asked} in the environment" unless asked.empty?
  end

  # Without a timer nobody would ever count it as up.
  def acknowledges?(pid, child)
    timed = of_class(TIMER).any? { |event| event[:pid] == pid }
    @state[:ack_mode][:type] == :manual || child[:acked] || timed
  end

  def living
    @state[:children].reject do |pid, child|
      complain "child #{pid} is a #{child[:type]}" unless child[:type] == :worker
      complain "#{pid} has no index" unless child[:index].is_a?(Integer)
      complain "#{pid}'s signals are no set" unless child[:signaled].is_a?(Set)
      complain "no timer for #{pid}" unless acknowledges?(pid, child)
      Process.wait(pid, Process::WNOHANG)
    rescue Errno::ECHILD
      complain "#{pid} is no child"
      true
    end
  end
end
