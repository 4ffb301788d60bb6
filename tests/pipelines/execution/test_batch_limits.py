"""Limits of documents in batches, and sandboxes that break or lie."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.pipelines.conftest import Core, stage
from tests.pipelines.execution.batches import MIXED, alone, numbered, run, settled


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
