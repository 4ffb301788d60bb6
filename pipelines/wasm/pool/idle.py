"""The warm sandboxes no one is using, and the rules by which they are kept or closed."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from pipelines.wasm.call import Key
from pipelines.wasm.pool.memory import private_bytes
from pipelines.wasm.sandbox import Sandbox

# After this share of a sandbox's runs or time another is made to take its place.
AGEING: Final = 0.9


class IdleSandboxes:
    """The idle sandboxes, the longest unused first. Any thread may call it.

    At most `max_live` sandboxes exist, running ones included, and `max_idle` idle ones of a key.
    Where the process has more than `max_bytes` for itself, which is looked at when one is made and
    by `close_over`, idle ones are closed and none is kept in stock.
    Sandboxes are closed by the thread that called, outside the lock.
    """

    def __init__(
        self,
        *,
        max_live: int,
        max_bytes: int,
        max_idle: int,
        recycle_runs: int,
        recycle_seconds: float,
        used: Callable[[], int] = private_bytes,
    ) -> None:
        """`used` tells the bytes this process has for itself."""
        self._max_live = max_live
        self._max_bytes = max_bytes
        self._used = used
        self._max_idle = max_idle
        self._recycle_runs = recycle_runs
        self._recycle_seconds = recycle_seconds
        self._lock = threading.Lock()
        # with the moment from which on each is not used
        self._idle: OrderedDict[Sandbox, tuple[Key, float]] = OrderedDict()
        self._by_key: dict[Key, list[Sandbox]] = {}
        self._live = 0
        self._closed = False
        self._counts = dict.fromkeys(("created", "recycled", "trapped", "evicted"), 0)

    def take_idle(self, key: Key) -> Sandbox | None:
        """The warmest idle sandbox of `key`, if there is one."""
        with self._lock:
            same = self._by_key.get(key)
            if not same:
                return None
            sandbox = same.pop()
            del self._idle[sandbox]
            return sandbox

    def take(self, key: Key, make: Callable[[], Sandbox]) -> Sandbox:
        """The warmest idle sandbox of `key`, or a new one from `make`."""
        return self.take_idle(key) or self.make(make)

    def make(self, make: Callable[[], Sandbox]) -> Sandbox:
        """A new sandbox; one that is idle makes room for it where there are too many."""
        with self._lock:
            self._live += 1
            evicted = self._over_limit()
        for sandbox in evicted:
            sandbox.close()
        self.close_over()
        try:
            made = make()
        except BaseException:
            with self._lock:
                self._live -= 1
            raise
        with self._lock:
            self._counts["created"] += 1
        return made

    def count(self, key: Key) -> int:
        """How many idle ones of `key` there are."""
        with self._lock:
            return len(self._by_key.get(key, ()))

    def fill(
        self, key: Key, make: Callable[[], Sandbox], wanted: int, *, unused_for: float
    ) -> None:
        """Have `wanted` idle sandboxes of `key`, as far as there is room for them.

        Room is also made of what nobody used for `unused_for` seconds, but not of anything else.
        """
        while True:
            over = self._used() > self._max_bytes
            with self._lock:
                if self._closed or len(self._by_key.get(key, ())) >= wanted:
                    return
                full = over or self._live >= self._max_live
                if full and not self._oldest(unused_for):
                    return
            made = self.make(make)
            with self._lock:
                if not self._closed:
                    self._add(key, made)
                    continue
                self._live -= 1
            made.close()
            return

    def drop(self, key: Key, kept: int) -> None:
        """Close idle sandboxes of `key` until no more than `kept` are left."""
        with self._lock:
            same = self._by_key.get(key, [])
            dropped = [self._remove(each) for each in same[: max(len(same) - kept, 0)]]
            self._live -= len(dropped)
        for sandbox in dropped:
            sandbox.close()

    def close_old(self) -> None:
        """Close what was not used for as long as a sandbox may live."""
        old = []
        with self._lock:
            while (oldest := self._oldest(self._recycle_seconds)) is not None:
                old.append(self._remove(oldest))
            self._live -= len(old)
            self._counts["recycled"] += len(old)
        for sandbox in old:
            sandbox.close()

    def close_over(self) -> None:
        """Close what was not used for longest until the process has no more than it may."""
        while self._used() > self._max_bytes:
            with self._lock:
                if not self._idle:
                    return
                sandbox = self._evict()
            sandbox.close()

    def renew(self, key: Key, make: Callable[[], Sandbox]) -> None:
        """Have an idle sandbox of `key` that will last, if there is room without closing any."""
        with self._lock:
            same = self._by_key.get(key, ())
            lasting = any(self.age(each) < AGEING for each in same)
            if lasting or self._closed or self._live >= self._max_live:
                return
        made = self.make(make)
        with self._lock:
            if not self._closed:
                # Behind those that are there: they are used up first.
                self._add(key, made, place=0)
                return
            self._live -= 1
        made.close()

    def age(self, sandbox: Sandbox) -> float:
        """The share of its runs or its time that it has used up; from 1 on `put` closes it."""
        seconds = time.monotonic() - sandbox.made
        if seconds >= self._recycle_seconds:
            return 1.0
        return max(sandbox.runs / self._recycle_runs, seconds / self._recycle_seconds)

    def put(self, key: Key, sandbox: Sandbox, *, keep: bool) -> None:
        """Takes a sandbox back, and closes it if it is spent or there is no room."""
        now = time.monotonic()
        with self._lock:
            old = self.age(sandbox) >= 1
            if keep and sandbox.alive and not old and not self._closed:
                same = self._by_key.setdefault(key, [])
                if len(same) < self._max_idle:
                    same.append(sandbox)
                    self._idle[sandbox] = key, now
                    return
            self._counts["trapped"] += not sandbox.alive
            self._counts["recycled"] += keep and sandbox.alive and old
            self._live -= 1
            self._forget(key)
        sandbox.close()

    def close(self) -> None:
        """Closes what is idle; what still runs is closed when it is put back."""
        with self._lock:
            self._closed = True
            idle = list(self._idle)
            self._idle.clear()
            self._by_key.clear()
            self._live -= len(idle)
        for sandbox in idle:
            sandbox.close()

    def stats(self) -> dict[str, int]:
        """Sandboxes now live and idle; created, recycled, trapped and evicted so far."""
        with self._lock:
            return {"live": self._live, "idle": len(self._idle), **self._counts}

    def _add(self, key: Key, sandbox: Sandbox, *, place: int | None = None) -> None:
        self._idle[sandbox] = key, time.monotonic()
        same = self._by_key.setdefault(key, [])
        same.insert(len(same) if place is None else place, sandbox)

    def _remove(self, sandbox: Sandbox) -> Sandbox:
        key, _ = self._idle.pop(sandbox)
        self._by_key[key].remove(sandbox)
        self._forget(key)
        return sandbox

    def _forget(self, key: Key) -> None:
        """Hold no empty list for a UDF that is not run any more."""
        if not self._by_key.get(key, True):
            del self._by_key[key]

    def _oldest(self, seconds: float) -> Sandbox | None:
        """The one idle for longest, if it is that long."""
        for sandbox, (_, since) in self._idle.items():
            return sandbox if time.monotonic() - since >= seconds else None
        return None

    def _over_limit(self) -> list[Sandbox]:
        evicted: list[Sandbox] = []
        while self._live > self._max_live and self._idle:
            evicted.append(self._evict())
        return evicted

    def _evict(self) -> Sandbox:
        self._live -= 1
        self._counts["evicted"] += 1
        return self._remove(next(iter(self._idle)))
