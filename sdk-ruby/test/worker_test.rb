# frozen_string_literal: true

# The library inside real processes, under a master that the test plays:
#
#     ruby -w -I sdk-ruby/lib sdk-ruby/test/worker_test.rb
#
# Prints a line a check that fails, and at last how many held.

require 'einhorn/worker'
require 'rbconfig'
require 'tmpdir'
require 'timeout'

LIBRARY = File.dirname(File.dirname($LOADED_FEATURES.grep(%r{einhorn/worker\.rb\z}).first))
# Longer than any machine needs.
LONG = 60

$passed = 0
$failed = 0

def check(what, got, expected)
  if expected === got
    $passed += 1
  else
    $failed += 1
    puts "#{what}: #{got.inspect}, not #{expected.inspect}"
  end
end

# Runs a program whose parent, and so whose master, is this test; the rest of its output.
def worker(program, environment = {}, spawn_options = {})
  environment = { 'EINHORN_MASTER_PID' => Process.pid.to_s }.merge(environment)
  out, input = IO.pipe
  program = "$stdout.sync = true; W = Einhorn::Worker\n" \
            "begin\n#{program}\nrescue W::WorkerError => e; puts e.class, e.message; end"
  pid = spawn(environment, RbConfig.ruby, '-w', '-I', LIBRARY, '-r', 'einhorn/worker', '-e', program,
              { out: input, err: input }.merge(spawn_options))
  input.close
  yield pid, out if block_given?
  Timeout.timeout(LONG) { out.read.chomp }
ensure
  Process.wait(pid)
end

Dir.mktmpdir do |folder|
  path = "#{folder}/einhorn.sock"
  commands = UNIXServer.new(path)
  by_path = { 'EINHORN_SOCK_PATH' => path }
  nowhere = { 'EINHORN_SOCK_PATH' => '/nonexistent/einhorn.sock' }
  line = nil

  take = lambda do |*|
    connection = commands.accept
    line = connection.gets
    connection.close
  end

  said = worker('p W.ack!', by_path) { |pid, _| take.call; check('ack', line, /"pid": #{pid}}$/) }
  check('ack!', said, 'true')
  check('a line', line, /\A{"command": "worker:ack", "pid": \d+}\n\z/)

  said = worker('p W.ping!("50% of é 🦄")', by_path, &take)
  check('ping!', said, 'true')
  check('a ping is ASCII', line, /"request_id": "50\\u0025 of \\u00e9 \\U0001f984"}$/)

  said = worker("p W.ack!(:direct, #{path.inspect})", nowhere, &take)
  check('ack!(:direct)', said, 'true')

  [['true', 'true'], ['', 'false']].each do |leave_open, still_open|
    ours, theirs = UNIXSocket.pair
    program = "p W.ack!(:fd#{leave_open.empty? ? '' : ', true'}); " \
              'begin; IO.for_fd(9, autoclose: false); p true; rescue Errno::EBADF; p false; end'
    said = worker(program, nowhere.merge('EINHORN_SOCK_FD' => '9'), { 9 => theirs }) do
      theirs.close
      check('a line by descriptor', ours.gets, /worker:ack/)
    end
    check("ack!(:fd, #{leave_open})", said, "true\n#{still_open}")
  end

  [{ 9 => File::NULL }, {}].each do |stranger|
    said = worker('p W.ack!(:fd)', by_path.merge('EINHORN_SOCK_FD' => '9'), stranger, &take)
    check("a stranger's descriptor #{stranger}", said, 'true')
  end

  check('an unreachable master', worker('W.ack!', nowhere),
        Regexp.new('\AEinhorn::Worker::WorkerError\ncannot reach the master at ' \
                   '"/nonexistent/einhorn.sock" \(from EINHORN_SOCK_PATH\): No such file'))
  check('no path', worker('W.ack!'), /EINHORN_SOCK_PATH is not set/)
  check('a long path', worker('W.ack!', 'EINHORN_SOCK_PATH' => "/#{'x' * 200}"),
        /EINHORN_SOCK_PATH is too long for a socket's path \(201 bytes\): "/)
  check('an answer', worker('W.ack!', by_path) { c = commands.accept; c.gets; c.puts('no'); c.close },
        /refused by whoever listens at .*: "no"/)
  check('a reset', worker('W.ack!', by_path) { c = commands.accept; IO.select([c]); c.close },
        /was closed before the message was read/)
  check('another discovery', worker('begin; W.ack!(:dns); rescue ArgumentError => e; puts e.message; end'),
        'discovery must be :env, :fd or :direct, not :dns')
  check('no master', worker('p W.ack; W.ack!', 'EINHORN_MASTER_PID' => nil),
        /\Afalse\nEinhorn::Worker::NotWorkerError\nnot a worker: EINHORN_MASTER_PID is not set/)
  check('another parent', worker('W.ensure_worker!', 'EINHORN_MASTER_PID' => '1'),
        /not a worker: its parent is #{Process.pid}, but EINHORN_MASTER_PID is 1;/)
  check('a pid that is none', worker('p W.is_worker?; W.ensure_worker!', 'EINHORN_MASTER_PID' => 'x'),
        /\Afalse\n.*\nEINHORN_MASTER_PID is "x", but must be the pid of the master\z/)
  check('an index', worker('p W.einhorn_child_index', 'EINHORN_CHILD_INDEX' => '3'), '3')

  one = TCPServer.new('127.0.0.1', 0)
  two = UNIXServer.new("#{folder}/s")
  program = 'p W.einhorn_fd_count, W.socket, W.socket!(1), W.einhorn_fd(1), W.einhorn_fd(2); ' \
            'p UNIXServer.for_fd(W.socket!(1)).local_address.unix_path; p W.socket; W.socket!(2)'
  [{ 'EINHORN_FD_0' => '8', 'EINHORN_FD_1' => '9' }, { 'EINHORN_FD_1' => '8', 'EINHORN_FD_2' => '9' }]
    .each do |numbers|
      said = worker(program, numbers.merge('EINHORN_FD_COUNT' => '2'), { 8 => one, 9 => two })
      check('sockets', said, "2\n8\n9\n9\nnil\n\"#{folder}/s\"\n8\nEinhorn::Worker::WorkerError\n" \
                             'there is no socket 2: EINHORN_FD_COUNT is 2, and indexes count from 0 ' \
                             '(give the master a -b for each socket)')
    end
  check('a count that is none', worker('p W.einhorn_fd_count; W.socket', 'EINHORN_FD_COUNT' => 'abc'),
        /\A0\n.*\nEINHORN_FD_COUNT is "abc", but must be a number of sockets\z/)
  { {} => 'not open', { 9 => File::NULL } => 'not a socket' }.each do |options, problem|
    said = worker('p W.socket', { 'EINHORN_FD_COUNT' => '1', 'EINHORN_FD_0' => '9' }, options)
    check('a descriptor that lies', said, /EINHORN_FD_0 is 9, but descriptor 9 is #{problem}\z/)
  end

  said = worker('asked = 0; W.graceful_shutdown { asked += 1 }; puts "registered"; ' \
                'IO.select(nil, nil, nil, 0.01) until asked > 0; puts "asked"') do |pid, out|
    check('registered', out.gets, "registered\n")
    Process.kill('USR2', pid)
  end
  check('graceful_shutdown', said, 'asked')
end

puts "#{$passed} passed, #{$failed} failed"
exit $failed.zero?
