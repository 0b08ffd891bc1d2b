"""Stands in for the compiled part where that cannot be loaded.

No master runs on such a system, so a program is told that it is no worker, and runs.
"""

from __future__ import annotations

from ._errors import NotWorkerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, NoReturn, Optional

#: Why the compiled part is missing.
reason: str = ""


def _refuse() -> NoReturn:
    raise NotWorkerError(
        "not a worker: the compiled part of einhorn_worker cannot be loaded here "
        f"({reason}); install a wheel for this system, or build it from source"
    )


def is_worker() -> bool:
    return False


def child_index() -> Optional[int]:
    return None


def socket_count() -> int:
    return 0


def socket_fd(n: int) -> int:
    _refuse()


def owned_fd(n: int) -> int:
    _refuse()


def ack() -> None:
    _refuse()


def ping(request_id: str) -> None:
    _refuse()


def on_graceful_shutdown(callback: Callable[[], object]) -> None:
    """No master, no request: the callback is never called."""


def graceful_shutdown_fd() -> int:
    _refuse()
