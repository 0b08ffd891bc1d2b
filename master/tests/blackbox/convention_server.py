"""A program that never heard of einhorn: it takes its sockets by LISTEN_FDS and stops by SIGTERM."""

import os
import selectors
import signal
import socket
import sys

if os.environ.get("LISTEN_PID") != str(os.getpid()):
    sys.exit("the sockets are not for me")
count = int(os.environ["LISTEN_FDS"])
version = sys.argv[1] if len(sys.argv) > 1 else "1"

reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)
signal.signal(signal.SIGTERM, lambda number, frame: None)

selector = selectors.DefaultSelector()
selector.register(reader, selectors.EVENT_READ)
for number in range(3, 3 + count):
    listener = socket.socket(fileno=number)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ)

while True:
    for key, _ in selector.select():
        if key.fileobj == reader:
            os._exit(0)
        try:
            client, _ = key.fileobj.accept()
        except BlockingIOError:
            continue
        client.setblocking(True)
        try:
            client.recv(100)
            client.sendall(f"{os.getpid()} {version}\n".encode())
        except OSError:
            pass
        client.close()
