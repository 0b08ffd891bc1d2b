# What the tests' workers do. `report` writes what a process finds to the file `report.PID`, and
# renames it when it is whole; `ack` says that it is up; `serve` answers on every socket until
# SIGUSR2, and `wait` only waits for that.
import gc
import json
import os
import random
import select
import signal
import socket
import sys


def report():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    descriptors = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            descriptors[number] = os.readlink("/proc/self/fd/" + number)
        except OSError:
            pass
    facts = dict(
        pid=os.getpid(),
        parent=os.getppid(),
        group=os.getpgid(0),
        argv=sys.argv[1:],
        environment={n: v for n, v in os.environ.items() if n.startswith("EINHORN_")},
        folder=os.getcwd(),
        random=random.random(),
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        blocked=status["SigBlk"].strip(),
        descriptors=descriptors,
        version=VERSION,
        collected=gc.get_freeze_count(),
        program=sys.executable,
        prefix=sys.prefix,
        script=sys.argv[0],
        path=sys.path[0],
        name=__name__,
    )
    path = os.environ["TMPDIR"] + "/report.%d" % os.getpid()
    with open(path + ".new", "w") as file:
        json.dump(facts, file)
    os.rename(path + ".new", path)


def ack():
    master = socket.socket(socket.AF_UNIX)
    master.connect(os.environ["EINHORN_SOCK_PATH"])
    master.sendall(json.dumps({"command": "worker:ack", "pid": os.getpid()}).encode() + b"\n")
    master.recv(1)


def serve(up=lambda: None):
    stopped, stop = os.pipe()
    os.set_blocking(stop, False)
    signal.set_wakeup_fd(stop)
    signal.signal(signal.SIGUSR2, lambda *_: None)
    listeners = []
    for n in range(int(os.environ["EINHORN_FD_COUNT"])):
        listener = socket.socket(fileno=os.dup(int(os.environ["EINHORN_FD_%d" % n])))
        listener.setblocking(False)
        listeners.append(listener)
    up()
    while True:
        ready = select.select([stopped] + listeners, [], [])[0]
        # A signal's number is read: others wake it up too, some before their handler runs.
        if stopped in ready and signal.SIGUSR2 in os.read(stopped, 64):
            return 0
        for listener in (one for one in ready if one != stopped):
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                continue
            client.setblocking(True)
            while not client.recv(1000).endswith(b"\n"):
                pass
            client.sendall(b"%d %s\n" % (os.getpid(), VERSION.encode()))
            client.close()


def wait(up=lambda: None):
    serve(up)
