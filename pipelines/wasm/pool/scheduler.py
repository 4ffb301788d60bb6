"""The threads UDFs run on, and who begins next: short runs one at a time, long ones beside them.

Threads of one interpreter that run short calls at once get less done together than one of them
alone, as they hand the interpreter's lock to and fro. So the next run begins when the last is done;
but a run that takes long must not hold up the others, so after a while it no longer counts.

Nothing is known of a UDF that was not run to its end yet. One may be endless, so they leave a
thread to the others. Runs of UDFs whose last one passed its deadline are long ones from the
beginning, and have one place among them.

A thread that is done has the next run begin by itself. An event loop with much to do would get to
it once a turn, and answer many others meanwhile that came later.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from pipelines.wasm.pool.idle_priority import lower_priority

T = TypeVar("T")

Lane = Literal["short", "new", "long", "runaway"]

SHORT_SECONDS: Final = 0.02
"""A run that is not done by then is a long one."""
_LANES: Final[tuple[Lane, ...]] = ("short", "new", "long", "runaway")

# Runs of these are young at first.
_YOUNG: Final[frozenset[Lane]] = frozenset({"short", "new"})


class NotBegunError(Exception):
    """There was no thread for a run in the time it could wait, or there will be none any more."""


@dataclass(eq=False, slots=True)
class _Run:
    """Work for a thread; `last`: for the one that gives way. `open` until it begins or is late."""

    work: Callable[[], Any]
    lane: Lane
    last: bool
    order: int
    open: bool = True
    began: float = 0.0
    future: Future[Any] = field(default_factory=Future)


class Scheduler:
    """Lets `threads` runs go on at once, of which one is young. Used from one event loop."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="querymill-udf")
        # For runaways, while the processors have nothing else to do.
        self._last = ThreadPoolExecutor(
            1, thread_name_prefix="querymill-runaway", initializer=lower_priority
        )
        # Of all below: threads that are done see to it, too.
        self._lock = threading.Lock()
        self._waiting: dict[Lane, deque[_Run]] = {lane: deque() for lane in _LANES}
        self._order = itertools.count()
        self._running = 0
        self._young: _Run | None = None
        # Of these lanes only so many go on at once.
        self._going: dict[Lane, int] = {"new": 0, "runaway": 0}
        self._most: dict[Lane, int] = {"new": max(threads - 1, 1), "runaway": 1}
        self._closed = False
        self._look: asyncio.TimerHandle | None = None

    async def run(
        self,
        work: Callable[[], T],
        lane: Lane = "short",
        *,
        last: bool = False,
        within: float | None = None,
    ) -> T:
        """What `work` gives, in order of arrival in its lane.

        "new" says that no run of the UDF has ended well yet, "runaway" that its last one passed its
        deadline, "long" that this one is not short, so that it is never young. With `last` it gives
        way to everything else of the machine. Raises NotBegunError after `within` seconds without a
        thread; a caller that is cancelled after it has begun does not end it.
        """
        run = _Run(work, lane, last, next(self._order))
        with self._lock:
            if self._closed:
                raise NotBegunError
            self._waiting[lane].append(run)
            self._start()
            held_up = self._waits_for_young()
        if held_up and self._look is None:
            self._look_later(SHORT_SECONDS)
        timer = None
        if within is not None and run.open:
            timer = asyncio.get_running_loop().call_later(within, self._expire, run)
        try:
            result: T = await asyncio.wrap_future(run.future)
            return result
        finally:
            if timer is not None:
                timer.cancel()

    async def close(self) -> None:
        """Begins nothing more, and waits for what has begun."""
        with self._lock:
            self._closed = True
            waiting = [run for lane in self._waiting.values() for run in lane]
        for run in waiting:
            self._expire(run)
        if self._look is not None:
            self._look.cancel()
        await asyncio.to_thread(self._executor.shutdown)
        await asyncio.to_thread(self._last.shutdown)

    def _expire(self, run: _Run) -> None:
        """Give a run up that has not begun."""
        with self._lock:
            late, run.open = run.open, False
        if late and run.future.set_running_or_notify_cancel():
            run.future.set_exception(NotBegunError())

    def _start(self, done: _Run | None = None) -> _Run | None:
        """Have all begin that may. Any thread may call it, with the lock.

        The thread of a run that is `done` is given one of them to go on with, if there is any.
        """
        kept = None
        while not self._closed and self._running < self._threads:
            able = [lane for lane in _LANES if self._is_free(lane) and self._first(lane)]
            if not able:
                break
            lane = min(able, key=lambda each: self._waiting[each][0].order)
            run = self._waiting[lane].popleft()
            run.open = False
            if not run.future.set_running_or_notify_cancel():
                continue
            self._running += 1
            if lane in _YOUNG:
                self._young, run.began = run, time.monotonic()
            if lane in self._going:
                self._going[lane] += 1
            if kept is None and done is not None and done.last == run.last:
                kept = run
            else:
                (self._last if run.last else self._executor).submit(self._work, run)
        return kept

    def _is_free(self, lane: Lane) -> bool:
        if lane in self._going and self._going[lane] >= self._most[lane]:
            return False
        if lane == "runaway" and self._going["new"]:
            # One that gives way may get no processor beside them while it is wanted for the
            # interpreter's lock: the event loop then waits with it.
            return False
        return lane not in _YOUNG or self._young is None

    def _waits_for_young(self) -> bool:
        return any(self._first(lane) for lane in _YOUNG)

    def _first(self, lane: Lane) -> _Run | None:
        """The first that still waits."""
        queue = self._waiting[lane]
        while queue and not queue[0].open:
            queue.popleft()
        return queue[0] if queue else None

    def _work(self, run: _Run | None) -> None:
        """On a thread, which goes on with the next one: to wake another takes longer."""
        while run is not None:
            try:
                result = run.work()
            except BaseException as error:
                following = self._done(run)
                run.future.set_exception(error)
            else:
                following = self._done(run)
                run.future.set_result(result)
            run = following

    def _done(self, run: _Run) -> _Run | None:
        with self._lock:
            self._running -= 1
            if self._young is run:
                self._young = None
            if run.lane in self._going:
                self._going[run.lane] -= 1
            return self._start(run)

    def _look_later(self, seconds: float) -> None:
        self._look = asyncio.get_running_loop().call_later(seconds, self._looked)

    def _looked(self) -> None:
        """See whether the young run has become a long one; as long as others wait for it."""
        self._look = None
        with self._lock:
            now = time.monotonic()
            if self._young is not None and now - self._young.began >= SHORT_SECONDS:
                self._young = None
                self._start()
            young = self._young
            if self._closed or not self._waits_for_young():
                return
        grown = SHORT_SECONDS if young is None else young.began + SHORT_SECONDS - now
        self._look_later(max(grown, 0.001))
