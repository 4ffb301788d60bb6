"""The wrapper around every stage: tries, budget, report and figures."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from pipelines.context import Context
from pipelines.errors import DroppedError, RejectedError, StageError, StageTimeoutError
from pipelines.execution.plan import Stages, Step
from pipelines.execution.run_stages import run_stages
from pipelines.execution.scope import Scope
from pipelines.execution.stats import PipelineStats
from pipelines.payload import Payload
from pipelines.wasm import Runtime
from tests.pipelines.conftest import (
    PIPELINE_MS,
    RAISES,
    SAME,
    SPINS,
    Core,
    appends,
    open_core,
    stage,
)

REPORTS_ITS_TIME = """
import time
def query(request, context):
    log(context.deadline_ms)
    until = time.monotonic() + context.params["seconds"]
    while time.monotonic() < until: pass
    raise ValueError("used up its time")
"""
FAILS_TWICE = """
calls = 0
def query(request, context):
    global calls
    calls += 1
    if calls < 3:
        raise ValueError("no luck")
    return {"calls": calls}
"""
SECOND_THOUGHTS = """
calls = 0
def query(request, context):
    global calls
    calls += 1
    if calls == 1:
        raise ValueError("no luck")
    reject("thought better of it", 422)
"""


def retried(udf: str, seconds: float, **options: Any) -> dict[str, Any]:
    config = {"parameters": {"seconds": seconds}}
    return stage(udf, on_failure="retry", retries=10, config=config, **options)


# Tries


async def test_waiting_between_tries_does_not_count(runtime: Runtime) -> None:
    """The timeout bounds execution: a stage that waited longer for its second try has a third."""
    async with open_core(runtime, threads=1) as core:
        core.udf("fails-twice", FAILS_TWICE)
        core.udf("spins", SPINS)
        first = stage("fails-twice", on_failure="retry", retries=2, timeout_ms=500)
        ahead = stage("spins", config={"parameters": {"seconds": 0.7}}, timeout_ms=5000)
        run, _ = await asyncio.gather(
            core.run(core.pipeline(first, name="tries")),
            core.run(core.pipeline(ahead, name="ahead")),
        )
    assert (run.outcome, run.stages[0].tries) == ("done", 3)
    assert run.payload.data == {"calls": 3}
    assert run.stages[0].took_ms >= 700


async def test_all_tries_share_the_stages_timeout(core: Core) -> None:
    """Tries of 400 ms fit twice into a second: the third is cut short and there is no fourth."""
    core.udf("tells", REPORTS_ITS_TIME)
    run = await core.run(core.pipeline(retried("tells", 0.4, timeout_ms=1000)))
    (report,) = run.stages
    assert report.outcome == "failure"
    assert report.tries <= 3
    reported = [int(line) for line in report.log]
    assert reported[0] == 1000
    for earlier, later in pairwise(reported):
        assert later <= earlier - 400
    figures = core.registry.stats("p").as_dict()["stages"]["tells"]
    assert figures["retries"] == report.tries - 1
    assert sum(figures["errors"].values()) == report.tries


@pytest.mark.parametrize(("stage_ms", "pipeline_ms"), [(100, 40_000), (20_000, 100)])
async def test_a_timeout_is_not_tried_again(core: Core, stage_ms: int, pipeline_ms: int) -> None:
    """There is no time for it, whether it was the stage's, of all tries, or the pipeline's."""
    core.udf("tells", REPORTS_ITS_TIME)
    endless = retried("tells", 3600, timeout_ms=stage_ms)
    run = await core.run(core.pipeline(endless, timeout_ms=pipeline_ms))
    assert isinstance(run.error, StageTimeoutError)
    assert run.stages[0].tries == 1
    figures = core.registry.stats("p").as_dict()["stages"]["tells"]
    assert (figures["timeouts"], figures["failure"], figures["retries"]) == (1, 1, 0)


def scope() -> Scope:
    """Of a run of the pipeline `p`."""
    context = Context(id="1", phase="query", index="i")
    return Scope(context, "p", PipelineStats(), {}, {})


class SlowFailure:
    """A stage of another kind, which fails only after 50 ms."""

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        await asyncio.sleep(0.05)
        raise StageError("unavailable", "too far away")


async def test_without_time_left_there_is_no_further_try() -> None:
    """The error is the one of its last try, not a timeout that no try ran into."""
    stages = Stages((Step("slow", SlowFailure(), timeout_ms=40, tries=5),), PIPELINE_MS)
    own = scope()
    with pytest.raises(StageError):
        await run_stages(stages, Payload.of({}), own)
    (report,) = own.reports
    assert report.tries == 1
    assert report.error is not None
    assert report.error.kind == "unavailable"


async def test_a_rejection_by_a_later_try_stands(core: Core) -> None:
    """It is what the stage came to; the failure before it is only counted."""
    core.udf("guard", SECOND_THOUGHTS)
    run = await core.run(core.pipeline(stage("guard", on_failure="retry", retries=5)))
    assert run.outcome == "rejected"
    (report,) = run.stages
    assert (report.outcome, report.tries, report.error) == ("rejected", 2, None)
    figures = core.registry.stats("p").as_dict()["stages"]["guard"]
    assert (figures["rejected"], figures["failure"]) == (1, 0)
    assert figures["errors"] == {"udf_exception": 1}


# Report


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("def document(doc, context): return doc", "success"),
        ("def document(doc, context): raise ValueError", "failure"),
        ("def document(doc, context): reject('no')", "rejected"),
        ("def document(doc, context): drop()", "dropped"),
    ],
)
async def test_a_stage_has_one_outcome_and_one_time(core: Core, source: str, outcome: str) -> None:
    """However it ends, it is counted once, under its outcome."""
    core.udf("u", source)
    run = await core.run(core.pipeline("u", type="document"))
    (report,) = run.stages
    assert report.outcome == outcome
    assert 0 < report.took_ms <= run.took_ms
    figures = core.registry.stats("p").as_dict()["stages"]["u"]
    counted = {key: figures[key] for key in ("success", "failure", "rejected", "dropped")}
    assert counted == {**dict.fromkeys(counted, 0), outcome: 1}
    assert figures["count"] == 1
    assert figures["latency_ms"]["p50"] == pytest.approx(report.took_ms, rel=0.02)


async def test_a_stop_names_its_stage_and_pipeline() -> None:
    """A stage need not know where it stands; whoever gets its decision does."""

    class Stops:
        def __init__(self, error: RejectedError | DroppedError) -> None:
            self.error = error

        async def run(self, payload: Payload, scope: Scope) -> Payload:
            raise self.error

    for error in (RejectedError("no", 404), DroppedError()):
        stages = Stages((Step("stops", Stops(error), timeout_ms=1000, tries=2),), PIPELINE_MS)
        own = scope()
        with pytest.raises(type(error)) as caught:
            await run_stages(stages, Payload.of({}), own)
        assert caught.value is error
        assert [report.tries for report in own.reports] == [1]
        assert (error.pipeline, error.stage) == ("p", "stops")


async def test_a_log_belongs_to_its_stage(core: Core) -> None:
    """Each report has the lines of its own stage, those of failed tries included."""
    core.udf("loud", "def query(request, context):\n    log('loud')\n    return request")
    core.udf("bad", "def query(request, context):\n    log('bad')\n    raise ValueError")
    options: dict[str, Any] = {"on_failure": "retry", "retries": 2}
    run = await core.run(core.pipeline("loud", stage("bad", **options)))
    assert [report.log for report in run.stages] == [["loud"], ["bad"] * 3]


async def test_a_traced_run_keeps_what_went_in_and_came_out(core: Core) -> None:
    """Of every stage; a run that is not traced keeps neither."""
    core.udf("a", appends("a"))
    core.udf("bad", RAISES)
    core.udf("same", SAME)
    pipeline = core.pipeline("a", stage("bad", on_failure="continue"), "same")
    run = await core.run(pipeline, {}, trace=True)
    kept = [(report.before, report.after) for report in run.stages]
    after = {"trail": "a"}
    assert kept == [({}, after), (after, after), (after, after)]
    run = await core.run(pipeline)
    assert {(report.before, report.after) for report in run.stages} == {(None, None)}
