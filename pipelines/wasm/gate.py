"""Who may enter a sandbox now: short runs one at a time, long ones beside them.

Threads of one interpreter that run short calls at once get less done together than one of them
alone, as they hand the interpreter's lock to and fro. So the next run begins when the last is done;
but a run that takes long must not hold up the others, so after a while it no longer counts. Runs of
UDFs whose last one passed its deadline are long ones from the beginning, and have one place among
them, so that they cannot take all.
"""

from __future__ import annotations

import asyncio

# A run that is not done by then is a long one.
SHORT_SECONDS = 0.02


class Gate:
    """Lets `threads` runs in at once, of which one is young. Used from one event loop."""

    def __init__(self, threads: int) -> None:
        self._threads = asyncio.Semaphore(threads)
        self._young = asyncio.Semaphore(1)
        self._runaway = asyncio.Semaphore(1)

    async def enter(self, *, runaway: bool = False, long: bool = False) -> Place:
        """Wait for a place, in order of arrival; `Place.leave` gives it back.

        `runaway` says that the UDF's last run passed its deadline, `long` that this one is not
        short, so that it is never young.
        """
        taken: list[asyncio.Semaphore] = []
        try:
            first = () if long else (self._young,)
            for each in (*((self._runaway,) if runaway else first), self._threads):
                await each.acquire()
                taken.append(each)
        except BaseException:
            for each in taken:
                each.release()
            raise
        if runaway or long:
            return Place(taken)
        return Place(taken[1:], self._young)


class Place:
    """A run's place, from its beginning to the end of its thread."""

    def __init__(
        self, taken: list[asyncio.Semaphore], young: asyncio.Semaphore | None = None
    ) -> None:
        self._taken = taken
        self._young = young
        self._timer: asyncio.TimerHandle | None = None
        if young is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SHORT_SECONDS, self._grow_old)

    def leave(self) -> None:
        """The thread is done."""
        if self._timer is not None:
            self._timer.cancel()
        self._grow_old()
        for each in self._taken:
            each.release()

    def _grow_old(self) -> None:
        young, self._young = self._young, None
        if young is not None:
            young.release()
