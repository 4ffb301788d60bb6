"""Quick UDFs run on the event loop's thread; the first slow run sends them back to the others."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from pipelines.errors import StageTimeoutError
from pipelines.wasm import Call, Isolation, Limits
from pipelines.wasm.pool import SandboxPool
from pipelines.wasm.pool.inline import (
    INLINE_BYTES,
)
from pipelines.wasm.pool.pool import HOPELESS
from pipelines.wasm.sandbox import Sandbox
from tests.pipelines.wasm.udfs import Runner, udf, using

SLEEPY = """
import time
def query(request, context):
    log("began")
    until = time.monotonic() + request.get("seconds", 0)
    while time.monotonic() < until: pass
    return {"done": True}
"""


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that runs were on, in order."""
    seen: list[str] = []
    run = Sandbox.run

    def watched(self: Sandbox, *arguments: object) -> object:
        seen.append(threading.current_thread().name)
        return run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Sandbox, "run", watched)
    return seen


def as_quick(pool: SandboxPool) -> None:
    """Take every UDF for a quick one, however busy this machine is."""
    pool._paces.is_quick = lambda key: True  # type: ignore[method-assign]


async def test_where_it_runs(runner: Runner, threads: list[str]) -> None:
    """Without a warm sandbox on a thread, then here; with much input on a thread again."""
    as_quick(runner.pool)
    large = {"x": "y" * INLINE_BYTES}
    for payload in ({}, {}, large):
        assert (await runner.run(SLEEPY, payload)).data == {"done": True}
    names = [name.startswith("querymill-udf") for name in threads]
    assert names == [True, False, True]


async def test_a_run_that_takes_too_long_here(runner: Runner, threads: list[str]) -> None:
    """Is begun again on a thread; its log has nothing of the first beginning."""
    await runner.run(SLEEPY, {})
    as_quick(runner.pool)
    reply = await runner.run(SLEEPY, {"seconds": 0.1}, limits=Limits(timeout_ms=5000))
    assert (reply.data, reply.log) == ({"done": True}, ("began",))
    assert [name.startswith("querymill-udf") for name in threads] == [True, False, True]
    assert runner.pool.stats()["trapped"] == 1


@pytest.fixture
def looks() -> Iterator[list[str]]:
    """Each look at the clock of this thread."""
    found: list[str] = []

    def seen(frame: FrameType, event: str, function: object) -> None:
        if event == "c_call" and function is time.thread_time:
            found.append(frame.f_code.co_name)

    sys.setprofile(seen)
    yield found
    sys.setprofile(None)


async def test_the_threads_clock_is_asked_of_those_watched_alone(
    runner: Runner, looks: list[str]
) -> None:
    """It takes a system call, which is much beside a quick run."""
    await runner.run(SLEEPY)
    as_quick(runner.pool)
    paces = runner.pool._paces
    # However busy this machine is, no run of these is slow by the wall.
    paces.watch = lambda key: None  # type: ignore[method-assign]
    looks.clear()
    for _ in range(3):
        await runner.run(SLEEPY)
    assert looks == []
    paces.is_watched = lambda key: True  # type: ignore[method-assign]
    await runner.run(SLEEPY)
    assert len(looks) == 2


async def test_its_whole_time_counts(runner: Runner) -> None:
    """What the first beginning took is not given again."""
    await runner.run(SLEEPY, {})
    as_quick(runner.pool)
    with pytest.raises(StageTimeoutError, match="ran longer than its"):
        await runner.run(SLEEPY, {"seconds": 10}, limits=Limits(timeout_ms=50))
    with pytest.raises(StageTimeoutError, match="ran longer than its 3 ms"):
        await runner.run(SLEEPY, {"seconds": 10}, limits=Limits(timeout_ms=3))


async def test_runaways(runner: Runner) -> None:
    """A UDF is one from a passed deadline until a run ends by itself."""
    paces = runner.pool._paces
    with pytest.raises(StageTimeoutError):
        await runner.run(SLEEPY, {"seconds": 10}, limits=Limits(timeout_ms=20))
    (key,) = paces._runaways
    assert paces.overruns(key) == 1
    await runner.run(SLEEPY)
    assert paces.overruns(key) == 0


async def test_the_first_runs_go_one_at_a_time(runner: Runner) -> None:
    """As long as nothing is known of a UDF; each is told how it ended itself."""
    going = 0
    most = 0
    run = Sandbox.run

    def counted(self: Sandbox, *arguments: object) -> object:
        nonlocal going, most
        going += 1
        most = max(most, going)
        try:
            return run(self, *arguments)  # type: ignore[arg-type]
        finally:
            going -= 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sandbox, "run", counted)
        limits = Limits(timeout_ms=5000)
        calls = [runner.run(SLEEPY, {"seconds": 0.05}, limits=limits) for _ in range(3)]
        replies = await asyncio.gather(*calls)
    assert [reply.data for reply in replies] == [{"done": True}] * 3
    # the others are begun when the first is done, a long one beside another
    assert most <= 2
    assert not runner.pool._firsts


async def test_who_waits_for_an_endless_one_gives_up_with_it(
    runner: Runner, threads: list[str]
) -> None:
    """A few runs show it; those that waited meanwhile are not begun, and later ones are."""
    limits = Limits(timeout_ms=50)
    calls = [runner.fails(SLEEPY, {"seconds": 60}, limits=limits) for _ in range(6)]
    errors = await asyncio.gather(*calls)
    assert len(threads) == HOPELESS
    assert [error.overran for error in errors].count(True) == HOPELESS
    reported = [error.reason for error in errors if not error.overran]
    assert all("while it waited for a sandbox" in reason for reason in reported)
    await runner.fails(SLEEPY, {"seconds": 60}, limits=limits)
    assert len(threads) == HOPELESS + 1


async def test_a_first_run_waits_no_longer_than_its_time(runner: Runner) -> None:
    """For the one before it as for a thread."""
    first = asyncio.ensure_future(
        runner.fails(SLEEPY, {"seconds": 60}, limits=Limits(timeout_ms=1500))
    )
    await asyncio.sleep(0)
    call = Call(phase="query", payload="{}")
    with pytest.raises(StageTimeoutError, match=r"no sandbox was free within 0\.05 s"):
        await runner.pool.run(using(udf(SLEEPY), Limits()), call, run_timeout=0.05)
    assert (await first).overran


async def test_others_get_their_turn(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between many runs in a row on the event loop's thread."""
    await runner.run(SLEEPY)
    as_quick(runner.pool)
    monkeypatch.setattr("pipelines.wasm.pool.pool.SLICE_SECONDS", 0.0)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    for _ in range(20):
        await runner.run(SLEEPY)
    task.cancel()
    assert turns >= 18


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="threads have no policy of their own")
async def test_a_runaway_gives_way(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next run has the lowest priority; a sound one ends that, and so does a starved one."""
    # It is also loaded so, which takes long on a busy machine.
    monkeypatch.setattr(runner.pool, "_load_timeout_ms", 60_000)
    policies: list[int] = []
    run = Sandbox.run

    def watched(self: Sandbox, *arguments: object) -> object:
        policies.append(os.sched_getscheduler(0))
        return run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Sandbox, "run", watched)
    await runner.fails(SLEEPY, {"seconds": 10}, limits=Limits(timeout_ms=20))
    for _ in range(2):
        await runner.run(SLEEPY, limits=Limits(timeout_ms=60_000))
    assert policies == [os.SCHED_OTHER, os.SCHED_IDLE, os.SCHED_OTHER]
    await runner.fails(SLEEPY, {"seconds": 10}, limits=Limits(timeout_ms=20))
    monkeypatch.setattr("pipelines.wasm.pool.pool.FAIR_SHARE", 2.0)
    for _ in range(2):
        await runner.fails(SLEEPY, {"seconds": 10}, limits=Limits(timeout_ms=20))
    assert policies[3:] == [os.SCHED_OTHER, os.SCHED_IDLE, os.SCHED_OTHER]


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="threads have no policy of their own")
@pytest.mark.parametrize("isolation", ["pooled", "request"])
async def test_a_load_that_may_not_end_gives_way(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, isolation: Isolation
) -> None:
    """Once a load had to be stopped, later ones give way, and none is made ahead."""
    policies: list[int] = []
    load = Sandbox._loaded

    def watched(self: Sandbox, *arguments: object) -> object:
        policies.append(os.sched_getscheduler(0))
        return load(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Sandbox, "_loaded", watched)
    sound_from = time.time() + 1.0
    source = (
        f"import time\nwhile time.time() < {sound_from}: pass\n"
        "def query(r, c):\n    return r if r.get('sound') else 1 / 0"
    )
    monkeypatch.setattr(runner.pool, "_load_timeout_ms", 200)
    assert (await runner.fails(source, isolation=isolation)).overran
    # Sound by then: nothing but the priority tells these loads from others.
    monkeypatch.setattr(runner.pool, "_load_timeout_ms", 60_000)
    plenty = Limits(timeout_ms=60_000)
    for _ in range(3):
        await runner.run(source, {"sound": True}, limits=plenty, isolation=isolation)
    loads = 4 if isolation == "request" else 2
    assert policies == [os.SCHED_OTHER] + [os.SCHED_IDLE] * (loads - 1)
