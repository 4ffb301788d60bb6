"""How steady the machine was: one piece of computing, done again in between."""

from __future__ import annotations

import inspect
import time
import typing
from typing import Final

_TRIES: Final = 3


class Reference:
    """Takes the time of compiling a module of the standard library, which uses much of Python.

    Its time tells of what a benchmark cannot see: other machines on the same host, which take
    from the caches and from the cores it shares with them.
    """

    def __init__(self) -> None:
        self._source = inspect.getsource(typing)
        self.times_ms: list[float] = []

    def take(self) -> None:
        """Once more: the best of a few tries."""
        tries = []
        for _ in range(_TRIES):
            began = time.process_time()
            compile(self._source, "typing.py", "exec")
            tries.append(time.process_time() - began)
        self.times_ms.append(min(tries) * 1000)
