"""What can go wrong. The numbers and names are the same in every language."""

from __future__ import annotations


class EinhornError(Exception):
    """Base of all errors of this package.

    The text names the variable or file that is wrong, its value and the reason. ``code`` is a
    number that never changes, ``kind`` its name.
    """

    code: int = 0
    kind: str = ""


class NotWorkerError(EinhornError):
    """This process is not a worker: no einhorn master is its parent."""

    code, kind = 1, "NOT_WORKER"


class BadEnvironmentError(EinhornError):
    """An ``EINHORN_`` variable is missing or its value makes no sense."""

    code, kind = 2, "ENVIRONMENT"


class NoSuchSocketError(EinhornError):
    """The master opened fewer sockets than that."""

    code, kind = 3, "NO_SUCH_SOCKET"


class BadDescriptorError(EinhornError):
    """A variable names a descriptor that is closed, no socket, or not listening."""

    code, kind = 4, "BAD_DESCRIPTOR"


class WrongFamilyError(EinhornError):
    """The socket is of another family."""

    code, kind = 5, "WRONG_FAMILY"


class UnreachableError(EinhornError):
    """The master's command socket cannot be reached."""

    code, kind = 6, "UNREACHABLE"


class NotConfirmedError(EinhornError):
    """The message was sent, but the master did not take it within 30 seconds."""

    code, kind = 7, "NOT_CONFIRMED"


class RefusedError(EinhornError):
    """Whoever listens on the command socket refused the message, or dropped it unread."""

    code, kind = 8, "REFUSED"


class MessageTooLongError(EinhornError):
    """The message is longer than a master reads, which is 1 MiB."""

    code, kind = 9, "MESSAGE_TOO_LONG"


class SystemCallError(EinhornError):
    """The system refused a call: no descriptor, thread or handler to be had."""

    code, kind = 10, "SYSTEM"


#: What the compiled part raises.
BY_KIND: dict[str, type[EinhornError]] = {
    error.kind: error for error in EinhornError.__subclasses__()
}
