"""Who may enter a sandbox now."""

from __future__ import annotations

import asyncio

from pipelines.wasm.gate import Gate


async def entered(gate: Gate) -> bool:
    """Whether a place can be had at once; it is given back."""
    try:
        async with asyncio.timeout(0.001):
            place = await gate.enter()
    except TimeoutError:
        return False
    place.leave()
    return True


async def test_the_next_short_run_waits_for_the_last() -> None:
    """One after the other, in order of arrival."""
    gate = Gate(4)
    first = await gate.enter()
    assert not await entered(gate)
    first.leave()
    assert await entered(gate)


async def test_a_long_run_holds_up_nobody() -> None:
    """After a while others run beside it, up to the number of threads."""
    gate = Gate(2)
    long = await gate.enter()
    second = await gate.enter()
    assert not await entered(gate)
    long.leave()
    third = await gate.enter()
    second.leave()
    third.leave()
    assert await entered(gate)


async def test_a_run_that_is_long_from_the_start_is_never_young() -> None:
    """It waits for a thread only, and short ones pass it meanwhile."""
    gate = Gate(3)
    young = await gate.enter()
    long = [await gate.enter(long=True) for _ in range(2)]
    young.leave()
    assert await entered(gate)
    third = await gate.enter(long=True)
    assert not await entered(gate)
    for place in (*long, third):
        place.leave()
    assert await entered(gate)


async def test_a_caller_that_gave_up_keeps_no_place() -> None:
    """Neither while it waits for a thread nor while it waits for its turn."""
    gate = Gate(1)
    place = await gate.enter()
    for _ in range(3):
        try:
            async with asyncio.timeout(0.03):
                await gate.enter()
        except TimeoutError:
            continue
        raise AssertionError("a second run got in")
    place.leave()
    assert await entered(gate)


async def test_runaways_have_one_place_among_them() -> None:
    """However many threads there are; others pass them at once, and the place comes back."""
    gate = Gate(3)
    first = await gate.enter(runaway=True)
    waiting = asyncio.ensure_future(gate.enter(runaway=True))
    assert await entered(gate)
    other = await gate.enter()
    assert not waiting.done()
    other.leave()
    assert await entered(gate)
    first.leave()
    (await waiting).leave()
    assert await entered(gate)
