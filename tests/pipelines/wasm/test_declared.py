"""Stages that declare what they read, in real sandboxes: parts go in, edits come out."""

from __future__ import annotations

import json

import pytest

from pipelines.errors import StageError
from pipelines.wasm import Call, Limits
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.declaring import FOUR, LIMITS, Declared, hit, response
from tests.pipelines.wasm.udfs import udf, using

# What a UDF sees


async def test_the_response_holds_what_was_declared_and_no_more(declared: Declared) -> None:
    """Of the response itself here nothing; the context knows what it always does."""
    body = """
    assert response == {}, response
    assert [str(hit) for hit in hits] == ["Hit({'_source': {'x': 1}})", "Hit({'_source': {}})"]
    assert context.request == {"size": 7}
    assert context.index == "products"
    """
    payload = response(hit(1, x=1, y=2), hit(2))
    reply = await declared.edit(body, payload, "_source.x", index="products")
    assert not reply.changed


async def test_members_of_the_response_can_be_declared(declared: Declared) -> None:
    """They are there to be read."""
    body = 'assert response == {"took": 3, "hits": {"total": 9}}, response'
    assert not (
        await declared.edit(body, response(hit(1)), "response.took", "response.hits.total", "sort")
    ).changed


async def test_reading_a_hit(declared: Declared) -> None:
    """By path, with a default, as a container."""
    body = """
    second = hits[1]
    assert (second["_score"], second["_source"], second["_source.n"]) == (3.0, {"n": 1}, 1)
    assert (second.get("_source.n"), second.get("sort"), second.get("sort", 7)) == (1, None, 7)
    assert "_source.n" in second and "sort" not in second
    assert (len(hits), bool(hits), [h["_source.n"] for h in hits[2:]]) == (4, True, [2, 3])
    assert str(second) == "Hit({'_score': 3.0, '_source': {'n': 1}})"
    try:
        second["sort"]
    except KeyError as error:
        assert error.args == ("sort",)
    else:
        raise AssertionError
    """
    assert not (await declared.edit(body, FOUR, "_score", "_source.n", "sort")).changed


async def test_big_numbers_are_read_exactly(declared: Declared) -> None:
    """As from a whole response."""
    payload = f'{{"hits":{{"hits":[{{"_source":{{"n":{2**70}}}}}]}}}}'
    body = f"assert hits[0]['_source.n'] == {2**70}\nhits[0].set('m', {2**71})"
    reply = await declared.edit(body, payload)
    assert reply.payload == f'{{"hits":{{"hits":[{{"_source":{{"n":{2**70}}},"m":{2**71}}}]}}}}'


async def test_without_declared_input_there_are_no_hits_to_edit(pool: SandboxPool) -> None:
    """The error tells what `context.hits` needs."""
    call = Call(phase="result", payload=json.dumps(FOUR), request="{}")
    for name, said in [("hits", "declares its `input`"), ("other", "context has no 'other'")]:
        source = f"def result(response, context): return context.{name}"
        with pytest.raises(StageError, match="AttributeError") as caught:
            await pool.run(using(udf(source), LIMITS), call)
        assert said in caught.value.reason


async def test_input_bytes_count_what_is_given(declared: Declared) -> None:
    """Not what stays outside."""
    payload = response(hit(1, x="x" * 5000))
    small = Limits(timeout_ms=5000, input_bytes=1024)
    await declared.edit("hits[0].drop()", payload, "_id", limits=small)
    error = await declared.fails("pass", payload, "_source", limits=small)
    assert error.kind == "input_too_large"


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("[1]", "not a JSON object"),
        ("{", "cannot be used"),
        ('{"hits":{"hits":[{"_score":' + "[" * 300 + "]" * 300 + "}]}}", "250 levels"),
    ],
)
async def test_bad_input(declared: Declared, payload: str, said: str) -> None:
    """Is refused before it reaches the UDF."""
    error = await declared.fails("pass", payload)
    assert error.kind == "input_type"
    assert said in error.reason


FORGERIES = {
    "no json": ("{}\nnope", "not JSON"),
    "no object": ("{}\n[1]", "not a JSON object"),
    "a response": ('{}\n{"hits":{"hits":[]}}', "not an object with order and edits"),
    "a hit that is not there": ('{}\n{"order":[0,4]}', "not among the 4"),
    "a hit twice": ('{}\n{"order":[0,0]}', "twice"),
    "a score of text": ('{}\n{"edits":[["_score",[0],["1"]]]}', "no number"),
    "deep paths": ('{}\n{"edits":[["' + "a." * 300 + 'a",[0],[1]]]}', "names joined by dots"),
    "deep edits": ('{}\n{"edits":[["a",[0],[' + "[" * 900 + "]" * 900 + "]]]}", "250 levels"),
    "big edits": ('{}\n{"edits":[["a",[0],[' + "9" * 5000 + "]]]}", "not JSON"),
}


@pytest.mark.parametrize("case", FORGERIES)
async def test_forged_edits(declared: Declared, case: str) -> None:
    """A UDF that takes over its interpreter can answer anything, and is not believed."""
    response, said = FORGERIES[case]
    source = f"import app\napp._udf.run = lambda call: {response!r}\ndef result(r, c): pass"
    with pytest.raises(StageError) as caught:
        await declared.run(source)
    assert caught.value.kind == "invalid_result"
    assert said in caught.value.reason


# Documents


@pytest.mark.parametrize(
    ("body", "payload", "expected"),
    [
        ("return {**doc, 'b': 3}", '{"a":1,"c":2}', '{"a":1,"c":2,"b":3}'),
        (
            "doc['a'] = 2\n    return doc",
            '{ "c": 1.50, "a": 1, "z": 1e2 }',
            '{"c":1.50,"a":2,"z":1e2}',
        ),
        ("return {}", '{"a":1,"c":2}', '{"c":2}'),
        ("return {'c': 3}", '{"a":1,"c":2}', '{"c":3}'),
        ("return {'a': doc['a'] + 1}", f'{{"a":{2**70},"c":2}}', f'{{"a":{2**70 + 1},"c":2}}'),
        ("return {'a': 2}", f'{{"a":1,"c":{2**70}}}', f'{{"a":2,"c":{2**70}}}'),
    ],
)
async def test_documents(declared: Declared, body: str, payload: str, expected: str) -> None:
    """A function of documents gets the declared part and returns it; the rest stays as written."""
    reply = await declared.run(
        f"def document(doc, context):\n    assert doc.keys() <= {{'a'}}\n    {body}",
        payload,
        phase="document",
    )
    assert (reply.changed, reply.payload) == (True, expected)


async def test_documents_of_the_first_style(declared: Declared) -> None:
    """Fields are those that were declared."""
    source = "def udf_main():\n    return {'a': get_field('a'), 'c': has_field('b')}"
    reply = await declared.run(source, {"a": 1, "c": 2}, "a", "b", phase="document")
    assert reply.data == {"a": 1, "c": False}


@pytest.mark.parametrize("payload", ['{ "a": 1.0, "c": 2 }', f'{{"a":1,"c":{2**70}}}', "{}"])
async def test_documents_that_do_not_change(declared: Declared, payload: str) -> None:
    """Returning what was given leaves the document alone."""
    source = "def document(doc, context):\n    return doc"
    assert not (await declared.run(source, payload, phase="document")).changed


async def test_documents_that_are_left_out(declared: Declared) -> None:
    """`drop` does what it does otherwise."""
    reply = await declared.run("def document(d, c): drop()", {"a": 1}, phase="document")
    assert reply.dropped


async def test_a_document_must_be_returned(declared: Declared) -> None:
    """Nothing is no part of a document."""
    with pytest.raises(StageError, match=r"document\(\) returned nothing"):
        await declared.run("def document(d, c): pass", {"a": 1}, phase="document")
