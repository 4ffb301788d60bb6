"""The memory of a process, and the sandboxes that are closed where it has too much."""

from __future__ import annotations

from collections.abc import Callable
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from pathlib import Path

import pytest

from pipelines.wasm import Runtime
from pipelines.wasm.log import RunLog
from pipelines.wasm.pool import SandboxPool
from pipelines.wasm.pool.idle import IdleSandboxes
from pipelines.wasm.pool.memory import private_bytes
from pipelines.wasm.sandbox import Sandbox
from tests.pipelines.wasm.udfs import Runner, udf
from tests.waiting import until

MIB = 1024**2
HELD = 20 * MIB
# Of what else this process does meanwhile.
NOISE = 8 * MIB

AT_LOAD = f"held = b'x' * {HELD}\nruns = 0\n"
CALM = "def query(r, c):\n    return r\n"
GROWING = f"def query(r, c):\n    global held\n    held = b'x' * {HELD}\n    return r\n"
COUNTED = "def query(r, c):\n    global runs\n    runs += 1\n    return {'runs': runs}\n"


def test_what_is_written_to_is_counted() -> None:
    """And no longer when it is given back."""
    before = private_bytes()
    with mmap(-1, HELD, flags=MAP_PRIVATE | MAP_ANONYMOUS) as held:
        held[::1024] = bytes(HELD // 1024)
        assert private_bytes() - before > HELD - NOISE
    assert private_bytes() - before < NOISE


def test_where_the_system_does_not_tell_nothing_is_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So that nothing is closed for it."""
    monkeypatch.setattr("pipelines.wasm.pool.memory._STATM", tmp_path / "statm")
    assert private_bytes() == 0


def idle_of(runtime: Runtime, *, most: int, used: Callable[[IdleSandboxes], int]) -> IdleSandboxes:
    """With three idle sandboxes of three UDFs, the longest unused first."""
    idle = IdleSandboxes(
        max_live=8,
        max_bytes=most,
        max_idle=4,
        recycle_runs=1000,
        recycle_seconds=600,
        used=lambda: used(idle),
    )
    for name in "abc":
        sandbox = Sandbox(
            runtime, udf(COUNTED, name=name), b"{}", memory_mb=64, timeout_ms=5000, log=RunLog(0)
        )
        idle.put((name, b"{}", 64, False), idle.make(lambda made=sandbox: made), keep=True)  # type: ignore[misc]
    return idle


@pytest.mark.parametrize(("most", "left"), [(31, "abc"), (30, "abc"), (29, "bc"), (9, ""), (0, "")])
def test_those_longest_unused_go_first(runtime: Runtime, most: int, left: str) -> None:
    """As many as are over the limit; at the limit none."""
    grown = False
    idle = idle_of(runtime, most=most, used=lambda idle: 10 * idle.stats()["live"] if grown else 0)
    grown = True
    idle.close_over()
    assert "".join(name for name in "abc" if idle.count((name, b"{}", 64, False))) == left
    assert idle.stats()["evicted"] == 3 - len(left)
    idle.close()


async def test_idle_ones_make_room(runtime: Runtime) -> None:
    """The process has no more than it may, and who was run last is warm."""
    most = private_bytes() + 3 * HELD
    pool = SandboxPool(runtime, max_bytes=most, load_timeout_ms=20_000)
    runner = Runner(pool)
    packages = [udf(AT_LOAD + COUNTED, name=f"u{number}") for number in range(8)]
    for package in packages:
        await runner.run(package)
    stats = pool.stats()
    # One more is made before it is seen.
    assert private_bytes() < most + HELD + NOISE
    assert stats["evicted"] >= 4
    assert (await runner.run(packages[-1])).data == {"runs": 2}
    assert (await runner.run(packages[0])).data == {"runs": 1}
    await pool.close()


async def test_what_grew_while_it_ran_is_seen_later(runtime: Runtime) -> None:
    """Nothing is made after it: the idle are looked through from time to time."""
    pool = SandboxPool(runtime, max_bytes=private_bytes() + HELD // 2, rest_seconds=0.05)
    runner = Runner(pool)
    await runner.run(udf(CALM, name="calm"))
    await runner.run(udf(GROWING, name="growing"))
    # Another thread closes it.
    await until(lambda: pool.stats()["evicted"])
    await pool.close()


@pytest.mark.parametrize(("most", "stocked"), [(1, False), (1024**4, True)])
async def test_none_is_kept_ready_over_the_limit(
    runtime: Runtime, most: int, stocked: bool
) -> None:
    """Each run then makes its own."""
    pool = SandboxPool(runtime, max_bytes=most)
    runner = Runner(pool)
    for _ in range(3):
        await runner.run(udf(CALM), isolation="request")
    await pool.close()
    assert (pool.stats()["created"] > 3) is stocked
