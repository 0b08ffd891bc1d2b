"""Sockets for :mod:`einhorn_worker`, apart so that importing the package stays cheap."""

from __future__ import annotations

import errno
import select
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Tuple

#: Errors of ``accept`` that concern one connection, which is gone, and not the listener.
_CONNECTION_IS_GONE = frozenset({errno.ECONNABORTED, errno.EPROTO})


class InheritedUnixSocket(socket.socket):
    """A unix socket whose file belongs to the master."""

    def getsockname(self) -> Any:
        """The address, as ever; asyncio is told that it is an abstract one, without a file.

        Since Python 3.13 asyncio removes the file of a unix socket when its server closes,
        whoever made it, and all later workers would be out of reach.
        """
        if sys._getframe(1).f_globals.get("__name__") == "asyncio.unix_events":
            return "\0"
        return super().getsockname()


def from_descriptor(fd: int) -> socket.socket:
    """A socket object of the right family and type, which owns ``fd``."""
    try:
        plain = socket.socket(fileno=fd)
    except BaseException:
        import os

        os.close(fd)
        raise
    if plain.family != getattr(socket, "AF_UNIX", None):
        return plain
    return InheritedUnixSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())


def accept(listener: socket.socket, stop: int) -> Optional[Tuple[socket.socket, Any]]:
    """The next connection, or None when ``stop`` is readable."""
    # Another worker may take the connection between poll and accept.
    listener.setblocking(False)
    poll = select.poll()
    poll.register(stop, select.POLLIN)
    poll.register(listener, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if stop in ready:
            return None
        try:
            connection, address = listener.accept()
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno in _CONNECTION_IS_GONE:
                continue
            raise
        connection.setblocking(True)
        return connection, address
