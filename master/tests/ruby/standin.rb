#!/usr/bin/env -S ruby --disable=gems
# frozen_string_literal: true

# A stand-in for a Ruby Einhorn master, written from protocol.md alone: both sides of a reload
# as such a master does it, and of the rest as little as workers and clients need.
#
#   standin.rb --replay DUMP --folder FOLDER [--reexec-as WORDS] -- PROGRAM...
#     makes what a recorded state tells of (sockets, children; real numbers in place of the
#     recorded ones) and serves. A client says by `standin:be N` which recorded client it is;
#     `standin:go` hands the recorded text over, and any other reload a state of its own.
#   standin.rb --with-state-fd FD -- PROGRAM...
#     takes over, and complains of whatever a Ruby master could not live with.
#   standin.rb --upgrade-check -- PROGRAM...
#     can start.
#
# It tells of itself on standard error: `stand-in: EVENT {facts}`, `stand-in complains: ...`.

# Before anything is opened: what has crossed the exec.
CLOSE_ON_EXEC = 0o2000000
CROSSED = Dir.children('/proc/self/fd').map(&:to_i).select do |number|
  File.read("/proc/self/fdinfo/#{number}")[/^flags:\s*(\d+)/, 1].to_i(8) & CLOSE_ON_EXEC == 0
rescue SystemCallError
  false
end
START = ENV.to_h

require 'shellwords'
require_relative 'standin_state'

Encoding.default_external = Encoding::UTF_8
$stderr.sync = true

# Messages on the command socket.
module Line
  def self.read(line)
    message = read_yaml(line.gsub(/%(?:25|0A)/, '%25' => '%', '%0A' => "\n"))
    message if message.is_a?(Hash)
  rescue Psych::Exception, ArgumentError
    nil
  end

  def self.write(message)
    "#{Psych.dump(message).gsub(/[%\n]/, '%' => '%25', "\n" => '%0A')}\n"
  end
end

# A client of the command socket.
class Client
  attr_reader :socket, :subscriptions
  attr_accessor :read_buffer, :write_buffer, :recorded

  def initialize(socket, event = {})
    @socket = socket
    @read_buffer = +(event[:read_buffer] || '')
    @write_buffer = +(event[:write_buffer] || '')
    @subscriptions = event[:subscriptions] || {}
  end

  def event
    buffers = { read_buffer: read_buffer, write_buffer: write_buffer }
    buffers.reject! { |_, text| text.empty? }
    buffers.transform_values! { |text| text.dup.force_encoding('UTF-8') }
    { class: CONNECTION, socket: socket.fileno, **buffers, subscriptions: subscriptions }
  end

  def reply(message, id, wait: false)
    reply = { 'message' => message }
    reply['request_id'] = id unless id.nil?
    reply['wait'] = true if wait && !id.nil?
    write_buffer << Line.write(reply)
    flush
  end

  def flush
    write_buffer.slice!(0, socket.write_nonblock(write_buffer)) until write_buffer.empty?
  rescue IO::WaitWritable
    nil
  rescue SystemCallError
    write_buffer.clear
  end
end

# A master that serves.
class Master
  def initialize(state, listeners, server, clients)
    @state = state
    @listeners = listeners
    @server = server
    @clients = clients
    @timers = {}
    @signals, @signal_writer = IO.pipe
    %w[CHLD HUP INT TERM USR2].each do |name|
      trap(name) { @signal_writer.write_nonblock("#{name}\n") }
    end
  end

  attr_writer :replay, :timers

  def run
    loop do
      settle
      readers = [@signals, @server, *@clients.map(&:socket)]
      writers = @clients.reject { |client| client.write_buffer.empty? }.map(&:socket)
      readable, writable = IO.select(readers, writers, nil, patience)
      meet_timers
      take_signals if readable&.include?(@signals)
      take_client if readable&.include?(@server)
      @clients.each { |client| client.flush if writable&.include?(client.socket) }
      @clients.dup.each { |client| serve(client) if readable&.include?(client.socket) }
    end
  end

  def begin_upgrade
    @state[:version] += 1
    @state[:upgrading] = true
    @state[:reloading_for_upgrade] = false
    @state[:last_upgraded] = Time.now
  end

  def start_worker(index: free_index, version: @state[:version], **known)
    pid = Process.spawn(environment(index), [@state[:cmd][0]] * 2, *@state[:cmd].drop(1),
                        **@listeners.to_h { |io| [io, io] },
                        unsetenv_others: true, pgroup: true, close_others: false)
    now = Time.now
    @state[:last_spinup] = now
    @state[:children][pid] = { type: :worker, version: version, acked: false, signaled: Set.new,
                               last_signaled_at: nil, index: index, spinup_time: now, **known }
    mode = @state[:ack_mode] || {}
    @timers[pid] = [now, mode[:timeout]] if mode[:type] == :timer
    pid
  end

  private

  def workers
    @state[:children].select { |_, child| child[:type] == :worker }
  end

  def free_index
    taken = workers.values.map { |child| child[:index] }
    (0..).find { |index| !taken.include?(index) }
  end

  def environment(index)
    own = { 'EINHORN_MASTER_PID' => Process.pid, 'EINHORN_SOCK_PATH' => @state[:socket_path],
            'EINHORN_FD_COUNT' => @listeners.size, 'EINHORN_CHILD_INDEX' => index }
    @listeners.each_with_index { |listener, n| own["EINHORN_FD_#{n}"] = listener.fileno }
    START.merge(own.transform_values(&:to_s))
  end

  def settle
    unless @state[:respawn]
      leave if workers.empty?
      return
    end
    modern = workers.select { |_, child| child[:version] == @state[:version] }
    (@state[:config][:number] - modern.size).times { start_worker }
    up = modern.count { |_, child| child[:acked] && child[:signaled].empty? }
    end_upgrade if @state[:upgrading] && up >= @state[:config][:number]
  end

  def end_upgrade
    @state[:upgrading] = false
    workers.each do |pid, child|
      old = child[:version] < @state[:version] && child[:signaled].empty?
      ask_to_stop(pid, 'USR2') if old
    end
    @clients.each do |client|
      next unless client.subscriptions.key?(:upgrade)

      client.reply('stand-in: upgraded', client.subscriptions.delete(:upgrade))
    end
    tell 'upgraded', version: @state[:version]
  end

  def ask_to_stop(pid, signal)
    child = @state[:children][pid]
    child[:signaled] << signal
    child[:last_signaled_at] = Time.now
    Process.kill(signal, pid)
  end

  def leave
    File.unlink(@state[:socket_path])
    exit 0
  end

  def patience
    first = @timers.values.map { |start, time| start + time - Time.now }.min
    first && [first, 0].max
  end

  def meet_timers
    due = @timers.select { |_, (start, time)| start + time <= Time.now }
    due.each_key do |pid|
      @timers.delete(pid)
      @state[:children][pid][:acked] = true if @state[:children].key?(pid)
    end
  end

  def take_signals
    @signals.read_nonblock(4096).each_line(chomp: true) do |name|
      case name
      when 'CHLD' then reap
      when 'HUP' then reload(:smooth)
      else stop(name == 'INT' ? 'USR2' : name)
      end
    end
  end

  def reap
    while (pid = Process.wait(-1, Process::WNOHANG))
      @state[:children].delete(pid)
      @timers.delete(pid)
    end
  rescue Errno::ECHILD
    nil
  end

  def stop(signal)
    @state[:respawn] = false
    workers.each_key { |pid| ask_to_stop(pid, signal) }
  end

  def take_client
    @clients << Client.new(@server.accept_nonblock)
  rescue IO::WaitReadable
    nil
  end

  def serve(client)
    client.read_buffer << client.socket.read_nonblock(65_536)
    while (line = client.read_buffer.slice!(/\A[^\n]*\n/))
      serve_line(client, line.chomp)
    end
  rescue IO::WaitReadable
    nil
  rescue EOFError, SystemCallError
    drop(client)
  end

  def drop(client)
    @clients.delete(client)
    client.socket.close
  end

  def serve_line(client, line)
    request = Line.read(line.force_encoding('UTF-8'))
    return client.reply('stand-in: no request', nil) if request.nil?

    id = request['id']
    case request['command']
    when 'worker:ack' then acknowledge(client, request)
    when 'state' then client.reply(Psych.dump(@state), id)
    when 'ehlo' then client.reply("stand-in, pid #{Process.pid}", id)
    when 'reload'
      client.reply('stand-in: reloading', id)
      reload(nil)
    when 'upgrade' then upgrade(client, id, :smooth)
    when 'upgrade_fleet' then upgrade(client, id, :fleet)
    when 'die'
      client.reply('stand-in: stopping', id)
      stop('USR2')
    when 'standin:be' then be(client, request['args'][0].to_i)
    when 'standin:go' then hand_over { |passer| recorded_text(passer) }
    else client.reply("stand-in: no command #{request['command']}", id)
    end
  end

  def acknowledge(client, request)
    child = @state[:children][request['pid']]
    child[:acked] = true if child && @state[:ack_mode][:type] == :manual
    drop(client)
  end

  def upgrade(client, id, mode)
    client.reply('stand-in: upgrading', id, wait: true)
    client.subscriptions[:upgrade] = id unless id.nil?
    reload(mode)
  end

  def be(client, number)
    client.recorded = recording.connections[number]
    client.reply("stand-in: you are #{number}", nil)
  end

  def reload(upgrade)
    @state[:reloading_for_upgrade] = !upgrade.nil?
    @state[:smooth_upgrade] = upgrade == :smooth
    hand_over { |passer| document(passer) }
    @state[:reloading_for_upgrade] = false
  end

  def document(passer)
    children = @state[:children].merge(passer => { type: :state_passer })
    timers = @timers.map do |pid, (start, time)|
      { class: TIMER, time: time, start: start, pid: pid }
    end
    events = [{ class: SERVER, server: @server.fileno }, *@clients.map(&:event), *timers]
    state = @state.merge(children: children, generation: @state[:generation].to_i + 1)
    Psych.dump({ state: state, persistent_descriptors: events })
  end

  # The recorded text; a client that is not there has a number that nobody has.
  def recorded_text(passer)
    here = @clients.select(&:recorded).to_h { |client| [client.recorded, client.socket.fileno] }
    numbers = @replay[:numbers].dup
    recording.connections.each do |event|
      numbers[event[:socket]] ||= here.fetch(event, 900 + event[:socket]) if event[:socket] > 2
    end
    pids = @replay[:pids].merge(recording.passers.to_h { |pid| [pid, passer] })
    words = @state.slice(:cmd, :orig_cmd, :reexec_commandline, :socket_path, :pidfile, :lockfile)
    recording.text(numbers, pids, @replay[:ports], words)
  end

  def recording
    @replay[:recording]
  end

  # The state into a pipe by a helper process, the check, the exec.
  def hand_over
    reader, writer = IO.pipe
    passer = fork do
      reader.close
      writer.write(yield(Process.pid))
      writer.close
      exit!(0)
    end
    writer.close
    become_next(reader, passer)
  rescue SystemCallError => e
    tell 'not reloaded', reason: e.message
  ensure
    crossing.each { |io| io.close_on_exec = true }
    reader.close
  end

  def crossing
    [@server, *@listeners, *@clients.map(&:socket)]
  end

  def become_next(reader, passer)
    first, *rest = @state[:reexec_commandline]
    first = [first, first]
    environment = START.except(*@state[:drop_environment_variables])
    options = { unsetenv_others: true, close_others: false }
    unless system(environment, first, *rest, '--upgrade-check', '--', *@state[:cmd], options)
      return tell('not reloaded', reason: 'the check failed')
    end

    [reader, *crossing].each { |io| io.close_on_exec = false }
    tell 'hands over', pid: Process.pid, passer: passer
    exec(environment, first, *rest, '--with-state-fd', reader.fileno.to_s, '--', *@state[:cmd],
         options)
  end
end

# Recorded numbers from here on are wrong ones, and stay.
WRONG = 990

# A recorded worker that says so is somebody else's process, and keeps its pid.
STRANGER = 'not a child'

# What an older recording does not have.
DEFAULTS = { config: { number: 2 }, version: 0, respawn: true, ack_mode: { type: :manual },
             drop_environment_variables: [], bind: [['127.0.0.1', 0, []]] * 2 }.freeze

def live_state(recording, folder, reexec_as, program)
  files = { socket_path: 'sock', pidfile: 'pid', lockfile: 'lock' }
  files.transform_values! { |ending| File.expand_path("einhorn.#{ending}", folder) }
  reexec_as = reexec_as ? reexec_as.shellsplit : [File.expand_path($PROGRAM_NAME)]
  DEFAULTS.merge(recording.state, files).merge(
    cmd: program, orig_cmd: program, reexec_commandline: reexec_as,
    children: {}, generation: 0, upgrading: false, reloading_for_upgrade: false, signal_timeout: nil
  )
end

def replay(path, folder, reexec_as, program)
  recording = Recording.new(path)
  state = live_state(recording, folder, reexec_as, program)
  hosts = state[:bind].map(&:first)
  listeners = recording.state[:bind_fds].uniq.zip(hosts).to_h do |recorded, host|
    [recorded, TCPServer.new(host, 0)]
  end
  ports = listeners.transform_values { |listener| listener.local_address.ip_port }
  server = UNIXServer.new(state[:socket_path])
  File.write(state[:pidfile], "#{Process.pid}\n")
  state[:bind_fds] = listeners.values.map(&:fileno)
  state[:bound_ports] = ports.values
  master = Master.new(state, listeners.values, server, [])
  mine = recording.workers.reject { |_, child| child[:pinged_request_id] == STRANGER }
  pids = mine.transform_values do |child|
    master.start_worker(**{ index: 0 }.merge(child.slice(:index, :version, :acked)))
  end
  numbers = listeners.transform_values(&:fileno).merge(recording.server => server.fileno)
  numbers.reject! { |recorded, _| recorded >= WRONG }
  master.replay = { recording: recording, numbers: numbers, pids: pids,
                    ports: ports.values_at(*recording.state[:bind_fds]) }
  tell 'replays', workers: pids, ports: state[:bound_ports], bind_fds: state[:bind_fds],
                  server: server.fileno
  master.run
end

def take_over(number, rest)
  inheritance = Inheritance.new(number, rest)
  state = inheritance.state
  listeners = state[:bind_fds].map { |fd| TCPServer.for_fd(fd) }
  server = UNIXServer.for_fd(inheritance.of_class(SERVER)[0][:server])
  clients = inheritance.of_class(CONNECTION).map do |event|
    Client.new(UNIXSocket.for_fd(event[:socket]), event)
  end
  [server, *listeners, *clients.map(&:socket)].each { |io| io.close_on_exec = true }
  state[:reexec_commandline] ||= [File.expand_path($PROGRAM_NAME)]
  master = Master.new(state, listeners, server, clients)
  timers = inheritance.of_class(TIMER)
  master.timers = timers.to_h { |event| [event[:pid], event.values_at(:start, :time)] }
  tell 'took over', pid: Process.pid, workers: state[:children].keys, clients: clients.size,
                    bind_fds: state[:bind_fds], server: server.fileno
  master.begin_upgrade if state[:reloading_for_upgrade]
  master.run
end

def usage(wrong)
  warn "stand-in: #{wrong} is no option"
  exit 1
end

rest = ARGV.dup
program = ARGV.include?('--') ? ARGV.drop(ARGV.index('--') + 1) : []
options = {}
until rest.empty? || rest[0] == '--' || !rest[0].start_with?('-')
  case (option = rest.shift)
  when '--upgrade-check' then options[:check] = true
  when '--with-state-fd', '--replay', '--folder', '--reexec-as' then options[option] = rest.shift
  else usage(option)
  end
end
exit 0 if options[:check]
if options['--with-state-fd']
  take_over(Integer(options['--with-state-fd']), ARGV)
else
  replay(options['--replay'], options['--folder'], options['--reexec-as'], program)
end
