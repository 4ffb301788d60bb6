"""New sandboxes kept ready for UDFs that need one for every run, and the closing of used ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pipelines.errors import StageError
from pipelines.wasm.call import Key
from pipelines.wasm.pool.idle import IdleSandboxes
from pipelines.wasm.sandbox import Sandbox

FIRST: Final = 2
"""How many are kept of a UDF whose demand is not known yet."""
PAUSE_SECONDS: Final = 0.002
"""How long making and closing wait for the request that just used one to be answered."""

Make = Callable[[], Sandbox]


@dataclass(slots=True)
class _Demand:
    """Of one key: how many are kept ready, how low that fell since it was last looked at."""

    make: Make
    wanted: int
    last: float
    lowest: int
    filling: bool = False


class Prewarmer:
    """Keeps new sandboxes ready by demand. One event loop uses it.

    `FIRST` of a UDF that was run lately, twice as many each time a run takes the last one, `most`
    at most; fewer again when they were not all needed for `rest_seconds`, and none once it was not
    run for that long. All of it within the budget of the idle ones.

    Making and closing hold the interpreter and the process's memory map for moments at a time,
    so that they are done on a thread of its own, and where there is time when the request that
    needed the sandbox has been answered.
    """

    def __init__(
        self,
        idle: IdleSandboxes,
        *,
        most: int,
        rest_seconds: float,
        is_doubtful: Callable[[Key], bool] = lambda key: False,
    ) -> None:
        """`is_doubtful` tells of what no sandbox is made ahead: it may not end while it loads."""
        self._idle = idle
        self._most = most
        self._is_doubtful = is_doubtful
        self._rest_seconds = rest_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="querymill-stock")
        self._demands: dict[Key, _Demand] = {}
        self._touched: set[Key] = set()
        self._renewing: set[Key] = set()
        self._used: list[tuple[Key, Sandbox]] = []
        self._pause: asyncio.TimerHandle | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    def discard(self, key: Key, sandbox: Sandbox) -> None:
        """Have a sandbox closed that is not to be used again."""
        self._used.append((key, sandbox))
        if self._closed:
            self._close_used(self._used)
        else:
            self._later()

    def ran(self, key: Key, make: Make) -> None:
        """A run took a sandbox of `key`, or made one: see that there are others."""
        if self._closed or not self._most or self._is_doubtful(key):
            return
        level = self._idle.count(key)
        demand = self._demands.get(key)
        if demand is None:
            first = min(FIRST, self._most)
            demand = self._demands[key] = _Demand(make, first, 0.0, first)
        elif not level:
            demand.wanted = min(demand.wanted * 2, self._most)
        demand.last, demand.lowest = time.monotonic(), min(demand.lowest, level)
        if level <= demand.wanted // 2:
            self._refill(key, demand)
        else:
            self._touched.add(key)
            self._later()

    def renew(self, key: Key, make: Make) -> None:
        """Have a sandbox made to take the place of one that is ageing. Any thread may call it."""
        if key not in self._renewing and not self._closed and not self._is_doubtful(key):
            self._renewing.add(key)
            self._submit(self._renewed, key, make)

    def sweep_later(self) -> None:
        """See to it that what is idle for long is closed."""
        if self._sweep is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(self._rest_seconds, self._swept)

    async def close(self) -> None:
        """Waits for what is being made or closed."""
        self._closed = True
        for timer in (self._pause, self._sweep):
            if timer is not None:
                timer.cancel()
        await asyncio.to_thread(self._thread.shutdown)
        await asyncio.to_thread(self._close_used, self._used)

    def _later(self) -> None:
        if self._pause is None:
            loop = asyncio.get_running_loop()
            self._pause = loop.call_later(PAUSE_SECONDS, self._paused)

    def _paused(self) -> None:
        self._pause = None
        if self._closed:
            return
        used, self._used = self._used, []
        if used:
            self._submit(self._close_used, used)
        touched, self._touched = self._touched, set()
        for key in touched & self._demands.keys():
            self._refill(key, self._demands[key])

    def _refill(self, key: Key, demand: _Demand) -> None:
        if not demand.filling:
            demand.filling = True
            self._submit(self._fill, key, demand)

    def _fill(self, key: Key, demand: _Demand) -> None:
        try:
            self._idle.fill(key, demand.make, demand.wanted, unused_for=self._rest_seconds)
        except StageError:
            # The run that needs one finds out the same, and says so.
            pass
        finally:
            demand.filling = False

    def _renewed(self, key: Key, make: Make) -> None:
        try:
            self._idle.renew(key, make)
        except StageError:
            # As above.
            pass
        finally:
            self._renewing.discard(key)

    def _close_used(self, used: list[tuple[Key, Sandbox]]) -> None:
        while used:
            key, sandbox = used.pop()
            self._idle.put(key, sandbox, keep=not key[3])

    def _swept(self) -> None:
        self._sweep = None
        if self._closed:
            return
        now = time.monotonic()
        for key, demand in list(self._demands.items()):
            if now - demand.last >= self._rest_seconds:
                del self._demands[key]
                self._submit(self._idle.drop, key, 0)
            else:
                needed = max(min(FIRST, self._most), demand.wanted - demand.lowest + 1)
                demand.wanted = min(demand.wanted, needed)
                demand.lowest = demand.wanted
                self._submit(self._idle.drop, key, demand.wanted)
        self._submit(self._idle.close_old)
        self._submit(self._idle.close_over)
        if self._idle.stats()["live"]:
            self.sweep_later()

    def _submit(self, act: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # shut down meanwhile
            self._thread.submit(act, *arguments)
