# What `bench preloaded` starts: see bench/src/bin/bench/preloaded.rs.
require 'json'
require 'socket'

# Of this process; the size of a page is that of every machine that this is measured on.
def resident
  File.read('/proc/self/statm').split[1].to_i * 4096
end

BYTES = resident + ENV.fetch('BENCH_LOAD_BYTES').to_i
SECONDS = ENV.fetch('BENCH_LOAD_SECONDS').to_f
RECORDS = []
while resident < BYTES
  1000.times { RECORDS << { id: RECORDS.size, name: "record #{RECORDS.size}", price: rand } }
end
RECORDS.last.hash while Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) < SECONDS

# Every record is looked at, and then all garbage collected.
def use
  RECORDS.sum { |record| record[:price] + record[:name].size }
  GC.start
end

def done
  UNIXSocket.new(ENV['BENCH_DONE_PATH']).close
end

def einhorn_main
  signals, signal = IO.pipe
  trap('USR1') { signal.write('1') }
  trap('USR2') { signal.write('2') }
  master = UNIXSocket.new(ENV['EINHORN_SOCK_PATH'])
  master.puts(JSON.generate(command: 'worker:ack', pid: Process.pid))
  master.read
  done
  while signals.read(1) == '1'
    use
    done
  end
end

einhorn_main if $0 == __FILE__
