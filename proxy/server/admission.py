"""How many requests a worker answers at once: beyond that some wait their turn, the rest is 429.

Administration does not come by here, so it is answered however much traffic there is.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

from proxy.config.client_settings import ClientSettings
from proxy.http.errors import ErrorResponse

Reason = Literal["queue_full", "queue_timeout", "index"]

REASONS: Final[tuple[Reason, ...]] = ("queue_full", "queue_timeout", "index")

_RETRY: Final = {"Retry-After": "1"}
_SHOWN_NAME: Final = 100


class OverloadedError(ErrorResponse):
    """A request is refused because there is too much to do; it was not begun."""

    def __init__(self, reason: str) -> None:
        advice = f"{reason}; try again later, or add workers"
        super().__init__(429, "rejected_execution_exception", advice, headers=_RETRY)


@dataclass(eq=False, slots=True)
class _Waiter:
    """A request in the queue. `turn` becomes True when it is admitted, False when it is late."""

    names: frozenset[str]
    turn: asyncio.Future[bool]


class Admission:
    """The places of one worker, given in order of arrival. Used from one event loop.

    Each `enter` that gave True, and each `wait` that returned, is followed by one `leave` with the
    same names. `refused` counts by reason since the start.
    """

    def __init__(self, limits: ClientSettings) -> None:
        self.in_flight = 0
        self.refused: Counter[str] = Counter()
        self._limits = limits
        self._max_in_flight = limits.max_in_flight
        self._by_index = limits.index_max_in_flight > 0
        # Names that are not being answered, or waited for, have no entry.
        self._going: dict[str, int] = {}
        self._awaited: dict[str, int] = {}
        self._queue: OrderedDict[_Waiter, None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._queue)

    def enter(self, names: tuple[str, ...]) -> bool:
        """Take a place for a request to `names` (index expressions); False where it has to `wait`.

        Nobody is overtaken: without limits by index, a place is only free when nobody waits.
        """
        if self.in_flight >= self._max_in_flight:
            return False
        if self._by_index and names:
            wanted = frozenset(names)
            if not self._fits(wanted):
                return False
            _add(self._going, wanted)
        self.in_flight += 1
        return True

    async def wait(self, names: tuple[str, ...]) -> None:
        """Wait for a place. Raises OverloadedError: at once where the queue is full, or when late.

        A caller that is cancelled leaves no trace.
        """
        wanted = frozenset(names) if self._by_index else frozenset[str]()
        self._check_room(wanted)
        loop = asyncio.get_running_loop()
        waiter = _Waiter(wanted, loop.create_future())
        self._queue[waiter] = None
        _add(self._awaited, wanted)
        timer = loop.call_later(self._limits.queue_timeout, self._dismiss, waiter, False)
        try:
            admitted = await waiter.turn
        except BaseException:
            if waiter in self._queue:
                self._forget(waiter)
            elif not waiter.turn.cancelled() and waiter.turn.result():
                # Admitted and cancelled at once: the place belongs to the next one.
                self.leave(names)
            raise
        finally:
            timer.cancel()
        if not admitted:
            raise self._refusal(
                "queue_timeout",
                f"the request waited {self._limits.queue_timeout:g} s for its turn (queue_timeout)",
            )

    def leave(self, names: tuple[str, ...]) -> None:
        """Give a place back; who waited longest, and may, has it next."""
        if self._by_index:
            _take_off(self._going, frozenset(names))
        self.in_flight -= 1
        if self._queue:
            self._admit()

    def _admit(self) -> None:
        """Let in those who may; one whose index is full lets others pass."""
        while self.in_flight < self._max_in_flight:
            # One whose caller is gone stays in the queue until its task notices.
            able = (w for w in self._queue if not w.turn.done() and self._fits(w.names))
            waiter = next(able, None)
            if waiter is None:
                return
            self.in_flight += 1
            _add(self._going, waiter.names)
            self._dismiss(waiter, True)

    def _dismiss(self, waiter: _Waiter, admitted: bool) -> None:
        self._forget(waiter)
        if not waiter.turn.done():
            waiter.turn.set_result(admitted)

    def _forget(self, waiter: _Waiter) -> None:
        del self._queue[waiter]
        _take_off(self._awaited, waiter.names)

    def _fits(self, names: frozenset[str]) -> bool:
        for name in names:  # noqa: SIM110 - the generator of all() costs more than the rest
            if self._going.get(name, 0) >= self._limits.index_max_in_flight:
                return False
        return True

    def _check_room(self, names: frozenset[str]) -> None:
        for name in names:
            awaited = self._awaited.get(name, 0)
            if awaited >= self._limits.index_max_in_flight:
                raise self._refusal(
                    "index",
                    f"{awaited} requests to [{name[:_SHOWN_NAME]}] wait for their turn "
                    "already (index_max_in_flight)",
                )
        if len(self._queue) >= self._limits.max_waiting:
            raise self._refusal(
                "queue_full",
                f"{self.in_flight} requests are under way and {len(self._queue)} wait for "
                "their turn (max_in_flight, max_waiting)",
            )

    def _refusal(self, reason: Reason, text: str) -> OverloadedError:
        self.refused[reason] += 1
        return OverloadedError(text)


def _add(counts: dict[str, int], names: frozenset[str]) -> None:
    for name in names:
        counts[name] = counts.get(name, 0) + 1


def _take_off(counts: dict[str, int], names: frozenset[str]) -> None:
    for name in names:
        left = counts[name] - 1
        if left:
            counts[name] = left
        else:
            del counts[name]
