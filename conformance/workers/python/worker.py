"""The conformance suite's worker; ../README.md tells what its words mean."""

import os
import socket
import sys
import threading

import einhorn_worker

stopping = threading.Event()


def say(text):
    os.write(1, f"{os.getpid()} {text}\n".encode())


def attempt(word, call):
    try:
        value = call()
    except einhorn_worker.EinhornError as error:
        say(f"{word} error {error}")
    else:
        say(f"{word} ok" if value is None else f"{word} {value}")


def facts():
    worker = "yes" if einhorn_worker.is_worker() else "no"
    index = einhorn_worker.child_index()
    index = "none" if index is None else index
    say(f"facts worker={worker} index={index} sockets={einhorn_worker.socket_count()}")


def where(n):
    einhorn_worker.socket(n).close()
    with einhorn_worker.socket(n) as listener:
        address = listener.getsockname()
        if listener.family == socket.AF_UNIX:
            return "unix"
        return f"{'inet' if listener.family == socket.AF_INET else 'inet6'} {address[1]}"


def stop():
    einhorn_worker.on_graceful_shutdown(stopping.set)
    say("stop registered")


def answer(connection):
    with connection, connection.makefile("rw") as lines:
        if lines.readline() == "slow\n":
            lines.write("begun\n")
            lines.flush()
            lines.readline()
        lines.write(f"{os.getpid()}\n")


def serve():
    listener = einhorn_worker.socket(0)
    while (accepted := einhorn_worker.accept(listener)) is not None:
        answer(accepted[0])
    say("serve ended")


def wait():
    stopping.wait()
    say("wait ended")


def idle():
    say("idle")
    threading.Event().wait()


for word in sys.argv[1:]:
    name, _, argument = word.partition(":")
    if name == "facts":
        facts()
    elif name == "fd":
        attempt(word, lambda: f"ok {einhorn_worker.socket_fd(int(argument))}")
    elif name == "listener":
        attempt(word, lambda: where(int(argument)))
    elif name == "stop":
        stop()
    elif name in ("ack", "ack-fd"):
        attempt("ack", einhorn_worker.ack)
    elif name == "ping":
        attempt("ping", lambda: einhorn_worker.ping(argument))
    elif name == "read":
        say(f"read {sys.stdin.readline().rstrip()}")
    elif name == "serve":
        serve()
    elif name == "wait":
        wait()
    elif name == "idle":
        idle()
    else:
        sys.exit(f"no such word: {word}")
