# frozen_string_literal: true

# What the Ruby servers serve: as bench_worker, /?ms=10 is answered 10 ms later. Loaded in each
# worker, which reports that to whoever measures.

require 'socket'

version = File.read(ENV.fetch('BENCH_VERSION_FILE')).strip

UNIXSocket.new(ENV.fetch('BENCH_DONE_PATH')).close

run(lambda do |env|
  query = env['QUERY_STRING']
  sleep(Integer(query.delete_prefix('ms=')) / 1000.0) if query.start_with?('ms=')
  body = format("time=%.3f pid=%d index=- version=%s\n", Time.now.to_f, Process.pid, version)
  [200, { 'Content-Length' => body.bytesize.to_s }, [body]]
end)
