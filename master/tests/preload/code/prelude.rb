# What the tests' workers do. `report` writes what a process finds to the file `report.PID`, and
# renames it when it is whole; `ack` says that it is up; `serve` answers on every socket until
# SIGUSR2, and `wait` only waits for that.
require 'json'
require 'socket'

def report
  status = File.read('/proc/self/status')
  facts = {
    pid: Process.pid, parent: Process.ppid, group: Process.getpgrp, argv: ARGV,
    environment: ENV.to_h.select { |name, _| name.start_with?('EINHORN_') },
    folder: Dir.pwd, random: rand, nice: Process.getpriority(Process::PRIO_PROCESS, 0),
    blocked: status[/SigBlk:\s*(\h+)/, 1], usr2: Signal.list['USR2'],
    descriptors: Dir.children('/proc/self/fd').to_h { |fd|
      [fd, (File.readlink("/proc/self/fd/#{fd}") rescue nil)]
    }.compact,
    version: VERSION, collected: GC.stat[:compact_count].to_i + GC.stat[:major_gc_count],
    program: RbConfig.ruby,
  }
  path = "#{ENV['TMPDIR']}/report.#{Process.pid}"
  File.write("#{path}.new", JSON.generate(facts))
  File.rename("#{path}.new", path)
end

def ack
  master = UNIXSocket.new(ENV['EINHORN_SOCK_PATH'])
  master.write(JSON.generate(command: 'worker:ack', pid: Process.pid) + "\n")
  master.read
end

def serve
  stopped, stop = IO.pipe
  trap('USR2') { stop.write_nonblock('x', exception: false) }
  count = ENV['EINHORN_FD_COUNT'].to_i
  listeners = (0...count).map { |n| Socket.for_fd(ENV["EINHORN_FD_#{n}"].to_i) }
  yield if block_given?
  loop do
    ready, = IO.select([stopped, *listeners])
    return 0 if ready.include?(stopped)

    (ready - [stopped]).each do |listener|
      client, = listener.accept_nonblock(exception: false)
      next if client == :wait_readable || client.nil?

      client.gets
      client.write("#{Process.pid} #{VERSION}\n")
      client.close
    end
  end
end

def wait(&block)
  serve(&block)
end
