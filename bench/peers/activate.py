#!/usr/bin/env python3
"""Socket activation as a service manager does it: `activate.py PORT PROGRAM`.

The listening socket is opened here and kept. The program gets it as descriptor 3, with
LISTEN_FDS and LISTEN_PID. SIGHUP restarts it as a service is restarted: it is asked to stop,
and once it has ended it is started again; whoever connects meanwhile waits in the queue.
"""

import os
import signal
import socket
import sys

SIGNALS = {signal.SIGHUP, signal.SIGTERM}
FIRST = 3


def start(program):
    pid = os.fork()
    if pid == 0:
        os.dup2(listener.fileno(), FIRST)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.execv(program, [program])
    return pid


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=socket.SOMAXCONN)
if listener.fileno() == FIRST:
    listener = listener.dup()
signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
asked = None
while asked != signal.SIGTERM:
    service = start(sys.argv[2])
    asked = signal.sigwait(SIGNALS)
    os.kill(service, signal.SIGTERM)
    os.waitpid(service, 0)
