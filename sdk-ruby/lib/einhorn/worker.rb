# frozen_string_literal: true

require 'socket'

# What belongs to the master of that name; its worker library is Einhorn::Worker.
module Einhorn
  # Makes a program a good worker of an einhorn master.
  #
  #   listener = TCPServer.for_fd(Einhorn::Worker.socket!)  # the master's first -b
  #   Einhorn::Worker.graceful_shutdown { stopping = true } # asked to finish and exit
  #   Einhorn::Worker.ack!                                  # this worker is up
  #
  # The methods read the environment at each call, change nothing in it, close no descriptor
  # but where it is said, and wait 30 seconds at most.
  module Worker
    # The version of this library.
    VERSION = '0.1.0'

    # What is wrong: the text names the variable or file, its value and the reason.
    class WorkerError < RuntimeError; end

    # This process is not a worker; the text tells why.
    class NotWorkerError < WorkerError; end

    # Names of the protocol, once.
    MASTER_PID = 'EINHORN_MASTER_PID'
    SOCK_PATH = 'EINHORN_SOCK_PATH'
    SOCK_FD = 'EINHORN_SOCK_FD'
    FD_COUNT = 'EINHORN_FD_COUNT'
    FD_PREFIX = 'EINHORN_FD_'
    CHILD_INDEX = 'EINHORN_CHILD_INDEX'

    # Longest wait for the master to take a message.
    WAIT_SECONDS = 30
    # Longest line that a master reads.
    LINE_BYTES_MAX = 1 << 20
    # Pause before another try where the master's queue is full, in seconds.
    QUEUE_FULL_SECONDS = 0.01
    # Most sockets that are believed in.
    SOCKETS_MAX = 65_536
    # Longest part of a value that an error repeats.
    SHOWN_CHARS_MAX = 200

    private_constant :MASTER_PID, :SOCK_PATH, :SOCK_FD, :FD_COUNT, :FD_PREFIX, :CHILD_INDEX,
                     :WAIT_SECONDS, :LINE_BYTES_MAX, :QUEUE_FULL_SECONDS, :SOCKETS_MAX,
                     :SHOWN_CHARS_MAX

    class << self
      # Whether a master started this very process. False outside a master, in a child of a
      # worker (a shell that does not exec), and in an orphan. Never raises.
      #
      # @return [Boolean]
      def is_worker?
        ensure_worker!
      rescue WorkerError
        false
      end

      # Goes on in a worker only.
      #
      # @return [true]
      # @raise [NotWorkerError] elsewhere
      # @raise [WorkerError] where EINHORN_MASTER_PID is no pid
      def ensure_worker!
        master = ENV[MASTER_PID]
        if master.nil?
          raise NotWorkerError, "not a worker: #{MASTER_PID} is not set (no einhorn master " \
                                'started this program)'
        end
        pid = number(MASTER_PID, master, 'the pid of the master', 1, 2**31 - 1)
        return true if pid == Process.ppid

        raise NotWorkerError, "not a worker: its parent is #{Process.ppid}, but #{MASTER_PID} " \
                              "is #{pid}; start the program with exec, so that nothing stands " \
                              'between it and its master'
      end

      # As {.ack!}, but does nothing in a process that is not a worker.
      #
      # @param discovery [:env, :fd, :direct] as for {.ack!}
      # @param arg [String, Boolean, nil] as for {.ack!}
      # @return [Boolean] false in a process that is not a worker
      # @raise [WorkerError] as {.ack!}
      def ack(discovery = :env, arg = nil)
        ack!(discovery, arg)
      rescue NotWorkerError
        false
      end

      # Tells the master that this worker is up, and waits until it has taken that: about a
      # millisecond, 30 seconds at most. Needed where the master runs with --ack-mode manual,
      # harmless elsewhere and when repeated. Call {.graceful_shutdown} before.
      #
      # The master is found, as +discovery+ says, by the path in EINHORN_SOCK_PATH (+:env+), by
      # the path +arg+ (+:direct+), or by the descriptor in EINHORN_SOCK_FD (+:fd+), which the
      # master gives with -g. The descriptor is closed afterwards unless +arg+ is true; where it
      # is not a connection to the master it is left alone, and the path is taken.
      #
      # @param discovery [:env, :fd, :direct] how the master is found
      # @param arg [String, Boolean, nil] the path, or whether the descriptor stays open
      # @return [true]
      # @raise [NotWorkerError] in a process that is not a worker
      # @raise [WorkerError] where the master is not reached, or refuses
      # @raise [ArgumentError] for another discovery
      def ack!(discovery = :env, arg = nil)
        ensure_worker!
        deliver(line('worker:ack'), discovery, arg)
      end

      # Tells the master that this worker is alive, and what it is busy with, which the
      # master's state shows.
      #
      # @param request_id [#to_s] a text of yours
      # @param discovery [:env, :fd, :direct] as for {.ack!}
      # @param arg [String, Boolean, nil] as for {.ack!}
      # @return [true]
      # @raise [NotWorkerError, WorkerError, ArgumentError] as {.ack!}
      # @raise [WorkerError] where the text is longer than a master reads (1 MiB)
      def ping!(request_id, discovery = :env, arg = nil)
        ensure_worker!
        ping = line('worker:ping', "\"request_id\": #{quoted(request_id)}")
        if ping.bytesize > LINE_BYTES_MAX
          raise WorkerError, "the message is #{ping.bytesize} bytes long, a master reads " \
                             "#{LINE_BYTES_MAX} at most"
        end
        deliver(ping, discovery, arg)
      end

      # The number of a listening socket's descriptor. TCPServer.for_fd makes a server of it,
      # UNIXServer.for_fd too. All workers share it.
      #
      # @param number [Integer, nil] which socket, from 0 (the default) in the order of the
      #   master's -b options
      # @return [Integer, nil] nil when there is no such socket
      # @raise [WorkerError] where the variables lie
      def socket(number = nil)
        einhorn_fd(number || 0)
      end

      # As {.socket}, but never nil.
      #
      # @param number [Integer, nil] as for {.socket}
      # @return [Integer]
      # @raise [WorkerError] when there is no such socket, and as {.socket}
      def socket!(number = nil)
        number ||= 0
        count = socket_count!
        if number.negative? || number >= count
          raise WorkerError, "there is no socket #{number}: #{FD_COUNT} is #{count}, and " \
                             'indexes count from 0 (give the master a -b for each socket)'
        end
        listening!(*variable_of(number))
      end

      # As {.socket}.
      #
      # @param number [Integer] as for {.socket}
      # @return [Integer, nil] as {.socket}
      # @raise [WorkerError] as {.socket}
      def einhorn_fd(number)
        return nil if ENV[FD_COUNT].nil?
        return nil if number.negative? || number >= socket_count!

        listening!(*variable_of(number))
      end

      # How many sockets the master opened. Never raises.
      #
      # @return [Integer] 0 outside a master, and where EINHORN_FD_COUNT makes no sense
      #   ({.socket!} tells what is wrong)
      def einhorn_fd_count
        socket_count!
      rescue WorkerError
        0
      end

      # This worker's index: the smallest, from 0, that no living worker had when it was
      # started, kept for life. Never raises.
      #
      # @return [Integer, nil] nil in a process that is not a worker
      def einhorn_child_index
        index = ENV[CHILD_INDEX]
        number(CHILD_INDEX, index, 'an index', 0, 2**31 - 1) if index && is_worker?
      rescue WorkerError
        nil
      end

      # Calls the block when the master asks this worker to stop (SIGUSR2), each time. It runs
      # as a trap handler does, where a Mutex cannot be locked: set a flag, or write to a pipe.
      # Before this call the signal kills the process, so register before {.ack!}.
      #
      # @yield when the worker is asked to stop
      # @return [String, Proc, nil] the handler that was there before
      # @raise [ArgumentError] without a block
      def graceful_shutdown(&block)
        raise ArgumentError, 'graceful_shutdown needs a block' unless block

        Signal.trap('USR2') { block.call }
      end

      private

      # +value+ as a decimal number of +range+, or an error that names it.
      def number(name, value, wanted, min, max)
        number = value.to_i if value.match?(/\A[0-9]{1,10}\z/)
        return number if number && number >= min && number <= max

        raise WorkerError, "#{name} is #{shown(value)}, but must be #{wanted}"
      end

      def required(name)
        ENV[name] || raise(WorkerError, "#{name} is not set, which every einhorn master does")
      end

      def shown(value)
        value = value.dup.force_encoding(Encoding::UTF_8).scrub
        value.length > SHOWN_CHARS_MAX ? "#{value[0, SHOWN_CHARS_MAX].inspect}…" : value.inspect
      end

      def socket_count!
        number(FD_COUNT, required(FD_COUNT), 'a number of sockets', 0, SOCKETS_MAX)
      end

      # The variable of a socket and its value; their numbering starts where the first is.
      def variable_of(index)
        from_one = ENV["#{FD_PREFIX}0"].nil? && !ENV["#{FD_PREFIX}1"].nil?
        name = "#{FD_PREFIX}#{from_one ? index + 1 : index}"
        [name, number(name, required(name), 'the number of a descriptor', 0, 2**31 - 1)]
      end

      # +fd+, if it is a listening socket.
      def listening!(name, fd)
        problem = not_listening(fd)
        return fd unless problem

        raise WorkerError, "#{name} is #{fd}, but descriptor #{fd} is #{problem}"
      end

      def not_listening(fd)
        return 'not open' unless open?(fd)

        socket = borrow(fd)
        return 'not a stream socket' unless stream?(socket)

        listening = socket.getsockopt(:SOCKET, :ACCEPTCONN).bool
        'a socket that is not listening' unless listening
      rescue SystemCallError
        'not a socket'
      end

      def open?(fd)
        IO.for_fd(fd, autoclose: false)
        true
      rescue Errno::EBADF
        false
      rescue SystemCallError
        true
      end

      # A socket object that leaves its descriptor open when it goes.
      def borrow(fd)
        socket = Socket.for_fd(fd)
        socket.autoclose = false
        socket
      end

      def stream?(socket)
        socket.getsockopt(:SOCKET, :TYPE).int == Socket::SOCK_STREAM
      end

      # One line of JSON in ASCII, which every master reads, whether it unescapes or not.
      def line(command, *members)
        "{\"command\": #{quoted(command)}, #{["\"pid\": #{Process.pid}", *members].join(', ')}}\n"
      end

      def quoted(text)
        characters = text.to_s.encode(Encoding::UTF_8).each_char.map do |character|
          case character
          when '"', '\\' then "\\#{character}"
          when '%' then '\u0025'
          when ' '..'~' then character
          else escaped(character.ord)
          end
        end
        "\"#{characters.join}\""
      rescue EncodingError => e
        raise WorkerError, "the text cannot be sent: #{e.message}"
      end

      # YAML does not know the two halves that JSON has for a character above U+FFFF.
      def escaped(code)
        code > 0xFFFF ? format('\U%08x', code) : format('\u%04x', code)
      end

      def deliver(line, discovery, arg)
        case discovery
        when :env then by_path(line, required(SOCK_PATH))
        when :direct then by_path(line, arg.to_s)
        when :fd then by_descriptor(line, arg) || by_path(line, required(SOCK_PATH))
        else raise ArgumentError, "discovery must be :env, :fd or :direct, not #{discovery.inspect}"
        end
      end

      # True when the line went through the descriptor, false when that is not the master's.
      def by_descriptor(line, leave_open)
        fd = number(SOCK_FD, required(SOCK_FD), 'the number of a descriptor', 0, 2**31 - 1)
        socket = borrow(fd)
        return false unless stream?(socket) && leads_to_master?(socket)

        send_all(socket, line, deadline)
        unless leave_open
          socket.autoclose = true
          socket.close
        end
        true
      rescue SystemCallError, IOError
        false
      end

      # Whether the master made the other end, as the system (Linux) or its path tells.
      def leads_to_master?(socket)
        peer = socket.getpeername
        return false unless Addrinfo.new(peer).unix?

        path = ENV[SOCK_PATH]
        path && !path.empty? && peer == Socket.sockaddr_un(path) || peer_pid(socket) == Process.ppid
      rescue ArgumentError
        false
      end

      def peer_pid(socket)
        return nil unless Socket.const_defined?(:SO_PEERCRED)

        socket.getsockopt(Socket::SOL_SOCKET, Socket::SO_PEERCRED).unpack('i').first
      end

      # A master closes the connection when it has taken the message, and answers only what it
      # refuses.
      def by_path(line, path)
        limit = deadline
        socket = connect(path, limit)
        send_all(socket, line, limit)
        answer = read_until_closed(socket, limit)
        raise WorkerError, "refused by whoever listens at #{at(path)}: #{shown(answer)}" if answer

        true
      rescue Errno::ECONNRESET, Errno::EPIPE
        raise WorkerError, "the connection to #{at(path)} was closed before the message was read"
      rescue Errno::ETIMEDOUT
        raise WorkerError, "sent, not confirmed: nobody took the message at #{at(path)} within " \
                           "#{WAIT_SECONDS} s"
      ensure
        socket.close if socket
      end

      def at(path)
        "#{shown(path)} (from #{SOCK_PATH})"
      end

      def connect(path, limit)
        address = address_of(path)
        socket = Socket.new(:UNIX, :STREAM)
        begin
          socket.connect_nonblock(address)
        rescue IO::WaitWritable, Errno::EAGAIN
          retry if wait(limit, QUEUE_FULL_SECONDS)
          raise Errno::EAGAIN
        end
        connected = socket
      rescue SystemCallError => e
        raise WorkerError, "cannot reach the master at #{at(path)}: #{e.message}"
      ensure
        socket.close if socket && !connected
      end

      def address_of(path)
        if path.empty?
          raise WorkerError, "#{SOCK_PATH} is #{shown(path)}, but must be the path of the " \
                             "master's command socket"
        end
        Socket.sockaddr_un(path)
      rescue ArgumentError
        raise WorkerError, "#{SOCK_PATH} is too long for a socket's path (#{path.bytesize} " \
                           "bytes): #{shown(path)}"
      end

      def send_all(socket, line, limit)
        until line.empty?
          sent = socket.sendmsg_nonblock(line, nosignal, exception: false)
          if sent == :wait_writable
            raise Errno::ETIMEDOUT unless socket_ready(nil, [socket], limit)
          else
            line = line.byteslice(sent..-1)
          end
        end
      end

      # Not to be killed by SIGPIPE, where the system knows the flag.
      def nosignal
        Socket.const_defined?(:MSG_NOSIGNAL) ? Socket::MSG_NOSIGNAL : 0
      end

      # nil when the other side closed without a word.
      def read_until_closed(socket, limit)
        answer = +''
        until answer.include?("\n") || answer.bytesize >= 4096
          raise Errno::ETIMEDOUT unless socket_ready([socket], nil, limit)

          piece = socket.read_nonblock(4096, exception: false)
          break if piece.nil?

          answer << piece unless piece == :wait_readable
        end
        answer.empty? ? nil : answer.chomp
      end

      def deadline
        Process.clock_gettime(Process::CLOCK_MONOTONIC) + WAIT_SECONDS
      end

      def remaining(limit)
        [limit - Process.clock_gettime(Process::CLOCK_MONOTONIC), 0].max
      end

      def socket_ready(read, write, limit)
        IO.select(read, write, nil, remaining(limit))
      end

      # Pauses; false when the time is over.
      def wait(limit, seconds)
        IO.select(nil, nil, nil, [seconds, remaining(limit)].min)
        remaining(limit).positive?
      end
    end
  end
end
