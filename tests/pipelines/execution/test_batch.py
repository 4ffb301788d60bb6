"""Documents in batches: what ends well ends as it would alone, all else is left to run alone."""

from __future__ import annotations

from itertools import cycle

import pytest
from structlog.testing import capture_logs

from pipelines.execution.breaker import BreakerRules
from pipelines.execution.plan import CompiledPipeline
from pipelines.stages.python import BATCH_DOCUMENTS, FIRST_DOCUMENTS
from pipelines.wasm import Runtime
from tests.pipelines.conftest import Core, open_core, stage
from tests.pipelines.execution.batches import (
    ALONE,
    MIXED,
    REPORTS,
    SOUND,
    alone,
    batches,
    counts,
    run,
    settled,
    state_of,
)


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
