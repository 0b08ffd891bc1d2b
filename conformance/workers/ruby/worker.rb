# frozen_string_literal: true

# The conformance suite's worker; ../README.md tells what its words mean.

require 'einhorn/worker'

W = Einhorn::Worker
ASKED, ASK = IO.pipe

def say(text)
  $stdout.syswrite("#{Process.pid} #{text}\n")
end

def attempt(word)
  value = yield
  say("#{word} #{value == true ? 'ok' : value}")
rescue W::WorkerError => e
  say("#{word} error #{e.message}")
end

def facts
  say("facts worker=#{W.is_worker? ? 'yes' : 'no'} index=#{W.einhorn_child_index || 'none'} " \
      "sockets=#{W.einhorn_fd_count}")
end

def where(number)
  Socket.for_fd(W.socket!(number)).dup.close
  address = Socket.for_fd(W.socket!(number)).tap { |s| s.autoclose = false }.local_address
  return 'unix' if address.unix?

  "#{address.ipv4? ? 'inet' : 'inet6'} #{address.ip_port}"
end

def answer(connection)
  if connection.gets == "slow\n"
    connection.write("begun\n")
    connection.gets
  end
  connection.write("#{Process.pid}\n")
ensure
  connection.close
end

def serve
  listener = Socket.for_fd(W.socket!)
  loop do
    ready, = IO.select([listener, ASKED])
    break if ready.include?(ASKED)

    connection, = listener.accept_nonblock(exception: false)
    answer(connection) unless connection == :wait_readable
  end
  say('serve ended')
end

ARGV.each do |word|
  name, argument = word.split(':', 2)
  case name
  when 'facts' then facts
  when 'fd' then attempt(word) { "ok #{W.socket!(argument.to_i)}" }
  when 'listener' then attempt(word) { where(argument.to_i) }
  when 'stop'
    W.graceful_shutdown { ASK.write_nonblock('.', exception: false) }
    say('stop registered')
  when 'ack' then attempt('ack') { W.ack! }
  when 'ack-fd' then attempt('ack') { W.ack!(:fd, true) }
  when 'ping' then attempt('ping') { W.ping!(argument) }
  when 'read' then say("read #{$stdin.gets.to_s.chomp}")
  when 'serve' then serve
  when 'wait'
    IO.select([ASKED])
    say('wait ended')
  when 'idle'
    say('idle')
    sleep
  else abort("no such word: #{word}")
  end
end
