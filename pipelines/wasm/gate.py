"""Who may enter a sandbox now: short runs one at a time, long ones beside them.

Threads of one interpreter that run short calls at once get less done together than one of them
alone, as they hand the interpreter's lock to and fro. So the next run begins when the last is done;
but a run that takes long must not hold up the others, so after a while it no longer counts.
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

    async def enter(self) -> Place:
        """Wait for a place, in order of arrival; `Place.leave` gives it back."""
        await self._young.acquire()
        try:
            await self._threads.acquire()
        except BaseException:
            self._young.release()
            raise
        return Place(self._threads, self._young)


class Place:
    """A run's place, from its beginning to the end of its thread."""

    def __init__(self, threads: asyncio.Semaphore, young: asyncio.Semaphore) -> None:
        self._threads = threads
        self._young: asyncio.Semaphore | None = young
        self._timer = asyncio.get_running_loop().call_later(SHORT_SECONDS, self._grow_old)

    def leave(self) -> None:
        """The thread is done."""
        self._timer.cancel()
        self._grow_old()
        self._threads.release()

    def _grow_old(self) -> None:
        young, self._young = self._young, None
        if young is not None:
            young.release()
