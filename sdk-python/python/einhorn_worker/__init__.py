"""Makes a program a good worker of an einhorn master.

The master opens the listening sockets once, runs several copies of the program, and replaces
them one after the other when the code changes, without losing a connection. A worker does
three things for that::

    import einhorn_worker, threading

    listener = einhorn_worker.socket(0)             # 1. serve on the master's socket
    stop = threading.Event()
    einhorn_worker.on_graceful_shutdown(stop.set)   # 2. finish and exit when asked
    if einhorn_worker.is_worker():
        einhorn_worker.ack()                        # 3. say that this worker is up

Register for the request to stop before :func:`ack`: until then SIGUSR2, by which the master
asks, kills the program as it does by default.

Outside a master everything loads, :func:`is_worker` is false, :func:`socket_count` is 0, and
what cannot work raises an :class:`EinhornError` that says what is missing.

The functions may be called from any thread. They read the environment at each call and change
nothing in it; none closes an inherited descriptor.
"""

from __future__ import annotations

from ._errors import (
    BadDescriptorError,
    BadEnvironmentError,
    EinhornError,
    MessageTooLongError,
    NoSuchSocketError,
    NotConfirmedError,
    NotWorkerError,
    RefusedError,
    SystemCallError,
    UnreachableError,
    WrongFamilyError,
)

# As typing has it, whose import would cost more than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import socket as _socket
    from typing import Any, Callable, Optional, Tuple, TypeVar

    from . import _einhorn_worker as _native

    _Callback = TypeVar("_Callback", bound=Callable[[], object])
else:
    try:
        from . import _einhorn_worker as _native
    except ImportError as error:
        from . import _unavailable as _native

        _native.reason = str(error)

__all__ = [
    "BadDescriptorError",
    "BadEnvironmentError",
    "EinhornError",
    "MessageTooLongError",
    "NoSuchSocketError",
    "NotConfirmedError",
    "NotWorkerError",
    "RefusedError",
    "SystemCallError",
    "UnreachableError",
    "WrongFamilyError",
    "accept",
    "ack",
    "child_index",
    "graceful_shutdown",
    "graceful_shutdown_fd",
    "is_worker",
    "on_graceful_shutdown",
    "ping",
    "socket",
    "socket_count",
    "socket_fd",
    "stop_accepting",
]


def is_worker() -> bool:
    """Whether a master started this very process.

    False outside a master, in a child of a worker (a shell that does not exec, ``uv run``,
    ``multiprocessing``), and in an orphan whose master has died. Never raises.
    """
    return _native.is_worker()


def child_index() -> Optional[int]:
    """This worker's index, or None in a process that is not a worker.

    The smallest, from 0, that no living worker had when this one was started, kept for life.
    Unique among the living; after an upgrade it may be as large as the number of workers or
    larger. Never raises.
    """
    return _native.child_index()


def socket_count() -> int:
    """How many listening sockets the master opened; 0 outside a master. Never raises."""
    return _native.socket_count()


def socket_fd(n: int = 0) -> int:
    """The number of the inherited descriptor of socket ``n``.

    ``n`` counts from 0, in the order of the master's ``-b`` options. The descriptor is open,
    a stream socket and listening; it stays inherited, and all workers share it.

    Raises :class:`NoSuchSocketError`, :class:`BadEnvironmentError` or
    :class:`BadDescriptorError`.
    """
    return _native.socket_fd(_index(n))


def socket(n: int = 0) -> _socket.socket:
    """Socket ``n`` as a :class:`socket.socket` of the right family and type, listening.

    The program owns it: it is a close-on-exec duplicate, a new one at each call, and closing
    it closes nothing else. Do not ``shutdown`` it, which would stop all workers. Workers share
    the mode too, blocking or not: an ``accept`` that finds nothing (BlockingIOError) is
    normal; :func:`accept` and asyncio take care of that.

    The file of a unix socket is the master's: no asyncio server removes it.

    Raises as :func:`socket_fd`, and :class:`SystemCallError` when no descriptor is free.
    """
    from ._listening import from_descriptor

    return from_descriptor(_native.owned_fd(_index(n)))


def ack() -> None:
    """Tells the master that this worker is up, and waits until it has taken that.

    That takes well under a millisecond, 30 seconds at most; other threads run meanwhile, and
    in asyncio ``await asyncio.to_thread(einhorn_worker.ack)`` keeps the loop free. Needed
    where the master runs with ``--ack-mode manual``; harmless elsewhere and when repeated.

    Raises :class:`NotWorkerError` in a process that is not a worker (the text tells why),
    :class:`BadEnvironmentError`, :class:`UnreachableError`, :class:`NotConfirmedError`,
    :class:`RefusedError`.
    """
    _native.ack()


def ping(request_id: str) -> None:
    """Tells the master that this worker is alive and busy with ``request_id``, your text.

    The master's state shows it. Waits and raises as :func:`ack`, and
    :class:`MessageTooLongError` beyond 1 MiB.
    """
    _native.ping(request_id)


def on_graceful_shutdown(callback: _Callback) -> _Callback:
    """Calls ``callback`` without arguments when the master asks this worker to stop.

    Once, on a thread of this package, never inside a signal handler; set a
    :class:`threading.Event`, call ``server.shutdown``, do what you like. Several registrations
    are all called, one that comes after the request at once; a second request does nothing. An
    exception in ``callback`` goes to :func:`sys.unraisablehook`. Returns ``callback``, so it
    serves as a decorator.

    The main thread is not interrupted: a loop that blocks in ``listener.accept()`` does not
    see the request. Use :func:`accept`, or poll :func:`graceful_shutdown_fd` too, or give the
    listener a timeout, or accept in a daemon thread.

    Works outside a master too (try ``kill -USR2``), and takes the place of any other handler
    for SIGUSR2. A forked child is not a worker: there the signal kills, as by default, until
    the child registers itself.

    Raises TypeError if ``callback`` is not callable, :class:`SystemCallError`.
    """
    if not callable(callback):
        raise TypeError(f"callback must be callable, not {type(callback).__name__}")
    _native.on_graceful_shutdown(callback)
    return callback


def graceful_shutdown_fd() -> int:
    """A descriptor that is readable once the master has asked this worker to stop.

    For :mod:`select` and :mod:`selectors`. It stays readable, need not be read, is the same at
    every call, and must not be closed. Registers as :func:`on_graceful_shutdown` does.

    Raises :class:`SystemCallError`.
    """
    return _native.graceful_shutdown_fd()


def accept(listener: _socket.socket) -> Optional[Tuple[_socket.socket, Any]]:
    """The next connection and its address, or None when the master asks this worker to stop.

    A blocking ``accept`` that sees the request::

        while (accepted := einhorn_worker.accept(listener)) is not None:
            connection, address = accepted

    Makes ``listener`` non-blocking; the connection blocks. Connections that another worker
    took are passed over. Raises OSError as ``listener.accept()`` does.
    """
    from ._listening import accept as accept_or_stop

    return accept_or_stop(listener, _native.graceful_shutdown_fd())


def graceful_shutdown() -> asyncio.Future[None]:
    """An awaitable for asyncio, done when the master asks this worker to stop.

    It registers at once, not when it is awaited, so that :func:`ack` may come between::

        stopping = einhorn_worker.graceful_shutdown()
        einhorn_worker.ack()
        await stopping

    Call it in a coroutine: it belongs to the running loop. Raises RuntimeError without one,
    :class:`SystemCallError`.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def finish() -> None:
        if not future.done():
            future.set_result(None)

    def from_another_thread() -> None:
        try:
            loop.call_soon_threadsafe(finish)
        except RuntimeError:
            pass  # the loop is closed, nobody waits

    _native.on_graceful_shutdown(from_another_thread)
    return future


async def stop_accepting(server: asyncio.Server) -> None:
    """Closes an asyncio server's listening sockets without losing a connection.

    ``server.close()`` alone drops connections that were accepted in the same moment. After this
    they all have their transports and, with :func:`asyncio.start_server`, their tasks; what
    remains is to wait for them::

        await einhorn_worker.stop_accepting(server)
        begun = asyncio.all_tasks() - {asyncio.current_task()}
        if begun:
            await asyncio.wait(begun)

    Does nothing to a server that is closed.
    """
    import asyncio

    loop = server.get_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    # Accepted, made into a transport, announced, made into a task: a round of the loop each.
    for _ in range(5):
        await asyncio.sleep(0)
    server.close()


def _index(n: int) -> int:
    if n < 0:
        raise NoSuchSocketError(f"there is no socket {n}: indexes count from 0")
    return n
