"""Running pipelines: order, failure policies, deadlines, what a run leaves behind."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipelines.errors import DroppedError, RejectedError, StageError, StageTimeoutError
from pipelines.payload import Payload
from pipelines.wasm import Runtime
from tests.pipelines.conftest import FLAKY, RAISES, SAME, SPINS, Core, appends, open_core, stage


def reports(run: Any) -> list[tuple[str, str]]:
    return [(report.name, report.outcome) for report in run.stages]


# Order


async def test_stages_run_in_order_each_on_what_the_one_before_it_made(core: Core) -> None:
    """Three stages that append a letter spell it in the order of the definition."""
    stages = [core.udf(name, appends(name)) for name in ("c", "a", "b")]
    run = await core.run(core.pipeline(*stages), {"trail": ">", "size": 3})
    assert (run.outcome, run.error) == ("done", None)
    assert run.payload.data == {"trail": ">cab", "size": 3}
    assert run.payload.changed
    assert reports(run) == [("c", "success"), ("a", "success"), ("b", "success")]


async def test_a_payload_no_stage_changes_is_the_one_that_came_in(core: Core) -> None:
    """It can go on as the bytes it was, numbers of any length included."""
    core.udf("same", SAME)
    payload = Payload.parse('{"size":  123456789012345678901234567890}')
    run = await core.run(core.pipeline("same"), payload)
    assert run.outcome == "done"
    assert run.payload is payload


async def test_a_disabled_stage_is_skipped(core: Core) -> None:
    """Its neighbours run, it is reported and counted as skipped and has no times."""
    core.udf("a", appends("a"))
    core.udf("bad", RAISES)
    pipeline = core.pipeline("a", stage("bad", enabled=False), stage("a", "again"))
    run = await core.run(pipeline)
    assert (run.outcome, run.payload.data) == ("done", {"trail": "aa"})
    assert reports(run) == [("a", "success"), ("bad", "skipped"), ("again", "success")]
    shown = core.registry.stats("p").as_dict()["stages"]["bad"]
    assert (shown["skipped"], shown["count"], shown["latency_ms"]) == (1, 0, {})


# A stage that fails


async def test_continue_passes_the_stages_input_on(core: Core) -> None:
    """The run is degraded, and what the other stages made stands."""
    core.udf("a", appends("a"))
    core.udf("bad", RAISES)
    pipeline = core.pipeline("a", stage("bad", on_failure="continue"), stage("a", "again"))
    run = await core.run(pipeline)
    assert (run.outcome, run.payload.data) == ("degraded", {"trail": "aa"})
    assert reports(run) == [("a", "success"), ("bad", "failure"), ("again", "success")]
    assert isinstance(run.error, StageError)
    assert (run.error.kind, run.error.stage, run.error.pipeline) == ("udf_exception", "bad", "p")
    assert "ValueError: no luck" in run.error.reason


@pytest.mark.parametrize(("on_error", "outcome"), [("continue", "degraded"), ("fail", "failed")])
async def test_abort_ends_the_run_with_the_original(
    core: Core, on_error: str, outcome: str
) -> None:
    """No later stage runs, and what earlier ones made is taken back, whatever `on_error` says."""
    core.udf("a", appends("a"))
    core.udf("bad", RAISES)
    pipeline = core.pipeline("a", "bad", stage("a", "never"), on_error=on_error)
    payload = Payload.of({"size": 1})
    run = await core.run(pipeline, payload)
    assert run.outcome == outcome
    assert run.payload is payload
    assert reports(run) == [("a", "success"), ("bad", "failure")]
    assert isinstance(run.error, StageError)
    assert run.error.stage == "bad"


async def test_a_document_pipeline_always_fails(core: Core) -> None:
    """A document whose transformation failed is not stored as it was."""
    core.udf("bad", "def document(doc, context): raise ValueError('no luck')")
    run = await core.run(core.pipeline("bad", type="document"), {"title": "x"})
    assert run.outcome == "failed"
    assert isinstance(run.error, StageError)


async def test_retry_succeeds_with_a_later_try(core: Core) -> None:
    """It gets the same input and state again; nothing is left of the tries that failed."""
    core.udf("a", appends("a"))
    core.udf("flaky", FLAKY)
    options: dict[str, Any] = {
        "on_failure": "retry",
        "retries": 3,
        "config": {"parameters": {"failures": 2}},
    }
    run = await core.run(core.pipeline("a", stage("flaky", **options)))
    assert run.outcome == "done"
    assert run.payload.data == {"trail": "a", "calls": 3, "state": {}}
    report = run.stages[1]
    assert (report.outcome, report.tries, report.error) == ("success", 3, None)
    shown = core.registry.stats("p").as_dict()["stages"]["flaky"]
    assert (shown["success"], shown["failure"], shown["retries"]) == (1, 0, 2)
    assert shown["errors"] == {"udf_exception": 2}


async def test_retry_aborts_when_every_try_failed(core: Core) -> None:
    """One more try than `retries`, then the run ends like any failure."""
    core.udf("flaky", FLAKY)
    options: dict[str, Any] = {
        "on_failure": "retry",
        "retries": 2,
        "config": {"parameters": {"failures": 9}},
    }
    run = await core.run(core.pipeline(stage("flaky", **options), on_error="fail"))
    assert run.outcome == "failed"
    assert isinstance(run.error, StageError)
    assert "failure 3" in run.error.reason
    assert run.stages[0].tries == 3
    shown = core.registry.stats("p").as_dict()["stages"]["flaky"]
    assert (shown["count"], shown["failure"], shown["retries"]) == (1, 1, 2)


# A UDF that decides


async def test_a_rejection_ends_the_run(core: Core) -> None:
    """With the UDF's own status and reason, even where failures may be passed over."""
    core.udf("a", appends("a"))
    core.udf("guard", "def query(request, context): reject('not today', 403)")
    pipeline = core.pipeline(stage("guard", on_failure="continue"), "a")
    run = await core.run(pipeline)
    assert run.outcome == "rejected"
    assert isinstance(run.error, RejectedError)
    assert (run.error.reason, run.error.status) == ("not today", 403)
    assert (run.error.pipeline, run.error.stage) == ("p", "guard")
    assert reports(run) == [("guard", "rejected")]


async def test_a_dropped_document_ends_the_run(core: Core) -> None:
    """No later stage sees the document."""
    core.udf("filter", "def document(doc, context): drop()")
    core.udf("same", "def document(doc, context): return doc")
    run = await core.run(core.pipeline("filter", "same", type="document"), {"title": "x"})
    assert run.outcome == "dropped"
    assert isinstance(run.error, DroppedError)
    assert (run.error.pipeline, run.error.stage) == ("p", "filter")
    assert reports(run) == [("filter", "dropped")]


# Input


async def test_input_of_the_wrong_type_never_reaches_a_stage(core: Core) -> None:
    """A query that is no object is the run's failure, before any stage."""
    core.udf("a", appends("a"))
    run = await core.run(core.pipeline("a", on_error="fail"), {"query": "shoes"})
    assert (run.outcome, run.stages) == ("failed", [])
    assert isinstance(run.error, StageError)
    assert (run.error.kind, run.error.pipeline, run.error.stage) == ("input_type", "p", "")


# State and metadata

WRITES = """
def query(request, context):
    context.state["seen"] = context.state.get("seen", 0) + 1
    return {**request, "_pipeline_metadata": {"corrected": context.state["seen"]}}
"""
READS = """
def query(request, context):
    return {"state": context.state, "metadata": context.metadata}
"""


async def test_state_and_metadata_reach_the_next_stage(core: Core) -> None:
    """And the run, from which the next run of the request takes them."""
    core.udf("writes", WRITES)
    core.udf("reads", READS)
    pipeline = core.pipeline("writes", "reads")
    run = await core.run(pipeline, state={"seen": 6}, metadata={"earlier": True})
    expected = {"state": {"seen": 7}, "metadata": {"earlier": True, "corrected": 7}}
    assert run.payload.data == expected
    assert {"state": run.state, "metadata": run.metadata} == expected


@pytest.mark.parametrize("on_error", ["continue", "fail"])
async def test_a_run_that_is_thrown_away_takes_state_and_metadata_back(
    core: Core, on_error: str
) -> None:
    """The next run sees what was there before it."""
    core.udf("writes", WRITES)
    core.udf("bad", RAISES)
    pipeline = core.pipeline("writes", "bad", on_error=on_error)
    run = await core.run(pipeline, state={"seen": 6}, metadata={"earlier": True})
    assert (run.state, run.metadata) == ({"seen": 6}, {"earlier": True})


async def test_a_stage_that_may_fail_takes_nothing_of_the_others_back(core: Core) -> None:
    """State of the stages that succeeded stands in a run that is degraded in part."""
    core.udf("writes", WRITES)
    core.udf("bad", RAISES)
    run = await core.run(core.pipeline("writes", stage("bad", on_failure="continue")))
    assert run.outcome == "degraded"
    assert (run.state, run.metadata) == ({"seen": 1}, {"corrected": 1})


# Time

SECOND = {"seconds": 1}


async def test_a_run_ends_with_its_pipelines_timeout(core: Core) -> None:
    """A stage with time of its own left is stopped when the pipeline has none; none follows."""
    core.udf("spins", SPINS)
    core.udf("a", appends("a"))
    endless = stage("spins", config={"parameters": {"seconds": 3600}}, on_failure="continue")
    run = await core.run(core.pipeline(endless, stage("a", "never"), timeout_ms=200))
    assert run.outcome == "degraded"
    assert isinstance(run.error, StageTimeoutError)
    assert run.error.stage == "never"
    assert run.error.reason == "the pipeline passed its 200 ms"
    assert reports(run) == [("spins", "failure")]
    assert core.registry.stats("p").as_dict()["timeouts"] == 1


async def test_stages_share_their_pipelines_time(core: Core) -> None:
    """Two stages of a second each do not both fit into a second and a half."""
    core.udf("spins", SPINS)
    config = {"parameters": SECOND}
    stages = [stage("spins", name, config=config) for name in ("one", "two")]
    run = await core.run(core.pipeline(*stages, timeout_ms=1500, on_error="fail"))
    assert run.outcome == "failed"
    assert isinstance(run.error, StageTimeoutError)


async def test_after_the_deadline_no_stage_begins(core: Core) -> None:
    """The caller's deadline counts as the pipeline's own; the stage not begun is named."""
    core.udf("a", appends("a"))
    context = core.context(deadline=time.monotonic() - 1)
    run = await core.run(core.pipeline("a", on_error="fail"), {}, context)
    assert (run.outcome, run.stages) == ("failed", [])
    assert isinstance(run.error, StageTimeoutError)
    assert run.error.stage == "a"


async def test_waiting_for_a_sandbox_is_part_of_the_pipelines_time(runtime: Runtime) -> None:
    """A run that waited for a second for the only thread has a second less."""
    async with open_core(runtime, threads=1) as core:
        core.udf("spins", SPINS)
        ahead = core.pipeline(stage("spins", config={"parameters": SECOND}), name="ahead")
        late = core.pipeline(
            stage("spins", config={"parameters": SECOND}), name="late", timeout_ms=1500
        )
        first, second = await asyncio.gather(core.run(ahead), core.run(late))
    assert first.outcome == "done"
    assert second.outcome == "degraded"
    assert isinstance(second.error, StageTimeoutError)


async def test_no_sandbox_free_in_time_is_a_timeout(runtime: Runtime) -> None:
    """The run ends while it waits, and says that it did."""
    async with open_core(runtime, threads=1) as core:
        core.udf("spins", SPINS)
        core.udf("same", SAME)
        ahead = core.pipeline(stage("spins", config={"parameters": SECOND}), name="ahead")
        late = core.pipeline("same", name="late", timeout_ms=100)
        _, run = await asyncio.gather(core.run(ahead), core.run(late))
    assert isinstance(run.error, StageTimeoutError)
    assert "no sandbox was free" in run.error.reason


async def test_waiting_for_a_sandbox_is_not_part_of_the_stages_time(runtime: Runtime) -> None:
    """A stage's timeout counts from the moment it has a sandbox."""
    async with open_core(runtime, threads=1) as core:
        core.udf("spins", SPINS)
        core.udf("same", SAME)
        ahead = core.pipeline(stage("spins", config={"parameters": {"seconds": 2}}), name="ahead")
        behind = core.pipeline(stage("same", timeout_ms=2000), name="behind")
        _, run = await asyncio.gather(core.run(ahead), core.run(behind))
    assert run.outcome == "done"
    assert run.took_ms >= 2000


# What is told


async def test_a_run_that_was_not_done_is_logged_with_the_udfs_own_lines(core: Core) -> None:
    """One warning that names run, pipeline, stage, index and kind, with the UDF's traceback."""
    core.udf("bad", "def query(request, context):\n    log('so far')\n    raise ValueError('x')")
    pipeline = core.pipeline(stage("bad", "first"))
    context = core.context(request_id="req")
    with capture_logs() as lines:
        await core.run(pipeline, {}, context)
    reported, warning = lines
    assert reported == {
        "event": "udf",
        "id": context.id,
        "request_id": "req",
        "pipeline": "p",
        "version": "1.0.0",
        "revision": pipeline.revision,
        "stage": "first",
        "udf": "bad@1.0.0",
        "message": "so far",
        "log_level": "info",
    }
    assert warning["event"] == "run degraded"
    assert warning["log_level"] == "warning"
    named = {key: warning[key] for key in reported if key not in ("event", "log_level", "message")}
    assert named == {key: reported[key] for key in named}
    assert (warning["index"], warning["kind"]) == ("products", "udf_exception")
    assert "line 3, in query" in warning["detail"]


async def test_a_run_that_is_done_logs_only_what_its_udfs_wrote(core: Core) -> None:
    """Silence is the rule."""
    core.udf("same", SAME)
    with capture_logs() as lines:
        await core.run(core.pipeline("same"))
    assert lines == []
