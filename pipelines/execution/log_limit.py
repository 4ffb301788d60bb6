"""How many log lines a second are written, and how long they may be together.

Two token buckets for each key, one of lines and one of bytes: what was not used is saved up for
some seconds, so that a burst is kept whole and a flood is not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Final

BURST_SECONDS: Final = 5.0
_MOST_KEYS: Final = 1024


class _Bucket:
    __slots__ = ("at", "bytes", "left_out", "lines")

    def __init__(self, lines: float, bytes: float, at: float) -> None:
        self.lines, self.bytes, self.at = lines, bytes, at
        self.left_out = 0


class LogLimit:
    """`lines` and `bytes` a second for each key, on the average; 0 sets no limit.

    `clock` gives seconds. What it holds is bounded by the keys in use. Threads may share it: what
    two of them do at once is counted roughly.
    """

    def __init__(
        self, lines: float = 0, bytes: float = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lines = lines or math.inf
        self._bytes = bytes or math.inf
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def admit(self, key: str, size: int) -> bool:
        """Whether a line of `size` bytes may be written; one that may not is counted."""
        bucket = self._bucket(key)
        # One longer than all that can be saved up is let through for that.
        if bucket.lines >= 1 and bucket.bytes >= min(size, self._bytes * BURST_SECONDS):
            bucket.lines -= 1
            bucket.bytes -= size
            return True
        bucket.left_out += 1
        return False

    def leave_out(self, key: str, lines: int) -> None:
        """Count `lines` that were not even offered."""
        self._bucket(key).left_out += lines

    def take(self, key: str) -> int:
        """How many lines of a key were left out since it was asked last."""
        bucket = self._bucket(key)
        count, bucket.left_out = bucket.left_out, 0
        return count

    def take_all(self) -> Iterator[tuple[str, int]]:
        """`take` for every key of which something was left out."""
        for key, bucket in list(self._buckets.items()):
            if bucket.left_out:
                yield key, self.take(key)

    def _bucket(self, key: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _MOST_KEYS:
                self._forget(now)
            full = (self._lines * BURST_SECONDS, self._bytes * BURST_SECONDS)
            bucket = self._buckets[key] = _Bucket(*full, now)
        elif now > bucket.at:
            since = now - bucket.at
            bucket.lines = min(bucket.lines + since * self._lines, self._lines * BURST_SECONDS)
            bucket.bytes = min(bucket.bytes + since * self._bytes, self._bytes * BURST_SECONDS)
            bucket.at = now
        return bucket

    def _forget(self, now: float) -> None:
        """Drop keys that a new bucket would do as well for."""
        idle = [k for k, b in self._buckets.items() if now - b.at > BURST_SECONDS * 2]
        for key in idle:
            if not self._buckets[key].left_out:
                del self._buckets[key]
