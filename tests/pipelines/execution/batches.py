"""Documents in batches, and each by itself, for the tests of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.errors import DroppedError, RejectedError
from pipelines.execution.batch import Batches, BatchRun
from pipelines.execution.plan import CompiledPipeline
from pipelines.payload import Document, Payload
from tests.pipelines.conftest import Core

MIXED = """
import json
def document(doc, context):
    kind = doc.get("kind")
    if kind == "fail":
        raise ValueError("no luck")
    if kind == "reject":
        log("about to reject")
        reject("not here", 422)
    if kind == "drop":
        drop()
    if kind == "log":
        log("one")
        print("two", end="")
    if kind == "set":
        doc["new"] = 1.5
    if kind == "ids":
        doc["seen"] = [context.id, context.index, context.pipeline, context.stage, context.phase]
    if kind == "take":
        doc.pop("a", None)
    if kind == "order":
        return dict(reversed(doc.items()))
    if kind == "inside":
        doc["a"]["b"].append("c")
    if kind == "metadata":
        return {**doc, "_pipeline_metadata": {"n": doc["n"]}}
    if kind == "state":
        context.state["n"] = doc["n"]
    if kind == "nan":
        doc["a"] = float("nan")
    if kind == "half":
        doc["a"] = chr(0xD800)
    if kind == "huge":
        doc["a"] = 10 ** 30
    if kind == "digits":
        doc["a"] = "9" * 30
    if kind == "equal":
        doc["a"] = float(doc["a"])
    if kind == "list":
        return [doc]
    if kind == "key":
        doc[1] = True
    if kind == "text":
        doc["a"] = "ü\\t\\n\\u2028"
    return doc
"""
REPORTS = """
def document(doc, context):
    doc["told"] = [context.state, context.metadata]
    return doc
"""

SOUND = [
    '{"kind":"same"}',
    '{"kind": "same",  "n": 1.10, "m": 1.20}',
    '{"kind":"set"}',
    '{"kind": "set", "n": 1.10, "e": 1e5, "u": "\\u00e9\\/"}',
    '{"kind": "set", "n": 1, "s": "a  b"}',
    '{"kind": "set", "a": {"b": [ 1,  2.0 ]}, "c": null}',
    '{"kind":"set","small":0.00001,"big":1e22}',
    '{"kind":"ids"}',
    '{"kind":"take","a":1,"b": [1e0]}',
    '{"kind":"order","a":1, "b":2.50}',
    '{"kind":"inside", "a": {"b": [1.0]}, "n":-0.0}',
    '{"kind":"metadata","n":5}',
    '{"kind":"state","n":6}',
    '{"kind":"equal","a":1}',
    '{"kind":"key","a":1}',
    '{"kind":"text"}',
    '{"kind":"digits"}',
    '{"kind":"log"}',
    '{"kind":"reject"}',
    '{"kind":"drop"}',
    '{"kind":"set","digits":"123456789012345678901234567890"}',
    '{"kind":"set","a":18446744073709551615,"b":-9223372036854775808}',
    "{}",
]
"""What a batch settles."""

ALONE = [
    '{"kind":"fail"}',
    '{"kind":"set","twice":1,"twice":2}',
    '{"kind":"same","a":{"n":1.10,"\\u006e":1.20}}',
    '{"kind":"list"}',
    '{"kind":"nan"}',
    '{"kind":"half"}',
    '{"kind":"huge"}',
    '{"kind":"same","n":123456789012345678901234567890}',
    '{"kind":"set","n": 18446744073709551616}',
    '{"kind":"set","a":' + "[" * 300 + "]" * 300 + "}",
]
"""What it leaves to be run alone."""


def numbered(n: int) -> str:
    return f'{{"n":{n}}}'


def batches(core: Core) -> Batches:
    return Batches(core.stats)


async def run(core: Core, texts: list[str], *pipelines: CompiledPipeline) -> BatchRun:
    """A batch of these documents, whose ids are their places, in runs with ids of their own."""
    numbers = iter(range(1000))
    return await batches(core).run(
        pipelines,
        [Document(str(place), text) for place, text in enumerate(texts)],
        core.context("document", headers={"x-user": "u"}),
        lambda: f"id-{next(numbers)}",
    )


async def alone(core: Core, place: int, text: str, *pipelines: CompiledPipeline) -> Any:
    """How the same document ends by itself: its text, or the error."""
    payload = Payload.parse(text)
    state: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}
    for pipeline in pipelines:
        context = core.context("document", document_id=str(place))
        ended = await core.run(pipeline, payload, context, state=state, metadata=metadata)
        if ended.outcome != "done":
            assert ended.error is not None
            return ended.outcome, str(ended.error)
        payload, state, metadata = ended.payload, ended.state, ended.metadata
    return payload.changed, payload.text


def shown(end: Any) -> Any:
    """An end of a batch as `alone` shows one."""
    match end:
        case RejectedError():
            return "rejected", str(end)
        case DroppedError():
            return "dropped", str(end)
        case Document():
            return end.changed, end.text
    return None


def state_of(pipeline: CompiledPipeline) -> str:
    assert pipeline.stages.breaker is not None
    return pipeline.stages.breaker.figure.state


def counts(core: Core, name: str = "p") -> dict[str, Any]:
    """The figures of a pipeline without its times."""
    figures = core.registry.stats(name).as_dict()
    stages = figures.pop("stages")
    for each in (figures, *stages.values()):
        each.pop("time_in_millis")
        each.pop("latency_ms")
    return {**figures, "stages": stages}


async def settled(core: Core, texts: list[str], *pipelines: CompiledPipeline) -> list[Any]:
    return [shown(end) for end in (await run(core, texts, *pipelines)).ends]
