# Loads a program's code once and forks workers from it, as an einhorn master asks for them.
# The master hands this text to the interpreter; docs/preloading.md describes the interface.
#
# It begins, goes on and ends in `main` at the bottom.
require 'socket'

module EinhornPreload
  EDITION = 1
  MESSAGE_BYTES_MAX = 65_536
  # What 253 descriptors take.
  CONTROL_BYTES_MAX = 1040
  EXIT_CHANNEL_LOST = 76
  TRACEBACK_LINES = 6
  OWN_NAME = __FILE__

  # The socket to the master: packets of fields that are separated by NUL bytes.
  class Channel
    attr_reader :number

    def initialize(number)
      @number = number
      @socket = Socket.for_fd(number)
      @socket.close_on_exec = true
      @identity = look
    end

    def intact?
      look == @identity
    end

    def send(kind, *fields)
      message = [kind, *fields.map { |word, rest| "#{word} #{rest}" }].join("\0")
      @socket.send(message.b.byteslice(0, MESSAGE_BYTES_MAX), 0)
    end

    # The fields of the next message and its descriptors; no fields at the end.
    def receive
      message, _, _, *controls =
        @socket.recvmsg(MESSAGE_BYTES_MAX, 0, CONTROL_BYTES_MAX, scm_rights: true)
      descriptors = controls.flat_map { |control| control.unix_rights || [] }
      [message.to_s.b.split("\0").map { |field| field.partition(' ') }, descriptors]
    end

    def close
      @socket.close
    end

    private

    def look
      status = IO.for_fd(@number, autoclose: false).stat
      [status.dev, status.ino]
    rescue SystemCallError, IOError, ArgumentError
      nil
    end
  end

  # A request for a worker.
  class Request
    attr_reader :id, :variables, :descriptors, :parent_death

    def initialize(fields, descriptors)
      @descriptors = descriptors
      @variables = {}
      fields.each do |word, _, rest|
        case word
        when 'id' then @id = rest.to_i
        when 'descriptors' then @expected = rest.to_i
        when 'set' then set(*rest.split('=', 2))
        when 'numbers' then set_numbers(*rest.split('=', 2))
        when 'parent-death' then @parent_death = rest.to_i
        end
      end
    end

    def complete?
      @descriptors.size == @expected
    end

    private

    def set(name, value)
      @variables[name] = value
    end

    def set_numbers(name, places)
      set(name, places.split.map { |place| @descriptors[place.to_i]&.fileno }.compact.join(' '))
    end
  end

  # The code is loaded, but there is nothing to call.
  class NoMain < StandardError; end

  module_function

  # The channel and the path of the code; leaves no trace of them.
  def take_over
    channel = Channel.new(ENV.delete('EINHORN_PRELOAD_FD').to_i)
    # The text of this program: the interpreter has read it through a descriptor of its own.
    IO.for_fd($PROGRAM_NAME.rpartition('/').last.to_i).close
    [channel, ARGV.shift]
  end

  # Runs the code, and returns its einhorn_main.
  def load_code(path)
    load(File.expand_path(path))
    top = TOPLEVEL_BINDING.receiver
    raise NoMain, 'it defines no method einhorn_main' unless top.respond_to?(:einhorn_main, true)

    top.method(:einhorn_main)
  end

  def without_own_lines(error)
    lines = error.backtrace&.reject { |line| line.start_with?("#{OWN_NAME}:") }
    error.set_backtrace(lines) if lines
    error
  end

  # Why the code cannot be loaded, in a few lines; the whole traceback goes to stderr.
  def reason_of(error)
    return error.message if error.is_a?(NoMain)
    return "it called exit(#{error.status}) while it was loaded" if error.is_a?(SystemExit)

    text = text_of(without_own_lines(error))
    $stderr.puts text
    text.lines.map(&:chomp).reject(&:empty?).last(TRACEBACK_LINES).join("\n")
  end

  def text_of(error)
    # Where there is no traceback, as with a syntax error, Ruby would make one of this line.
    return "#{error.message} (#{error.class})" if error.backtrace.nil? || error.backtrace.empty?

    error.full_message(highlight: false, order: :bottom)
  end

  def collect_garbage
    return Process.warmup if Process.respond_to?(:warmup)

    3.times { GC.start }
    GC.compact if GC.respond_to?(:compact)
  rescue NotImplementedError
    # Not on this platform.
  end

  def notes
    count = Thread.list.size - 1
    return [] unless count.positive?

    [['note', "threads started while the code was loaded (#{count}) are in no worker: " \
              'start them in einhorn_main']]
  end

  # Forks a worker whose parent is the master: the process in between ends at once, and the
  # master adopts its child. Returns true in the worker, once the master knows of it.
  def fork_worker(channel, request)
    ends = []
    begin
      ends.concat(IO.pipe).concat(IO.pipe)
      between = fork
    rescue SystemCallError => e
      ends.each(&:close)
      channel.send('refused', ['id', request.id], ['reason', e.message])
      return false
    end
    told, tell, gate, release = ends
    return fork_again(channel, told, tell, gate, release) unless between

    request.descriptors.each(&:close)
    tell.close
    gate.close
    answer = first_words(told)
    wait_for(between)
    if answer.match?(/\A\d+\z/)
      channel.send('forked', ['id', request.id], ['pid', answer])
      release.syswrite('x')
    else
      why = answer.empty? ? 'the process in between was killed' : answer
      channel.send('refused', ['id', request.id], ['reason', why])
    end
    release.close
    false
  end

  def first_words(told)
    told.readpartial(4096)
  rescue EOFError
    ''
  ensure
    told.close
  end

  def wait_for(pid)
    Process.wait(pid)
  rescue Errno::ECHILD
    # The code has waited for it, or wants to hear of no child.
  end

  # In the process in between, and in the worker.
  def fork_again(channel, told, tell, gate, release)
    begin
      worker = fork
    rescue SystemCallError => e
      worker = e.message
    end
    if worker
      tell.syswrite(worker.to_s)
      exit!(0)
    end
    [told, tell, release].each(&:close)
    channel.close
    Process.setpgid(0, 0)
    exit!(1) unless gate.read(1) == 'x'
    gate.close
    true
  rescue Exception # rubocop:disable Lint/RescueException
    exit!(1)
  end

  # Forks workers until the master closes the channel. Returns in each worker, with what it
  # was forked for.
  def serve(channel)
    loop do
      fields, descriptors = channel.receive
      exit!(0) if fields.empty?
      if fields.first.first == 'fork'
        request = Request.new(fields.drop(1), descriptors)
        if !request.complete?
          reason = 'too many descriptors are open (ulimit -n)'
          channel.send('refused', ['id', request.id], ['reason', reason])
        else
          prctl if request.parent_death
          return request if fork_worker(channel, request)
        end
      end
      descriptors.each(&:close)
    end
  end

  # prctl(2), or nil where Ruby has no Fiddle. Called first before the fork, so that what it
  # loads is shared.
  def prctl
    @prctl ||= begin
      require 'fiddle'
      long = Fiddle::TYPE_LONG
      Fiddle::Function.new(Fiddle::Handle::DEFAULT['prctl'],
                           [Fiddle::TYPE_INT, long, long, long, long], Fiddle::TYPE_INT)
    end
  rescue LoadError, StandardError => e
    $stderr.puts "einhorn preloader: -k does not hold: #{e.message}"
    @prctl = proc { 0 }
  end

  PR_SET_PDEATHSIG = 1

  # What a program finds that was started by exec.
  def become_worker(request)
    prctl.call(PR_SET_PDEATHSIG, request.parent_death, 0, 0, 0) if request.parent_death
    # If the master ended in between, it would send nothing any more.
    exit!(1) unless Process.ppid.to_s == request.variables['EINHORN_MASTER_PID']
    request.descriptors.each do |descriptor|
      descriptor.close_on_exec = false
      # The worker knows them by number, so the garbage collector must not close them.
      descriptor.autoclose = false
    end
    request.variables.each { |name, value| ENV[name] = value }
    Random.srand
  end

  # Calls the code; what it returns is the exit status if it is an integer.
  def work(einhorn_main)
    status = einhorn_main.call
    exit(status.is_a?(Integer) ? status & 0xff : 0)
  rescue StandardError, ScriptError => e
    raise without_own_lines(e)
  end

  def main
    channel, path = take_over
    collects = ENV.delete('EINHORN_PRELOAD_GC')
    own_pid = Process.pid
    failure = nil
    begin
      einhorn_main = load_code(path)
      collect_garbage if collects && Process.pid == own_pid
    rescue Exception => e # rubocop:disable Lint/RescueException
      failure = e
    end
    if Process.pid != own_pid
      # A process that the code has forked came back from loading: it is nobody's worker.
      $stderr.puts "einhorn preloader: process #{Process.pid}, forked while the code was " \
                   'loaded, ends here'
      exit!(1)
    end
    unless channel.intact?
      $stderr.puts "einhorn preloader: the code has closed descriptor #{channel.number}, " \
                   'which is not its own'
      exit!(EXIT_CHANNEL_LOST)
    end
    become_worker(speak(channel, failure))
    work(einhorn_main)
  end

  # Tells the master how loading went, and serves it. Returns in each worker.
  def speak(channel, failure)
    if failure
      channel.send('failed', ['reason', reason_of(failure)])
      exit!(1)
    end
    channel.send('ready', ['edition', EDITION], *notes)
    serve(channel)
  rescue SystemCallError, IOError => e
    # The master is gone, or the code closes descriptors behind our back.
    $stderr.puts "einhorn preloader: #{e.message}"
    exit!(channel.intact? ? 1 : EXIT_CHANNEL_LOST)
  end
end

EinhornPreload.main
