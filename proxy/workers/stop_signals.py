"""Being told to stop while there is nothing to finish yet, but something to clean up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOPS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


@contextmanager
def leaving_on_signals(code: int | None = None) -> Iterator[None]:
    """Inside, a request to stop raises SystemExit in the main thread, for which this is.

    The exit code is `code`, or 128 and the signal's number. A terminal that hangs up is no such
    request, and a second one does not interrupt the clean-up of the first.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        for stop in STOPS:
            signal.signal(stop, signal.SIG_IGN)
        raise SystemExit(128 + number if code is None else code)

    before = {number: signal.signal(number, leave) for number in STOPS}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda number, frame: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
