"""Admission: each limit at, under and over it, the order of those who wait, and what is left."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.config.client_settings import ClientSettings
from proxy.server.admission import Admission, OverloadedError

PATIENT = 60.0


def admission(
    in_flight: int = 1, waiting: int = 0, seconds: float = PATIENT, of_index: int = 0
) -> Admission:
    limits = ClientSettings(
        max_in_flight=in_flight,
        max_waiting=waiting,
        queue_timeout=seconds,
        index_max_in_flight=of_index,
    )
    return Admission(limits)


class Crowd:
    """Requests that come to an admission, told apart by a number; each stays until told to go."""

    def __init__(self, admission: Admission, group: asyncio.TaskGroup) -> None:
        self.admission = admission
        self.inside: list[int] = []
        self.refused: dict[int, OverloadedError] = {}
        self._group = group
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._done: dict[int, asyncio.Event] = {}

    async def come(self, *names: str) -> int:
        """A request to `names` comes; it is inside, waits or was refused when this returns."""
        number = len(self._tasks)
        self._done[number] = asyncio.Event()
        self._tasks[number] = self._group.create_task(self._visit(number, names))
        await settled()
        return number

    async def go(self, number: int) -> None:
        """A request inside is done."""
        self._done[number].set()
        await self._tasks[number]
        await settled()

    async def vanish(self, number: int) -> None:
        """The client of a request is gone."""
        self._tasks[number].cancel()
        await settled()

    async def all_go(self) -> None:
        """Everybody is done, one after the other."""
        while self.inside:
            await self.go(self.inside[0])

    async def _visit(self, number: int, names: tuple[str, ...]) -> None:
        try:
            if not self.admission.enter(names):
                await self.admission.wait(names)
        except OverloadedError as error:
            self.refused[number] = error
            return
        self.inside.append(number)
        try:
            await self._done[number].wait()
        finally:
            self.inside.remove(number)
            self.admission.leave(names)


async def settled() -> None:
    """Let every task go on until it waits for something."""
    for _ in range(3):
        await asyncio.sleep(0)


def check_nothing_is_left(admission: Admission) -> None:
    assert (admission.in_flight, admission.waiting) == (0, 0)
    assert not admission._going
    assert not admission._awaited


async def test_max_in_flight_obeyed_and_violated() -> None:
    """As many as the limit are answered at once; without a queue the next one is refused."""
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(admission(in_flight=2), group)
        first, second = await crowd.come("a"), await crowd.come("b")
        assert crowd.inside == [first, second]
        third = await crowd.come("c")
        assert crowd.inside == [first, second]
        error = crowd.refused[third]
        assert (error.status, error.type) == (429, "rejected_execution_exception")
        assert error.headers == {"Retry-After": "1"}
        assert "2 requests are under way and 0 wait" in error.reason
        assert crowd.admission.refused == {"queue_full": 1}
        await crowd.go(first)
        assert await crowd.come("c") in crowd.inside
        await crowd.all_go()
    check_nothing_is_left(crowd.admission)


async def test_max_waiting_obeyed_and_violated() -> None:
    """As many as the limit wait, the next one is refused at once, and those who wait stay."""
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(admission(waiting=2), group)
        numbers = [await crowd.come() for _ in range(4)]
        assert (crowd.inside, list(crowd.refused)) == (numbers[:1], numbers[3:])
        assert (crowd.admission.in_flight, crowd.admission.waiting) == (1, 2)
        await crowd.all_go()
    assert crowd.admission.refused == {"queue_full": 1}
    check_nothing_is_left(crowd.admission)


async def test_who_waits_longest_is_next() -> None:
    """Places are given in order of arrival, and one that comes just then overtakes nobody."""
    order: list[int] = []
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(admission(waiting=9), group)
        numbers = [await crowd.come("a", "b") for _ in range(5)]
        for _ in range(3):
            order += crowd.inside
            crowd._done[crowd.inside[0]].set()
            numbers.append(await crowd.come())
        while crowd.inside:
            order += crowd.inside
            await crowd.go(crowd.inside[0])
    assert order == numbers


async def test_queue_timeout_violated() -> None:
    """Who waited that long is refused, and takes no place from those behind."""
    crowded = admission(waiting=1, seconds=0.01)
    assert crowded.enter(())
    with pytest.raises(OverloadedError, match=r"waited 0.01 s for its turn \(queue_timeout\)"):
        await crowded.wait(())
    assert crowded.refused == {"queue_timeout": 1}
    crowded.leave(())
    check_nothing_is_left(crowded)


async def test_queue_timeout_obeyed() -> None:
    """Who is admitted in time stays admitted: nothing happens when the time is over."""
    crowded = admission(waiting=1, seconds=0.01)
    loop, faults, over = asyncio.get_running_loop(), list[object](), asyncio.Event()
    loop.set_exception_handler(lambda _, fault: faults.append(fault))
    assert crowded.enter(())
    async with asyncio.TaskGroup() as group:
        group.create_task(crowded.wait(()))
        await settled()
        crowded.leave(())
    loop.call_later(0.02, over.set)
    await over.wait()
    assert (crowded.in_flight, crowded.refused, faults) == (1, {}, [])


async def test_an_index_at_its_limit_lets_others_pass() -> None:
    """Requests to one name wait behind each other; those to another name do not."""
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(admission(in_flight=3, waiting=9, of_index=1), group)
        first, second = await crowd.come("a"), await crowd.come("a")
        other, unnamed = await crowd.come("b"), await crowd.come()
        assert crowd.inside == [first, other, unnamed]
        last = await crowd.come("c")
        await crowd.go(other)
        # The one in front of it may not, as its index is full.
        assert crowd.inside == [first, unnamed, last]
        await crowd.go(first)
        assert crowd.inside == [unnamed, last, second]
        await crowd.all_go()
    check_nothing_is_left(crowd.admission)


async def test_index_max_in_flight_obeyed_and_violated() -> None:
    """As many as are answered may wait; the next one is refused, with the name at fault."""
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(admission(in_flight=9, waiting=9, of_index=2), group)
        numbers = [await crowd.come("a", "a") for _ in range(4)]
        assert (crowd.inside, crowd.refused) == (numbers[:2], {})
        fifth = await crowd.come("b", "a")
        assert "2 requests to [a] wait" in crowd.refused[fifth].reason
        assert crowd.admission.refused == {"index": 1}
        assert await crowd.come("b") in crowd.inside
        await crowd.all_go()
    check_nothing_is_left(crowd.admission)


async def test_a_request_to_several_names_needs_a_place_with_each() -> None:
    """It counts for all of them, and waits until none is full."""
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(admission(in_flight=9, waiting=9, of_index=1), group)
        a, b = await crowd.come("a"), await crowd.come("b")
        both = await crowd.come("b", "a")
        await crowd.go(a)
        assert crowd.inside == [b]
        await crowd.go(b)
        assert crowd.inside == [both]
        again = await crowd.come("a")
        assert again not in crowd.inside
        await crowd.all_go()
    check_nothing_is_left(crowd.admission)


async def test_a_client_that_goes_away_leaves_no_trace() -> None:
    """Its place in the queue is free, and those behind it move up."""
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(admission(waiting=2, of_index=1), group)
        first, gone, behind = [await crowd.come(name) for name in ("a", "b", "c")]
        await crowd.vanish(gone)
        assert (crowd.admission.waiting, crowd.admission._awaited) == (1, {"c": 1})
        await crowd.go(first)
        assert crowd.inside == [behind]
        await crowd.all_go()
    check_nothing_is_left(crowd.admission)


async def test_a_place_given_to_one_who_goes_at_once_is_passed_on() -> None:
    """A waiter that is cancelled when its turn has just come gives its place to the next one."""
    crowded = admission(waiting=2, of_index=1)
    assert crowded.enter(("a",))
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(crowded.wait(("a",)))
        behind = group.create_task(crowded.wait(("b",)))
        await settled()
        crowded.leave(("a",))
        gone.cancel()
        await behind
    assert (crowded.in_flight, crowded.waiting, crowded._going) == (1, 0, {"b": 1})


async def test_a_place_is_not_given_to_one_who_has_gone() -> None:
    """A waiter that is cancelled just before a place is free leaves it to the next one."""
    crowded = admission(waiting=2)
    assert crowded.enter(())
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(crowded.wait(()))
        behind = group.create_task(crowded.wait(()))
        await settled()
        gone.cancel()
        # In the same turn of the loop: the task has not noticed yet.
        crowded.leave(())
        await behind
    assert (crowded.in_flight, crowded.waiting) == (1, 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "go", "vanish"]),
        st.integers(0, 30),
        st.lists(st.sampled_from("abc"), max_size=2),
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(1, 3), st.integers(0, 3), st.integers(0, 2))
async def test_limits_hold_whatever_happens(
    steps: list[tuple[str, int, list[str]]], in_flight: int, waiting: int, of_index: int
) -> None:
    """No limit is passed, no place stays empty that somebody could have, and nothing leaks."""
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(admission(in_flight, waiting, of_index=of_index), group)
        for act, number, names in steps:
            if act == "come":
                await crowd.come(*names)
            elif crowd.inside and act == "go":
                await crowd.go(crowd.inside[number % len(crowd.inside)])
            elif crowd._tasks and act == "vanish":
                await crowd.vanish(number % len(crowd._tasks))
            seen = crowd.admission
            assert seen.in_flight == len(crowd.inside) <= in_flight
            assert seen.waiting <= waiting
            assert all(count <= of_index for count in seen._going.values())
            idle = seen.in_flight < in_flight
            assert not (idle and any(seen._fits(waiter.names) for waiter in seen._queue))
        await crowd.all_go()
    check_nothing_is_left(crowd.admission)
