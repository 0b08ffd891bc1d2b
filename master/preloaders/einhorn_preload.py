# Loads a program's code once and forks workers from it, as an einhorn master asks for them.
# The master hands this text to the interpreter; docs/preloading.md describes the interface.
#
# It begins, goes on and ends in `main` at the bottom.
import sys

# Unless it is told not to, the interpreter puts the folder of the program first in sys.path,
# and takes this text for the program.
HAS_OWN_FOLDER = not (sys.flags.isolated or getattr(sys.flags, "safe_path", False))
if HAS_OWN_FOLDER:
    del sys.path[0]

import array
import importlib.machinery
import importlib.util
import os
import socket
import warnings

EDITION = 1
MESSAGE_BYTES_MAX = 65536
DESCRIPTORS_MAX = 253
EXIT_CHANNEL_LOST = 76
TRACEBACK_LINES = 6


class Channel:
    """The socket to the master: packets of fields that are separated by NUL bytes."""

    def __init__(self, number):
        os.set_inheritable(number, False)
        self.number = number
        self.socket = socket.socket(fileno=number)
        self.identity = self.look()

    def look(self):
        try:
            status = os.fstat(self.number)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def is_intact(self):
        return self.look() == self.identity

    def send(self, kind, *fields):
        lines = [kind] + ["%s %s" % field for field in fields]
        self.socket.send("\0".join(lines).encode("utf-8", "backslashreplace")[:MESSAGE_BYTES_MAX])

    def receive(self):
        """The fields of the next message and its descriptors; no fields at the end."""
        space = socket.CMSG_SPACE(DESCRIPTORS_MAX * array.array("i").itemsize)
        message, controls, _, _ = self.socket.recvmsg(MESSAGE_BYTES_MAX, space)
        descriptors = array.array("i")
        for level, kind, data in controls:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        fields = message.split(b"\0") if message else []
        return [field.partition(b" ") for field in fields], list(descriptors)


def take_over():
    """The channel, the path of the code, and the arguments; leaves no trace of them."""
    script, path, arguments = sys.argv[0], sys.argv[1], sys.argv[2:]
    channel = Channel(int(os.environ.pop("EINHORN_PRELOAD_FD")))
    # The text of this program: the interpreter has read it through a descriptor of its own.
    os.close(int(script.rpartition("/")[2]))
    sys.argv[:] = [path] + arguments
    if HAS_OWN_FOLDER:
        sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    # Whoever asks for the main program's file must not find this one.
    main = sys.modules["__main__"]
    del main.__file__
    return channel, path


class Loader(importlib.machinery.SourceFileLoader):
    """Compiles anew each time, as it is done with a main program: what is cached beside the
    code is told apart by whole seconds only."""

    def get_code(self, fullname):
        return self.source_to_code(self.get_data(self.path), self.path)


def load(path):
    """Runs the code as a module, and returns its einhorn_main."""
    path = os.path.abspath(path)
    name = os.path.splitext(os.path.basename(path))[0]
    if not name.isidentifier() or name in sys.modules:
        name = "einhorn_preloaded"
    spec = importlib.util.spec_from_file_location(name, path, loader=Loader(name, path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "einhorn_main", None)):
        raise NoMain("it defines no function einhorn_main")
    return module.einhorn_main


class NoMain(Exception):
    """The code is loaded, but there is nothing to call."""


def without_own_frames(error):
    """An exception whose traceback is about the code alone."""
    own = sys._getframe().f_code.co_filename
    traceback = error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name != own and not name.startswith("<frozen importlib"):
            break
        traceback = traceback.tb_next
    return error.with_traceback(traceback)


def reason_of(error):
    """Why the code cannot be loaded, in a few lines; the whole traceback goes to stderr."""
    import traceback

    if isinstance(error, NoMain):
        return str(error)
    if isinstance(error, SystemExit):
        code = "" if error.code is None else repr(error.code)
        return "it called exit(%s) while it was loaded" % code
    error = without_own_frames(error)
    text = traceback.format_exception(type(error), error, error.__traceback__)
    lines = "".join(text).splitlines()
    print("\n".join(lines), file=sys.stderr, flush=True)
    return "\n".join(lines[-TRACEBACK_LINES:])


def collect_garbage():
    import gc

    gc.collect()
    gc.freeze()


def notes():
    threading = sys.modules.get("threading")
    count = threading.active_count() - 1 if threading else 0
    if count > 0:
        yield (
            "note",
            "threads started while the code was loaded (%d) are in no worker: "
            "start them in einhorn_main" % count,
        )


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


def fork_process():
    with warnings.catch_warnings():
        # The log has a note about threads already.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def close_all(descriptors):
    while descriptors:
        os.close(descriptors.pop())


def fork_worker(channel, request, descriptors):
    """Forks a worker whose parent is the master: the process in between ends at once, and the
    master adopts its child. Returns True in the worker, once the master knows of it."""
    ends = []
    flush()
    try:
        ends.extend(os.pipe())
        ends.extend(os.pipe())
        between = fork_process()
    except OSError as error:
        close_all(ends)
        channel.send("refused", ("id", request.id), ("reason", error.strerror))
        return False
    told, tell, gate, release = ends
    if between == 0:
        return fork_again(channel, told, tell, gate, release)
    close_all(descriptors)
    os.close(tell)
    os.close(gate)
    answer = os.read(told, 4096)
    os.close(told)
    try:
        os.waitpid(between, 0)
    except ChildProcessError:
        pass
    if answer.isdigit():
        channel.send("forked", ("id", request.id), ("pid", int(answer)))
        os.write(release, b"x")
    else:
        why = answer.decode() or "the process in between was killed"
        channel.send("refused", ("id", request.id), ("reason", why))
    os.close(release)
    return False


def fork_again(channel, told, tell, gate, release):
    """In the process in between, and in the worker."""
    try:
        try:
            worker = fork_process()
        except OSError as error:
            worker = error.strerror
        if worker:
            os.write(tell, str(worker).encode())
            os._exit(0)
        for end in (told, tell, release):
            os.close(end)
        channel.socket.close()
        os.setpgid(0, 0)
        if os.read(gate, 1) != b"x":
            os._exit(1)
        os.close(gate)
    except BaseException:
        os._exit(1)
    return True


class Request:
    """A request for a worker."""

    def __init__(self, fields, descriptors):
        self.id = 0
        self.variables = {}
        self.parent_death = None
        self.expected = 0
        for word, _, rest in fields:
            if word == b"id":
                self.id = int(rest)
            elif word == b"descriptors":
                self.expected = int(rest)
            elif word == b"set":
                name, _, value = rest.partition(b"=")
                self.variables[name] = value
            elif word == b"numbers":
                name, _, places = rest.partition(b"=")
                numbers = [
                    descriptors[int(place)]
                    for place in places.split()
                    if int(place) < len(descriptors)
                ]
                self.variables[name] = b" ".join(b"%d" % number for number in numbers)
            elif word == b"parent-death":
                self.parent_death = int(rest)


def serve(channel):
    """Forks workers until the master closes the channel. Returns in each worker, with what it
    was forked for and its descriptors."""
    while True:
        fields, descriptors = channel.receive()
        if not fields:
            os._exit(0)
        if fields[0][0] == b"fork":
            request = Request(fields[1:], descriptors)
            if len(descriptors) != request.expected:
                channel.send(
                    "refused",
                    ("id", request.id),
                    ("reason", "too many descriptors are open (ulimit -n)"),
                )
            else:
                if request.parent_death:
                    prctl()
                if fork_worker(channel, request, descriptors):
                    return request, descriptors
        close_all(descriptors)


def prctl():
    """prctl(2), or None where Python has no ctypes. Called first before the fork, so that what
    it loads is shared."""
    if not hasattr(prctl, "function"):
        try:
            import ctypes

            prctl.function = ctypes.CDLL(None, use_errno=True).prctl
        except (ImportError, OSError, AttributeError) as error:
            print("einhorn preloader: -k does not hold: %s" % error, file=sys.stderr, flush=True)
            prctl.function = None
    return prctl.function


def become_worker(request, descriptors):
    """What a program finds that was started by exec."""
    PR_SET_PDEATHSIG = 1
    if request.parent_death and prctl():
        prctl()(PR_SET_PDEATHSIG, request.parent_death, 0, 0, 0)
    if os.getppid() != int(request.variables[b"EINHORN_MASTER_PID"]):
        # The master ended in between, and would send nothing any more.
        os._exit(1)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    for name, value in request.variables.items():
        os.environb[name] = value
    reseed()


def reseed():
    """Generators of pseudo-random numbers must not repeat each other's."""
    for name in ("random", "numpy.random"):
        module = sys.modules.get(name)
        if module is not None:
            module.seed()


def work(einhorn_main):
    """Calls the code; what it returns is the exit status if it is an integer."""
    try:
        status = einhorn_main()
    except Exception as error:
        error = without_own_frames(error)
        sys.excepthook(type(error), error, error.__traceback__)
        status = 1
    sys.exit(status if type(status) is int else 0)


def main():
    channel, path = take_over()
    collects = os.environ.pop("EINHORN_PRELOAD_GC", None)
    own_pid = os.getpid()
    try:
        einhorn_main = load(path)
        if collects and os.getpid() == own_pid:
            collect_garbage()
        failure = None
    except BaseException as error:
        failure = error
    if os.getpid() != own_pid:
        # A process that the code has forked came back from loading: it is nobody's worker.
        print(
            "einhorn preloader: process %d, forked while the code was loaded, ends here"
            % os.getpid(),
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)
    if not channel.is_intact():
        print(
            "einhorn preloader: the code has closed descriptor %d, which is not its own"
            % channel.number,
            file=sys.stderr,
            flush=True,
        )
        os._exit(EXIT_CHANNEL_LOST)
    try:
        if failure is not None:
            channel.send("failed", ("reason", reason_of(failure)))
            flush()
            os._exit(1)
        channel.send("ready", ("edition", EDITION), *notes())
        request, descriptors = serve(channel)
    except OSError as error:
        # The master is gone, or the code closes descriptors behind our back.
        print("einhorn preloader: %s" % error, file=sys.stderr, flush=True)
        os._exit(1 if channel.is_intact() else EXIT_CHANNEL_LOST)
    become_worker(request, descriptors)
    work(einhorn_main)


main()
