"""The pool: threads, warm sandboxes, recycling, eviction, and callers that go away."""

from __future__ import annotations

import asyncio

import pytest

from pipelines.errors import StageError, StageTimeoutError
from pipelines.wasm import Call, Limits, Runtime
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.pool.conftest import Pools
from tests.pipelines.wasm.udfs import Runner, udf, using
from tests.waiting import until

COUNTER = "runs = 0\ndef query(r, c):\n    global runs\n    runs += 1\n    return {'runs': runs}"
ENDLESS = "def query(r, c):\n    while True: pass"
CALL = Call(phase="query", payload="{}")


async def test_recycled_after_runs(pools: Pools) -> None:
    """A sandbox is replaced after its number of runs."""
    async with pools(recycle_runs=2) as runner:
        assert [(await runner.run(COUNTER)).data["runs"] for _ in range(5)] == [1, 2, 1, 2, 1]
        assert runner.pool.stats()["recycled"] == 2


async def test_another_is_ready_before_one_is_used_up(pools: Pools) -> None:
    """It takes over when the old one has done its number of runs, and nobody waits for it."""
    async with pools(recycle_runs=20) as runner:
        for _ in range(18):
            await runner.run(COUNTER)
        # Another thread makes it.
        await until(lambda: runner.pool.stats()["idle"] >= 2)
        reported = [(await runner.run(COUNTER)).data["runs"] for _ in range(4)]
        assert reported == [19, 20, 1, 2]
        assert runner.pool.stats()["created"] == 2


async def test_recycled_after_time(pools: Pools) -> None:
    """A sandbox is replaced when it is old."""
    async with pools(recycle_seconds=0) as runner:
        assert [(await runner.run(COUNTER)).data["runs"] for _ in range(2)] == [1, 1]


async def test_eviction(pools: Pools) -> None:
    """Over the limit of live sandboxes the one longest unused goes."""
    async with pools(max_live=2, threads=1) as runner:
        a, b, c = (udf(COUNTER, name=name) for name in "abc")
        for package in (a, b, a, c):
            await runner.run(package)
        assert runner.pool.stats() == {
            "live": 2, "idle": 2, "created": 3, "recycled": 0, "trapped": 0, "evicted": 1
        }  # fmt: skip
        assert (await runner.run(a)).data == {"runs": 3}
        assert (await runner.run(b)).data == {"runs": 1}


async def test_idle_limit(pools: Pools) -> None:
    """No more idle sandboxes of a UDF are kept than allowed."""
    source = """
    import time
    def query(request, context):
        until = time.monotonic() + 0.2
        while time.monotonic() < until: pass
        return request
    """
    async with pools(threads=3, max_idle_per_udf=1) as runner:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(runner.run(source, limits=Limits(timeout_ms=5000)))
        stats = runner.pool.stats()
        assert (stats["idle"], stats["live"]) == (1, 1)


async def test_concurrent_runs(runner: Runner) -> None:
    """Many runs at once all get their own response."""
    source = "def query(r, c): return {'it': r['it'], 'index': c.index}"
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(runner.run(source, {"it": n}, index=str(n))) for n in range(50)]
    assert [task.result().data for task in tasks] == [{"it": n, "index": str(n)} for n in range(50)]
    assert runner.pool.stats()["live"] <= 2


async def test_logs_do_not_mix(runtime: Runtime, pool: SandboxPool) -> None:
    """Runs that are on at the same time write to their own logs."""
    source = udf("def query(r, c):\n    for _ in range(50): log(r['it'])\n    return r")

    async def one(number: int) -> None:
        call = Call(phase="query", payload=f'{{"it":{number}}}')
        reply = await pool.run(using(source, Limits(timeout_ms=5000)), call)
        assert set(reply.log) == {str(number)}

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(one(number))


async def test_waiting_is_bounded(pools: Pools) -> None:
    """A run that gets no thread in time fails with a timeout that says it waited."""
    async with pools(threads=1) as runner, asyncio.TaskGroup() as group:
        busy = group.create_task(runner.fails(ENDLESS, limits=Limits(timeout_ms=1000)))
        await asyncio.sleep(0)
        with pytest.raises(StageTimeoutError, match=r"waiting"):
            await runner.pool.run(using(udf(COUNTER), Limits()), CALL, run_timeout=0.05)
        assert isinstance(await busy, StageTimeoutError)


async def test_cancelled_caller(pools: Pools) -> None:
    """When the caller goes away the run ends by its deadline and its thread is free again."""
    async with pools(threads=1) as runner:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await runner.run(
                    "def query(r, c):\n    log('begun')\n    while True: pass",
                    limits=Limits(timeout_ms=500),
                )
        assert (await runner.run(COUNTER)).data == {"runs": 1}
        assert runner.pool.stats()["trapped"] == 1
        assert runner.pool.stats()["live"] == 1
        assert runner.log == ["begun"]


async def test_cancelled_while_waiting(pools: Pools) -> None:
    """A caller that goes away while it waits takes no thread with it."""
    async with pools(threads=1) as runner, asyncio.TaskGroup() as group:
        group.create_task(runner.fails(ENDLESS, limits=Limits(timeout_ms=300)))
        await asyncio.sleep(0)
        waiting = group.create_task(runner.run(COUNTER))
        await asyncio.sleep(0)
        waiting.cancel()
        assert (await runner.run(COUNTER)).data == {"runs": 1}


async def test_close_waits_for_runs(runtime: Runtime) -> None:
    """Closing the pool waits for what runs, refuses what comes, and frees every sandbox."""
    pool = SandboxPool(runtime)
    runner = Runner(pool)
    async with asyncio.TaskGroup() as group:
        busy = group.create_task(runner.fails(ENDLESS, limits=Limits(timeout_ms=300)))
        await runner.run(COUNTER)
        await pool.close()
        assert (await busy).kind == "timeout"
    error = await runner.fails(COUNTER)
    assert (error.kind, "shut down" in error.reason) == ("unavailable", True)
    assert pool.stats()["live"] == 0


async def test_failed_load_leaves_nothing(runner: Runner) -> None:
    """A UDF that cannot be loaded leaves no sandbox behind."""
    for _ in range(3):
        assert (await runner.fails("1 / 0")).kind == "load"
    assert runner.pool.stats()["live"] == 0


async def test_threads_and_sandboxes(runtime: Runtime) -> None:
    """There have to be threads, and a sandbox for each."""
    with pytest.raises(ValueError, match="max_live"):
        SandboxPool(runtime, threads=3, max_live=2)
    with pytest.raises(ValueError, match="threads is 0"):
        SandboxPool(runtime, threads=0)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def udf_main(): pass", {"udf_main"}),
        ("def query(r, c): pass\ndef result(r, c): pass\ndocument = 3", {"query", "result"}),
        ("x = 1", set()),
    ],
)
async def test_inspect(pool: SandboxPool, source: str, found: set[str]) -> None:
    """Inspection tells which functions a UDF defines, and keeps no sandbox."""
    assert await pool.inspect(udf(source), {}) == found
    assert pool.stats()["live"] == 0


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def query(r, c):\n  x = (\n", "sample.py line 2"),
        ("a = 1\nb = a / 0", "ZeroDivisionError: division by zero (sample.py line 2)"),
        ("a = get_param('limit') + 1", "TypeError"),
        ("while True: pass", "longer than its 1000 ms"),
        # compiling it takes some milliseconds of them, which is nothing to the reader
        ("a = 1\n" * 2000 + "while True: pass", "longer than its 1000 ms"),
        ("a = 'x' * 10**9", "ran out of memory"),
        ("import os; os.abort()", "aborted"),
        ("import requests", "No module named 'requests'"),
    ],
)
async def test_inspect_fails(pool: SandboxPool, source: str, said: str) -> None:
    """Inspection of a UDF that cannot be loaded tells the line and the reason."""
    with pytest.raises(StageError) as caught:
        await pool.inspect(udf(source), {"limit": "7"})
    assert caught.value.kind == "load"
    assert said in caught.value.reason


async def test_memory_does_not_grow(runner: Runner) -> None:
    """A sandbox can be run with more than its memory holds, in many runs."""
    source = "def query(r, c): return r"
    payload = {"a": "x" * 300_000}
    for _ in range(250):
        await runner.run(source, payload)
    assert runner.pool.stats()["created"] == 1


async def test_nothing_blocks_the_loop(runner: Runner) -> None:
    """The event loop turns while a UDF runs."""
    turns = 0
    async with asyncio.TaskGroup() as group:
        busy = group.create_task(runner.fails(ENDLESS, limits=Limits(timeout_ms=300)))
        while not busy.done():
            turns += 1
            await asyncio.sleep(0.01)
    assert turns >= 3
