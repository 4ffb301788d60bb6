"""How workers learn that their supervisor is gone, however it went.

A pipe on which nothing is ever written. The supervisor alone keeps the end for writing, so that
reading from the other one ends with it: also when it was killed, and when that happened before a
worker began to read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


class Lifeline:
    """Made by the supervisor before it forks; each worker calls `hold` once."""

    def __init__(self) -> None:
        self._held, self._end = os.pipe()

    def hold(self, left_alone: Callable[[], None]) -> None:
        """In a worker: have `left_alone` called, by a thread, once the supervisor is gone."""
        os.close(self._end)
        threading.Thread(
            target=self._wait, args=(left_alone,), name="querymill-lifeline", daemon=True
        ).start()

    def _wait(self, left_alone: Callable[[], None]) -> None:
        os.read(self._held, 1)
        left_alone()
