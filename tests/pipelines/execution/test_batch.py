"""Documents in batches: what ends well ends as it would alone, all else is left to run alone."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipelines.errors import DroppedError, RejectedError
from pipelines.execution.batch import Batches, BatchRun
from pipelines.execution.breaker import BreakerRules
from pipelines.execution.plan import CompiledPipeline
from pipelines.payload import Document, Payload
from pipelines.stages.python import BATCH_DOCUMENTS, FIRST_DOCUMENTS
from pipelines.wasm import Runtime
from tests.pipelines.conftest import Core, open_core, stage

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


@pytest.fixture
def mixed(core: Core) -> CompiledPipeline:
    """Does to each document what its `kind` says; a second stage tells state and metadata."""
    core.udf("mixed", MIXED)
    core.udf("reports", REPORTS)
    return core.pipeline("mixed", "reports", type="document")


async def test_a_document_ends_in_a_batch_as_it_does_alone(
    core: Core, mixed: CompiledPipeline
) -> None:
    """To the byte, and whoever else is in the batch; what fails there is left without an end."""
    texts = [text for pair in zip(SOUND, cycle(ALONE), strict=False) for text in pair]
    ends = await settled(core, texts, mixed)
    for place, (text, end) in enumerate(zip(texts, ends, strict=True)):
        if text in ALONE:
            assert end is None, text
        else:
            assert end == await alone(core, place, text, mixed)


async def test_an_unchanged_document_keeps_its_bytes(core: Core) -> None:
    """Whatever spelling it has."""
    core.udf("mixed", MIXED)
    pipeline = core.pipeline("mixed", type="document")
    texts = ['{"n": 1.0,  "m": 2.10}', '{"\\u0061":[1 , 2]} ', "{ }"]
    assert await settled(core, texts, pipeline) == [(False, text) for text in texts]


@pytest.mark.parametrize("paths", [["kind", "n"], ["kind", "a"], ["kind", "a.b"], ["kind", "a.d"]])
async def test_declared_fields_are_as_alone(core: Core, paths: list[str]) -> None:
    """A stage that declares a part changes that, and adds to it, in a batch too."""
    core.udf("mixed", MIXED)
    pipeline = core.pipeline(stage("mixed", config={"input": paths}), type="document")
    texts = [
        '{"kind":"set","x":1.10,"a":{"b":[1],"d":2}}',
        '{"kind": "set", "n": 1, "new": 7}',
        '{"kind":"take","a":{"b":[1.0],"d":2},"x":1}',
        '{"kind":"take","a":5,"x":1}',
        '{"kind":"order","a":{"b":1,"d":2},"n":1}',
        '{"kind":"key","a":{"d":2,"b":[1]},"1":0}',
        '{"kind":"text","a":{"d":2,"b":[1]}}',
        '{"kind":"same","a":{"d":2.0,"b":[1]}}',
    ]
    ends = await settled(core, texts, pipeline)
    expected = [await alone(core, place, text, pipeline) for place, text in enumerate(texts)]
    # Reading what was not declared fails, and who fails is begun again by itself.
    assert ends == [None if end is not None and end[0] == "failed" else end for end in expected]


async def test_later_pipelines_get_what_earlier_ones_made(core: Core) -> None:
    """Document, state and metadata, each its own; who ended before does not come to them."""
    core.udf("mixed", MIXED)
    core.udf("reports", REPORTS)
    first = core.pipeline("mixed", type="document", name="first")
    second = core.pipeline("reports", type="document", name="second")
    ends = await settled(core, SOUND, first, second)
    expected = [await alone(core, place, text, first, second) for place, text in enumerate(SOUND)]
    assert ends == expected
    assert counts(core, "second")["count"] == 2 * (len(SOUND) - 2)


async def test_figures_count_documents(core: Core, mixed: CompiledPipeline) -> None:
    """Those that ended well, each once, as if each had run alone; failed ones are not counted."""
    await settled(core, [*SOUND, *ALONE], mixed)
    inside = counts(core)
    other = Core(core.pool)
    other.udf("mixed", MIXED)
    other.udf("reports", REPORTS)
    pipeline = other.pipeline("mixed", "reports", type="document")
    for place, text in enumerate(SOUND):
        await alone(other, place, text, pipeline)
    assert inside == counts(other)
    assert (inside["success"], inside["rejected"], inside["dropped"]) == (len(SOUND) - 2, 1, 1)
    latency = core.registry.stats("p").latency
    assert latency.count == len(SOUND)
    assert latency.total_ms > 0


async def test_a_log_is_reported_once_and_by_document(core: Core, mixed: CompiledPipeline) -> None:
    """What a document logged that is to be run alone is left to that run."""
    texts = ['{"kind":"log"}', '{"kind":"set"}', '{"kind":"reject"}', '{"kind":"log","a":{}}']
    with capture_logs() as logs:
        ended = await run(core, [*texts, ALONE[0]], mixed)
    lines = [(line["id"], line["message"]) for line in logs if line["event"] == "udf"]
    first, rejected, last = ended.ids[0], ended.ids[2], ended.ids[3]
    assert len({first, rejected, last}) == 3
    assert sorted(lines) == sorted(
        [
            (first, "one"),
            (first, "two"),
            (rejected, "about to reject"),
            (last, "one"),
            (last, "two"),
        ]
    )
    assert {line["pipeline"] for line in logs} == {"p"}
    assert {line["stage"] for line in logs} == {"mixed"}


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_the_log_has_its_limit_by_document(core: Core, over: int) -> None:
    """A log under or at its limit is whole, one over it says so; the next begins anew."""
    core.udf("logs", "def document(doc, context):\n    log('x' * doc['n'])\n    return doc\n")
    pipeline = core.pipeline(stage("logs", config={"log_bytes": 100}), type="document")
    with capture_logs() as logs:
        await run(core, [numbered(99 + over)] * 3, pipeline)
    line = "x" * (99 + over) if over <= 0 else "[the log is full: its limit is 100 bytes a run]"
    assert [each["message"] for each in logs] == [line] * 3


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_input_has_its_limit_by_document(core: Core, over: int) -> None:
    """A document under or at the limit is in the batch; one over it is not, and the others are."""
    core.udf("mixed", MIXED)
    pipeline = core.pipeline(stage("mixed", config={"input_bytes": 1024}), type="document")
    text = '{"a":"' + "x" * (1024 + over - 8) + '"}'
    large, small = await settled(core, [text, "{}"], pipeline)
    assert (large is None) is (over > 0)
    assert small == (False, "{}")
    assert (await alone(core, 0, text, pipeline))[0] == ("failed" if over > 0 else False)


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_output_has_its_limit_by_document(core: Core, over: int) -> None:
    """A batch takes what is well below the limit; the rest, at it or over it, is seen alone."""
    core.udf("grows", "def document(doc, context):\n    return {'a': 'x' * doc['n']}\n")
    pipeline = core.pipeline(stage("grows", config={"output_bytes": 1024}), type="document")
    ends = await settled(
        core, [numbered(n) for n in (512 + over - 8, 1024 + over - 8, 2000)], pipeline
    )
    assert ends[1:] == [None, None]
    assert (ends[0] is None) is (over > 0)
    outcome, _ = await alone(core, 0, numbered(1024 + over - 8), pipeline)
    assert outcome == ("failed" if over > 0 else True)


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "import os; os.abort()",
        "def f(): f()\n        f()",
        "import sys; sys.exit()",
        "[bytearray(2 ** 20) for _ in range(2 ** 20)]",
    ],
    ids=["endless", "trap", "recursion", "exit", "memory"],
)
async def test_a_document_that_breaks_the_sandbox_breaks_it_for_itself(
    core: Core, body: str
) -> None:
    """It has no end, nor have others it took along; another batch and each alone are sound."""
    source = f"def document(doc, context):\n    if doc['n'] == 3:\n        {body}\n    return doc\n"
    core.udf("breaks", source)
    pipeline = core.pipeline(stage("breaks", timeout_ms=200), type="document")
    texts = [numbered(n) for n in range(8)]
    ends = await settled(core, texts, pipeline)
    assert ends[3] is None
    assert all(end in (None, (False, text)) for text, end in zip(texts, ends, strict=True))
    sound = texts[:3] + texts[4:]
    assert await settled(core, sound, pipeline) == [(False, text) for text in sound]
    assert (await alone(core, 3, texts[3], pipeline))[0] == "failed"


@pytest.mark.parametrize(
    "response",
    [
        "",
        "{}",
        "[]",
        "{}\n",
        "{}\nnull",
        '{}\n{"0":{}}',
        "{}\n[1,[],[[]]]",
        '{}\n["","1","[1]"]',
        '{}\n["[[]]","[{},{}]","{"]',
        "{}\n[[],[1],[1,2,3,4]]",
        '{}\n[["[]",{}],["{}",1],[{},{}]]',
        '{}\n[["{}",{},1],["{}",{},[1]],["{}",{},[null]]]',
        '{}\n[["{\\"rejected\\":[1,2]}",null],["{\\"state\\":1}",{}],["{}",null]]',
        '{"error":{"kind":"trap"}}\n[{},{},{}]',
        "[1]\n[{},{},{}]",
    ],
)
async def test_no_response_of_a_sandbox_is_believed(core: Core, response: str) -> None:
    """A UDF that answers in the runtime's place gets its documents run by themselves."""
    source = f"""
        import sys
        sys.modules["runtime.udf"].run_batch = lambda *given: {response!r}
        def document(doc, context):
            return doc
    """
    core.udf("hostile", source)
    pipeline = core.pipeline("hostile", type="document")
    assert await settled(core, ["{}"] * 3, pipeline) == [None] * 3
    assert await alone(core, 0, "{}", pipeline) == (False, "{}")


async def test_a_response_with_more_ends_than_documents_has_no_more_effect(core: Core) -> None:
    """Nor has one with fewer: who is not in it is run by itself."""
    for count, ends in ((1, [(False, "{}"), None]), (9, [(False, "{}")] * 2)):
        source = f"""
            import sys
            answer = "{{}}\\n[" + ",".join(["{{}}"] * {count}) + "]"
            sys.modules["runtime.udf"].run_batch = lambda *given: answer
            def document(doc, context):
                return doc
        """
        core.udf(f"ends-{count}", source)
        pipeline = core.pipeline(f"ends-{count}", type="document", name=f"p{count}")
        assert await settled(core, ["{}"] * 2, pipeline) == ends


async def test_a_batch_that_fails_is_no_overrun(runtime: Runtime) -> None:
    """Neither opens the breaker, nor does it count as a run; a sound batch resets it."""
    async with open_core(runtime, BreakerRules(timeouts=1)) as core:
        core.udf("ends", "def document(d, c):\n    while d.get('endless'): pass\n    return d\n")
        pipeline = core.pipeline(stage("ends", timeout_ms=200), type="document")
        assert await settled(core, ['{"endless":1}', "{}"], pipeline) == [None, None]
        assert state_of(pipeline) == "closed"
        assert counts(core)["count"] == 0
        assert await settled(core, ["{}"], pipeline) == [(False, "{}")]
        assert batches(core).room((pipeline,)) > 0
        await alone(core, 0, '{"endless":1}', pipeline)
        assert state_of(pipeline) == "open"
        assert batches(core).room((pipeline,)) == 0
        assert await settled(core, ["{}"], pipeline) == [None]


async def test_what_a_udf_keeps_and_changes_later_is_reported_as_it_was(core: Core) -> None:
    """Each document is as it was when its run ended, though a later run has its hands on it."""
    source = (
        "kept = {'list': [], 'one': 0}\n"
        "def document(doc, context):\n"
        "    kept['list'].append(doc['n'])\n"
        "    kept['one'] = doc['n']\n"
        "    return kept\n"
    )
    core.udf("keeps", source)
    pipeline = core.pipeline("keeps", type="document")
    assert await settled(core, ['{"n":1}', '{"n":2}'], pipeline) == [
        (True, '{"list":[1],"one":1}'),
        (True, '{"list":[1,2],"one":2}'),
    ]


async def test_each_document_has_a_context_of_its_own(core: Core) -> None:
    """What one writes into it, its headers or its state is not in the next one's."""
    source = (
        "def document(doc, context):\n"
        "    seen = [context.index, context.headers, context.state, context.metadata]\n"
        "    seen = [dict(each) if isinstance(each, dict) else each for each in seen]\n"
        "    context.index = 'mine'\n"
        "    for each in (context.headers, context.state, context.metadata):\n"
        "        each['mine'] = 1\n"
        "    return {'seen': seen}\n"
    )
    core.udf("writes", source)
    pipeline = core.pipeline("writes", type="document")
    text = '{"seen":["products",{"x-user":"u"},{},{}]}'
    assert await settled(core, ["{}"] * 3, pipeline) == [(True, text)] * 3


async def test_room_follows_the_pace(core: Core) -> None:
    """The first batch is small, those of a quick UDF large, and those of a slow one small again."""
    core.udf("mixed", MIXED)
    core.udf("slow", "def document(d, c):\n    for _ in range(d['n']): pass\n    return d\n")
    core.udf("unused", MIXED)
    quick = core.pipeline("mixed", type="document", name="quick")
    slow = core.pipeline("slow", type="document", name="slow")
    new = core.pipeline("unused", type="document", name="new")
    own = core.pipeline(
        stage("mixed", config={"isolation": "request"}), type="document", name="own"
    )
    none = core.pipeline(stage("mixed", enabled=False), type="document", name="none")
    room = batches(core).room
    assert room((new,)) == FIRST_DOCUMENTS
    await run(core, ["{}"] * FIRST_DOCUMENTS, quick)
    assert FIRST_DOCUMENTS < room((quick,)) <= BATCH_DOCUMENTS
    await run(core, ['{"n":100000}'] * 2, slow)
    assert room((slow,)) == room((quick, slow)) < FIRST_DOCUMENTS
    await run(core, ['{"n":900000}'] * 2, slow)
    assert room((slow,)) == 0
    assert room((own,)) == room((quick, own)) == room((none,)) == 0


async def test_disabled_stages_are_counted_as_skipped(core: Core) -> None:
    """Once a document."""
    core.udf("mixed", MIXED)
    pipeline = core.pipeline(
        stage("mixed", "off", enabled=False), stage("mixed", "on"), type="document"
    )
    await run(core, ['{"kind":"set"}', '{"kind":"reject"}', '{"kind":"fail"}'], pipeline)
    stages = counts(core)["stages"]
    assert (stages["off"]["skipped"], stages["off"]["count"]) == (2, 0)
    assert (stages["on"]["success"], stages["on"]["rejected"], stages["on"]["count"]) == (1, 1, 2)
    assert counts(core)["count"] == 2
