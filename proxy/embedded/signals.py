"""SIGTERM and SIGHUP as exceptions, so that `with` blocks end as they do on Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise SystemExit (128 + signal) in the main thread.

    For the main thread only. A second signal does not interrupt the clean-up of the first.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        for sign in _SIGNALS:
            signal.signal(sign, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {sign: signal.signal(sign, leave) for sign in _SIGNALS}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
