"""The warm sandboxes no one is using, and the rules by which they are kept or closed."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from pipelines.wasm.sandbox import Sandbox

# UDF version, parameters, memory: a sandbox is never shared beyond one of these
Key = tuple[str, bytes, int]


class Shelf:
    """The idle sandboxes, the longest unused first. Any thread may call it.

    At most `max_live` sandboxes exist, running ones included, and `max_idle` idle ones of a key.
    Sandboxes are closed by the thread that called, outside the lock.
    """

    def __init__(
        self, *, max_live: int, max_idle: int, recycle_runs: int, recycle_seconds: float
    ) -> None:
        self._max_live = max_live
        self._max_idle = max_idle
        self._recycle_runs = recycle_runs
        self._recycle_seconds = recycle_seconds
        self._lock = threading.Lock()
        self._idle: OrderedDict[Sandbox, Key] = OrderedDict()
        self._live = 0
        self._closed = False
        self._counts = dict.fromkeys(("created", "recycled", "trapped", "evicted"), 0)

    def take(self, key: Key, make: Callable[[], Sandbox], *, fresh: bool) -> Sandbox:
        """The warmest idle sandbox of `key`, or a new one from `make` (always with `fresh`)."""
        with self._lock:
            found = None if fresh else self._newest(key)
            if found is not None:
                del self._idle[found]
                return found
            self._live += 1
            evicted = self._over_limit()
        for sandbox in evicted:
            sandbox.close()
        try:
            made = make()
        except BaseException:
            with self._lock:
                self._live -= 1
            raise
        with self._lock:
            self._counts["created"] += 1
        return made

    def put(self, key: Key, sandbox: Sandbox, *, keep: bool) -> None:
        """Takes a sandbox back, and closes it if it is spent or there is no room."""
        with self._lock:
            old = self._spent(sandbox)
            self._counts["trapped"] += not sandbox.alive
            self._counts["recycled"] += keep and sandbox.alive and old
            if keep and sandbox.alive and not old and self._has_room(key):
                self._idle[sandbox] = key
                return
            self._live -= 1
        sandbox.close()

    def close(self) -> None:
        """Closes what is idle; what still runs is closed when it is put back."""
        with self._lock:
            self._closed = True
            idle = list(self._idle)
            self._idle.clear()
            self._live -= len(idle)
        for sandbox in idle:
            sandbox.close()

    def stats(self) -> dict[str, int]:
        """Sandboxes now live and idle; created, recycled, trapped and evicted so far."""
        with self._lock:
            return {"live": self._live, "idle": len(self._idle), **self._counts}

    def _newest(self, key: Key) -> Sandbox | None:
        return next((box for box, its in reversed(self._idle.items()) if its == key), None)

    def _over_limit(self) -> list[Sandbox]:
        evicted: list[Sandbox] = []
        while self._live > self._max_live and self._idle:
            evicted.append(self._idle.popitem(last=False)[0])
            self._live -= 1
        self._counts["evicted"] += len(evicted)
        return evicted

    def _spent(self, sandbox: Sandbox) -> bool:
        age = time.monotonic() - sandbox.made
        return sandbox.runs >= self._recycle_runs or age >= self._recycle_seconds

    def _has_room(self, key: Key) -> bool:
        same = sum(its == key for its in self._idle.values())
        return not self._closed and same < self._max_idle
