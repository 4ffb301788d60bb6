"""The bound on log lines: a burst is kept whole, a flood is not; what is left out is counted."""

from __future__ import annotations

from structlog.testing import capture_logs

from pipelines.context import Context
from pipelines.definitions.pipeline import read_pipeline
from pipelines.errors import StageError
from pipelines.execution.log_limit import BURST_SECONDS, LogLimit
from pipelines.execution.plan import CompiledPipeline, Stages
from pipelines.execution.run_logs import RunLogs
from pipelines.execution.stats import Stats
from pipelines.stages import KINDS
from tests.clock import Clock
from tests.pipelines.conftest import PIPELINE_MS, stage

CONTEXT = Context(id="1", phase="query", index="i")


def pipeline(name: str) -> CompiledPipeline:
    definition = read_pipeline({"type": "query", "stages": [stage("u")]}, KINDS, name=name)
    return CompiledPipeline(definition, 1, Stages((), PIPELINE_MS))


def admitted(limit: LogLimit, count: int, size: int = 1, key: str = "k") -> int:
    return sum(limit.admit(key, size) for _ in range(count))


def test_lines_obeyed_and_violated(clock: Clock) -> None:
    """So many a second, after a burst of some seconds' worth."""
    limit = LogLimit(10, 0, clock)
    burst = int(10 * BURST_SECONDS)
    assert admitted(limit, burst) == burst
    assert admitted(limit, 1) == 0
    for _ in range(3):
        clock.now += 1
        assert admitted(limit, 100) == 10
    clock.now += 1000
    assert admitted(limit, 1000) == burst


def test_bytes_obeyed_and_violated(clock: Clock) -> None:
    """Long lines are fewer."""
    limit = LogLimit(0, 1000, clock)
    assert admitted(limit, 100, size=500) == 10
    clock.now += 1
    assert admitted(limit, 100, size=500) == 2


def test_a_line_longer_than_all(clock: Clock) -> None:
    """It is let through when nothing else was, and paid for afterwards."""
    limit = LogLimit(0, 10, clock)
    assert admitted(limit, 2, size=1000) == 1
    clock.now += 50
    assert admitted(limit, 1) == 0
    clock.now += 60
    assert admitted(limit, 1) == 1


def test_no_limit(clock: Clock) -> None:
    """0 sets none."""
    assert admitted(LogLimit(0, 0, clock), 100_000, size=10_000) == 100_000


def test_keys_are_apart(clock: Clock) -> None:
    """One that floods takes nothing from another; what each lost is told once."""
    limit = LogLimit(1, 0, clock)
    assert admitted(limit, 100, key="a") == 5
    assert admitted(limit, 5, key="b") == 5
    limit.leave_out("a", 1000)
    assert dict(limit.take_all()) == {"a": 1095}
    assert dict(limit.take_all()) == {}


def test_keys_are_forgotten(clock: Clock) -> None:
    """Those long unused make room, but for what is still to be told."""
    limit = LogLimit(1, 0, clock)
    admitted(limit, 100, key="told")
    for number in range(5000):
        limit.admit(f"key {number}", 1)
        clock.now += 0.1
    assert len(limit._buckets) <= 1024
    assert limit.take("told") == 95


def test_a_udf_that_floods_the_log(clock: Clock) -> None:
    """Its pipeline's lines are cut off and counted; failures and other pipelines are still told."""
    stats = Stats()
    logs = RunLogs(stats, LogLimit(2, 0, clock))
    error = StageError("trap", "stopped")
    loud, calm = pipeline("loud"), pipeline("calm")
    with capture_logs() as lines:
        for _ in range(3):
            logs.of_stage(loud, "s", "u@1", ["x"] * 1000, CONTEXT)
        logs.of_run(loud, "failed", error, CONTEXT)
        logs.of_stage(calm, "s", "u@1", ["y"], CONTEXT)
        logs.report()
        logs.report()
    events = [(line["event"], line["pipeline"]) for line in lines]
    assert events == [
        *[("udf", "loud")] * 10,
        ("run failed", "loud"),
        ("udf", "calm"),
        ("log lines left out", "loud"),
    ]
    assert (lines[-1]["of"], lines[-1]["lines"]) == ("udf", 2990)
    assert stats.pipeline("loud").as_dict()["log_lines_left_out"] == 2990
    assert stats.pipeline("calm").left_out == 0


def test_runs_that_fail_in_numbers(clock: Clock) -> None:
    """Their lines are bounded, too."""
    stats = Stats()
    logs = RunLogs(stats, LogLimit(2, 0, clock))
    error = StageError("trap", "stopped")
    with capture_logs() as lines:
        for _ in range(100):
            logs.of_run(pipeline("p"), "degraded", error, CONTEXT)
        logs.report()
    assert len(lines) == 11
    assert (lines[-1]["of"], lines[-1]["lines"], stats.pipeline("p").left_out) == ("run", 90, 90)
