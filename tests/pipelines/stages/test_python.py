"""The stage kind `python`: what reaches a UDF, and what its limits are."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from pipelines.errors import StageError, StageTimeoutError
from pipelines.execution.run_stages import run_stages
from pipelines.execution.scope import Scope
from pipelines.execution.stats import PipelineStats
from pipelines.payload import Payload
from tests.pipelines.conftest import SAME, STAGE_MS, Core, stage

SHOWS = """
def query(request, context):
    return {
        "id": context.id, "index": context.index, "phase": context.phase,
        "pipeline": context.pipeline, "stage": context.stage, "headers": context.headers,
        "params": context.params, "state": context.state, "metadata": context.metadata,
    }
"""
COUNTS = """
calls = 0
def query(request, context):
    global calls
    calls += 1
    return {"calls": calls}
"""


async def failure(core: Core, source: str, data: dict[str, Any], **config: Any) -> StageError:
    """The error of a run of one stage with that source and config, which has to fail."""
    core.udf("u", source)
    run = await core.run(core.pipeline(stage("u", config=config)), data)
    assert isinstance(run.error, StageError)
    return run.error


async def test_a_udf_sees_its_surroundings(core: Core) -> None:
    """The document's id, index, phase, names, headers, parameters, state and metadata."""
    core.udf("shows", SHOWS)
    parameters = {"boost": 2.5, "words": ["é", None], "nested": {"a": [1]}}
    pipeline = core.pipeline(stage("shows", "first", config={"parameters": parameters}))
    context = core.context(document_id="7", headers={"accept-language": "de"})
    run = await core.run(pipeline, {}, context, state={"s": 1}, metadata={"m": [2]})
    assert run.payload.data == {
        "id": "7",
        "index": "products",
        "phase": "query",
        "pipeline": "p",
        "stage": "first",
        "headers": {"accept-language": "de"},
        "params": parameters,
        "state": {"s": 1},
        "metadata": {"m": [2]},
    }


async def test_a_result_stage_sees_the_request_behind_the_response(core: Core) -> None:
    """As the backend got it."""
    core.udf("u", "def result(response, context): return {'size': context.request['size']}")
    pipeline = core.pipeline("u", type="result")
    run = await core.run(pipeline, {}, core.context("result", request='{"size":7}'))
    assert run.payload.data == {"size": 7}


async def test_state_a_udf_takes_out_is_gone(core: Core) -> None:
    """What it leaves in `context.state` is the whole state from then on."""
    core.udf("u", "def query(request, context):\n    context.state.clear()\n    return request")
    run = await core.run(core.pipeline("u"), state={"s": 1})
    assert run.state == {}


async def test_the_original_style_runs_in_a_stage(core: Core) -> None:
    """`udf_main` gets the query clause by name and gives the new one as JSON text."""
    source = """
    import json
    def udf_main():
        clause = json.loads(get_field_string("query"))
        return json.dumps({"bool": {"must": [clause], "boost": get_param("boost")}})
    """
    core.udf("u", source)
    pipeline = core.pipeline(stage("u", config={"parameters": {"boost": 2}}))
    run = await core.run(pipeline, {"size": 1, "query": {"match": {"title": "x"}}})
    expected = {"bool": {"must": [{"match": {"title": "x"}}], "boost": 2}}
    assert run.payload.data == {"size": 1, "query": expected}


@pytest.mark.parametrize(("isolation", "calls"), [("pooled", [1, 2, 3]), ("request", [1, 1, 1])])
async def test_isolation(core: Core, isolation: str, calls: list[int]) -> None:
    """A pooled sandbox keeps what its UDF keeps in globals, one for each request does not."""
    core.udf("counts", COUNTS)
    pipeline = core.pipeline(stage("counts", config={"isolation": isolation}))
    assert [(await core.run(pipeline)).payload.data["calls"] for _ in calls] == calls


async def test_stages_with_other_parameters_have_other_sandboxes(core: Core) -> None:
    """Two uses of one UDF share a sandbox only when nothing tells them apart."""
    core.udf("counts", COUNTS)
    one, again, other = (
        core.pipeline(stage("counts", config={"parameters": {"n": n}}), name=name)
        for n, name in [(1, "one"), (1, "again"), (2, "other")]
    )
    counted = [(await core.run(each)).payload.data["calls"] for each in (one, again, other)]
    assert counted == [1, 2, 1]


# Limits, each kept and broken

BIG = {"text": "x" * 2000}


async def test_limits_obeyed(core: Core) -> None:
    """What fits into every limit is done."""
    core.udf("same", "def query(request, context):\n    log('x' * 9)\n    return request")
    config = {"input_bytes": 2011, "output_bytes": 2011, "log_bytes": 10, "memory_mb": 64}
    run = await core.run(core.pipeline(stage("same", config=config)), BIG)
    assert (run.outcome, run.stages[0].log) == ("done", ["x" * 9])


async def test_input_bytes_violated(core: Core) -> None:
    """The UDF is not run."""
    error = await failure(core, SAME, BIG, input_bytes=2010)
    assert error.kind == "input_too_large"


async def test_output_bytes_violated(core: Core) -> None:
    """The result is not taken."""
    error = await failure(core, SAME, BIG, output_bytes=2010)
    assert error.kind == "output_too_large"


async def test_log_bytes_violated(core: Core) -> None:
    """The log ends there, the run does not."""
    core.udf("u", "def query(request, context):\n    log('x' * 10)\n    return request")
    run = await core.run(core.pipeline(stage("u", config={"log_bytes": 10})))
    assert run.outcome == "done"
    assert run.stages[0].log == ["[the log is full: its limit is 10 bytes a run]"]


async def test_memory_violated(core: Core) -> None:
    """The error names the limit of the stage."""
    source = "def query(request, context): return {'n': len(bytearray(70 * 1024 * 1024))}"
    error = await failure(core, source, {}, memory_mb=70)
    assert error.kind == "memory"
    assert "70 MB" in error.reason


# Time


async def test_a_udf_is_reported_the_least_of_its_times(core: Core) -> None:
    """The stage's, what is left of it, or what is left of the pipeline's."""
    core.udf("u", "def query(request, context): return {'ms': context.deadline_ms}")
    run = await core.run(core.pipeline("u"))
    assert run.payload.data == {"ms": STAGE_MS}
    run = await core.run(core.pipeline("u", timeout_ms=10_000))
    assert 1 <= run.payload.data["ms"] <= 10_000


@pytest.mark.parametrize(
    ("deadline", "budget", "reason"),
    [(0.0, 1000, "the pipeline passed its"), (60.0, 0, "no time was left")],
)
async def test_without_time_nothing_is_run(
    core: Core, deadline: float, budget: int, reason: str
) -> None:
    """Neither with the deadline passed nor with the stage's own budget spent."""
    core.udf("same", SAME)
    stages = core.pipeline("same").stages
    (step,) = stages.steps
    stages = replace(stages, steps=(replace(step, timeout_ms=budget),))
    context = core.context(deadline=time.monotonic() + deadline)
    with pytest.raises(StageTimeoutError, match=reason):
        await run_stages(stages, Payload.of({}), Scope(context, "p", PipelineStats(), {}, {}))
    assert core.pool.stats()["created"] == 0
