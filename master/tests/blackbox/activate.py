"""Opens sockets as a service manager does, and becomes the program after `--`.

Words: NAME=KIND opens something for descriptor 3 and on; VARIABLE:VALUE sets a variable of the
convention to something else, and an empty VALUE leaves it out.
"""

import os
import socket
import sys


def stream(family, address, listens=True):
    opened = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    opened.bind(address)
    if listens:
        opened.listen(100)
    return opened


def connection():
    listener = stream(socket.AF_INET, ("127.0.0.1", 0))
    return socket.create_connection(listener.getsockname()), listener


def opened(kind):
    kind, _, rest = kind.partition(":")
    if kind == "tcp4":
        return stream(socket.AF_INET, ("127.0.0.1", 0))
    if kind == "tcp6":
        return stream(socket.AF_INET6, ("::1", 0))
    if kind == "unix":
        return stream(socket.AF_UNIX, rest)
    if kind == "abstract":
        return stream(socket.AF_UNIX, "\0" + rest)
    if kind == "udp":
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        return udp
    if kind == "silent":
        return stream(socket.AF_INET, ("127.0.0.1", 0), listens=False)
    if kind == "connected":
        connected, keep = connection()
        os.dup2(keep.fileno(), 300)
        return connected
    if kind == "file":
        return open("/dev/null")
    return None


words = sys.argv[1 : sys.argv.index("--")]
program = sys.argv[sys.argv.index("--") + 1 :]
names = [word.partition("=")[0] for word in words if "=" in word]
kinds = [word.partition("=")[2] for word in words if "=" in word]
everything = [opened(kind) for kind in kinds]
# Out of the way first.
high = [one and os.dup2(one.fileno(), 200 + place) for place, one in enumerate(everything)]
for place, number in enumerate(high):
    if number is None:
        os.closerange(3 + place, 4 + place)
    else:
        os.dup2(number, 3 + place, inheritable=True)
variables = {
    "LISTEN_FDS": str(len(names)),
    "LISTEN_PID": str(os.getpid()),
    "LISTEN_FDNAMES": ":".join(names),
}
for word in words:
    variable, colon, value = word.partition(":")
    if colon and "=" not in word:
        variables[variable] = value
for variable, value in variables.items():
    if value:
        os.environ[variable] = value
# The high copies end with this program.
for number in high:
    if number is not None:
        os.set_inheritable(number, False)
os.execvp(program[0], program)
