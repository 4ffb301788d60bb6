"""New sandboxes are kept ready by demand, within the budget of all, and given back."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pipelines.wasm.pool.prewarm import FIRST
from tests.pipelines.wasm.pool.conftest import Pools
from tests.pipelines.wasm.udfs import Runner, udf
from tests.waiting import until

SOURCE = "runs = 0\ndef query(r, c):\n    global runs\n    runs += 1\n    return {'runs': runs}"


async def fresh(runner: Runner, name: str = "sample") -> None:
    reply = await runner.run(udf(SOURCE, name=name), isolation="request")
    assert reply.data == {"runs": 1}


async def burst(runner: Runner, runs: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(runs):
            group.create_task(fresh(runner))


async def at_rest(runner: Runner) -> dict[str, int]:
    """The figures once nothing more is to be made or closed."""
    stock = runner.pool._prewarmer
    await until(
        lambda: not stock._pause and not any(each.filling for each in stock._demands.values())
    )
    await asyncio.wrap_future(stock._thread.submit(int))
    return runner.pool.stats()


async def nothing_lives(runner: Runner) -> None:
    await until(lambda: not runner.pool.stats()["live"])


@pytest.mark.parametrize(("most", "kept"), [(0, 0), (1, 1), (FIRST, FIRST), (8, FIRST)])
async def test_first_runs(pools: Pools, most: int, kept: int) -> None:
    """A few are kept of what was run, and never more than allowed."""
    async with pools(stock=most) as runner:
        await fresh(runner)
        assert (await at_rest(runner))["idle"] == kept


@pytest.mark.parametrize("most", [0, 1, 3, 8])
async def test_more_demand(pools: Pools, most: int) -> None:
    """Runs that come faster than sandboxes are made have more kept, up to the most."""
    async with pools(stock=most) as runner:
        for _ in range(2):
            slow = threading.Event()
            runner.pool._prewarmer._thread.submit(slow.wait)
            await burst(runner, 20)
            slow.set()
            assert (await at_rest(runner))["idle"] == most


async def test_less_demand(pools: Pools) -> None:
    """What was not needed for a while is closed again, down to the first ones."""
    async with pools(stock=8, rest_seconds=0.5) as runner:
        for _ in range(10):
            await burst(runner, 20)
        while (await at_rest(runner))["idle"] > FIRST:
            await fresh(runner)


async def test_no_demand(pools: Pools) -> None:
    """Nothing is kept of what is no longer run."""
    async with pools(stock=8, rest_seconds=0.2) as runner:
        await fresh(runner)
        await nothing_lives(runner)
        await fresh(runner)
        assert (await at_rest(runner))["idle"] == FIRST


async def test_within_the_budget(pools: Pools) -> None:
    """No sandbox that was used lately is closed to have another in stock."""
    async with pools(stock=8, max_live=4, threads=1) as runner:
        for name in ("a", "b", "c"):
            await runner.run(udf(SOURCE, name=name))
        for _ in range(5):
            await fresh(runner)
            assert (await at_rest(runner))["live"] == 4
        assert runner.pool.stats()["evicted"] == 0


async def test_room_is_made(pools: Pools) -> None:
    """By closing what nobody has used for a while."""
    async with pools(stock=2, max_live=4, threads=1) as runner:
        for name in ("a", "b", "c", "d"):
            await runner.run(udf(SOURCE, name=name))
        runner.pool._prewarmer._rest_seconds = 0
        await fresh(runner)
        assert (await at_rest(runner))["live"] == 4
        assert [runner.pool._idle.count(key) for key in runner.pool._prewarmer._demands] == [2]


async def test_idle_sandboxes_grow_old(pools: Pools) -> None:
    """A warm sandbox that nobody uses for as long as one may live is closed."""
    async with pools(recycle_seconds=0.2, rest_seconds=0.1) as runner:
        await runner.run(SOURCE)
        await nothing_lives(runner)
        assert runner.pool.stats()["recycled"] == 1


async def test_a_udf_that_cannot_be_loaded(pools: Pools) -> None:
    """Leaves nothing in stock, and its runs say why."""
    async with pools(stock=8) as runner:
        for _ in range(3):
            assert (await runner.fails("1 / 0", isolation="request")).kind == "load"
        assert (await at_rest(runner))["live"] == 0
