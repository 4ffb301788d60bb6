"""The `input` of a python stage: how it is read, and what comes of it in a pipeline."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.context import Phase
from pipelines.errors import DefinitionError
from pipelines.payload import Payload
from tests.pipelines.conftest import Core, stage

BEST_FIRST = """
def result(response, context):
    context.hits.rescore(lambda hit: hit["_source"]["n"] * context.params["weight"])
"""
RESPONSE = {
    "hits": {"max_score": 2.0, "hits": [{"_score": 2.0, "_source": {"n": n}} for n in range(3)]}
}


def definition(paths: Any, phase: Phase = "result", **config: Any) -> dict[str, Any]:
    """A pipeline of two stages, the second of which declares `paths`."""
    stages = [stage("u", "first"), stage("u", "second", config={"input": paths, **config})]
    return {"name": "p", "type": phase, "stages": stages}


@pytest.mark.parametrize(
    ("paths", "phase", "where", "said"),
    [
        (["a"], "query", "", "is for document and result pipelines"),
        ([], "result", "", "has 0 paths; 1 to 64 are allowed"),
        ([f"f{n}" for n in range(65)], "document", "", "has 65 paths"),
        ("_score", "result", "", "must be an array, not a string"),
        (None, "result", "", "must be an array, not null"),
        (["_score", 3], "result", "[1]", "must be a string, not a number"),
        (["_score", "a..b"], "result", "[1]", "[a..b] must be 1 to 20 names joined by dots"),
        (["title", "x*"], "document", "[1]", "[x*] holds a wildcard"),
        (["_id", "response.hits"], "result", "[1]", "holds the hits"),
        (["a", "b", "a"], "document", "[2]", "[a] is there twice"),
    ],
)
async def test_input_violated(core: Core, paths: Any, phase: Phase, where: str, said: str) -> None:
    """Each fault is named with its place."""
    core.udf("u", BEST_FIRST)
    with pytest.raises(DefinitionError) as caught:
        core.registry.read(definition(paths, phase))
    assert caught.value.path == f"stages[1].config.input{where}"
    assert said in caught.value.reason


@pytest.mark.parametrize(
    ("paths", "phase"),
    [
        ([f"f{n}" for n in range(64)], "document"),
        (["_score", "_source.a.b", "response.aggregations", "response.hits.total"], "result"),
        (["response.hits"], "document"),
    ],
)
async def test_input_obeyed(core: Core, paths: list[str], phase: Phase) -> None:
    """What can be declared is read."""
    core.udf("u", BEST_FIRST)
    core.registry.read(definition(paths, phase))


async def test_stages_with_and_without_declared_input_follow_each_other(core: Core) -> None:
    """Each sees what the one before made of the whole response; the first input stays as it was."""
    core.udf("whole", "def result(response, context): return {**response, 'took': 7}")
    core.udf("parts", BEST_FIRST)
    config = {"input": ["_source.n"], "parameters": {"weight": 2}}
    pipeline = core.pipeline("whole", stage("parts", config=config), type="result")
    given = Payload.of(RESPONSE)
    run = await core.run(pipeline, given, core.context("result", request="{}"))
    assert run.outcome == "done"
    assert run.payload.changed
    assert run.payload.data == {
        "hits": {
            "max_score": 4.0,
            "hits": [{"_score": 2.0 * n, "_source": {"n": n}} for n in (2, 1, 0)],
        },
        "took": 7,
    }
    assert Payload.parse(run.payload.text).data == run.payload.data
    assert given.data == RESPONSE


async def test_a_failed_stage_leaves_the_response_as_it_was(core: Core) -> None:
    """Edits made before the failure are not applied."""
    core.udf("u", "def result(r, context):\n    context.hits[0].drop()\n    raise KeyError('x')")
    config = {"input": ["_score"]}
    pipeline = core.pipeline(stage("u", on_failure="continue", config=config), type="result")
    given = Payload.of(RESPONSE)
    run = await core.run(pipeline, given, core.context("result", request="{}"))
    assert (run.outcome, run.payload) == ("degraded", given)


async def test_the_same_udf_with_and_without_declared_input(core: Core) -> None:
    """The sandbox they share is told each time."""
    core.udf("u", "def result(r, c):\n    return None if hasattr(c, 'hits') else {'whole': 1}")
    runs = []
    for config in ({}, {"input": ["_id"]}, {}):
        pipeline = core.pipeline(stage("u", config=config), type="result")
        run = await core.run(pipeline, RESPONSE, core.context("result", request="{}"))
        runs.append((run.outcome, run.payload.data))
    assert runs == [("done", {"whole": 1}), ("done", RESPONSE), ("done", {"whole": 1})]
    assert core.pool.stats()["created"] == 1
