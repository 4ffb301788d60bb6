"""Stages that declare what they read, in real sandboxes: parts go in, edits come out."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import orjson
import pytest

from pipelines.errors import StageError
from pipelines.projection import Projection
from pipelines.wasm import Call, Limits, Phase, Reply, SandboxPool
from tests.pipelines.wasm.udfs import udf

LIMITS = Limits(timeout_ms=5000)


def hit(number: int, score: float | None = 1.0, **source: Any) -> dict[str, Any]:
    return {"_id": str(number), "_score": score, "_source": {"n": number, **source}}


def response(*hits: dict[str, Any]) -> dict[str, Any]:
    return {"took": 3, "hits": {"total": 9, "max_score": 4.0, "hits": list(hits)}}


FOUR = response(hit(0, 4.0), hit(1, 3.0, x=1), hit(2, 2.0, x={"y": 1}), hit(3, 1.0))


class Declared:
    """Runs UDFs on the declared part of a payload."""

    def __init__(self, pool: SandboxPool) -> None:
        self.pool = pool

    async def run(
        self,
        source: str,
        payload: Any = FOUR,
        *paths: str,
        phase: Phase = "result",
        limits: Limits = LIMITS,
        **context: object,
    ) -> Reply:
        text = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"))
        of_hits = phase == "result"
        declared = paths or (("_score", "_source.n") if of_hits else ("a",))
        call = Call(
            phase=phase,
            payload=text,
            request='{"size":7}' if of_hits else None,
            context=context,
            projection=Projection(declared, of_hits=of_hits),
        )
        reply = await self.pool.run(udf(source), {}, call, limits)
        assert orjson.loads(reply.payload) == reply.data
        assert reply.changed or reply.payload == text
        return reply

    async def edit(self, body: str, payload: Any = FOUR, *paths: str, **how: Any) -> Reply:
        """A run of a result function with that body."""
        source = "def result(response, context):\n    hits = context.hits\n"
        lines = "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
        return await self.run(source + lines, payload, *paths, **how)

    async def hits(self, body: str, payload: Any = FOUR, *paths: str) -> list[Any]:
        return list((await self.edit(body, payload, *paths)).data["hits"]["hits"])

    async def order(self, body: str) -> str:
        """The hits' numbers in their new order, as one text."""
        return "".join(found["_id"] for found in await self.hits(body))

    async def fails(self, body: str, payload: Any = FOUR, *paths: str, **how: Any) -> StageError:
        with pytest.raises(StageError) as caught:
            await self.edit(body, payload, *paths, **how)
        return caught.value


@pytest.fixture
def declared(pool: SandboxPool) -> Declared:
    return Declared(pool)


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
    """By path, with a default, as a container; what was not declared is not there."""
    body = """
    second = hits[1]
    assert (second["_score"], second["_source"], second["_source.n"]) == (3.0, {"n": 1}, 1)
    assert (second.get("_source.n"), second.get("_id"), second.get("_id", 7)) == (1, None, 7)
    assert "_source.n" in second and "_source.x" not in second
    assert (len(hits), bool(hits), [h["_source.n"] for h in hits[2:]]) == (4, True, [2, 3])
    assert str(second) == "Hit({'_score': 3.0, '_source': {'n': 1}})"
    try:
        second["_source.x"]
    except KeyError as error:
        assert error.args == ("_source.x",)
    else:
        raise AssertionError
    """
    assert not (await declared.edit(body)).changed


async def test_big_numbers_are_read_exactly(declared: Declared) -> None:
    """As from a whole response."""
    payload = f'{{"hits":{{"hits":[{{"_source":{{"n":{2**70}}}}}]}}}}'
    body = f"assert hits[0]['_source.n'] == {2**70}\nhits[0].set('m', {2**71})"
    reply = await declared.edit(body, payload)
    assert reply.payload == f'{{"hits":{{"hits":[{{"_source":{{"n":{2**70}}},"m":{2**71}}}]}}}}'


# Edits


@pytest.mark.parametrize(
    ("body", "order"),
    [
        ("hits.rescore([1, 5.5, 2, 5.5])", "1320"),
        ("hits.rescore(lambda hit: hit['_source.n'])", "3210"),
        ("hits.rescore(float(n == 2) for n in range(4))", "2013"),
        ("hits.sort(key=lambda hit: hit['_source.n'] % 2)", "0213"),
        ("hits.sort(key=lambda hit: hit['_source.n'] % 2, reverse=True)", "1302"),
        ("hits.keep(lambda hit: hit['_source.n'] > 1)", "23"),
        ("hits[1].drop()\nhits[1].drop()", "03"),
        ("for hit in hits: hit.drop()", ""),
        ("hits[0].drop()\nhits.rescore([1, 2, 3])", "321"),
        ("hits.rescore([1, 2, 3, 4])\nhits[0].drop()\nhits[0].drop()", "10"),
    ],
)
async def test_order(declared: Declared, body: str, order: str) -> None:
    """Rescoring and sorting are stable; dropped hits are gone for what comes next."""
    assert await declared.order(body) == order


async def test_rescore_sets_scores(declared: Declared) -> None:
    """Of every hit and as `max_score`, as numbers with a point."""
    reply = await declared.edit("hits.rescore([1, 2, 3, 4.5])")
    assert [found["_score"] for found in reply.data["hits"]["hits"]] == [4.5, 3.0, 2.0, 1.0]
    assert '"max_score":4.5' in reply.payload
    assert '"_score":3.0' in reply.payload
    assert '"total":9' in reply.payload


async def test_set_and_delete(declared: Declared) -> None:
    """Any path, declared or not; a hit reads what it was given."""
    body = """
    for hit in hits:
        hit.set("why.rank", hit["_source.n"])
        hit.set("_source.secret", "x")
        assert hit["why"] == {"rank": hit["_source.n"]}
    hits[1].delete("_source.x")
    hits[2].set("_source.x.z", 2)
    hits[3].delete("_source.n")
    assert "_source.n" not in hits[3]
    """
    assert [found["_source"] for found in await declared.hits(body)] == [
        {"n": 0, "secret": "x"},
        {"n": 1, "secret": "x"},
        {"n": 2, "x": {"y": 1, "z": 2}, "secret": "x"},
        {"secret": "x"},
    ]


async def test_paths_that_meet_are_done_in_order(declared: Declared) -> None:
    """The last word counts, whatever leads into what."""
    body = """
    hits[0].set("a.b", 1)
    hits[0].set("a", {"c": 2})
    hits[1].set("a", {"c": 2})
    hits[1].set("a.b", 1)
    hits[2].set("a", 1)
    hits[2].delete("a")
    hits[2].set("a.b", 3)
    hits[3].set("a.b", 1)
    hits[3].delete("a")
    """
    found = [found.get("a") for found in await declared.hits(body)]
    assert found == [{"c": 2}, {"c": 2, "b": 1}, {"b": 3}, None]


async def test_what_came_to_nothing_is_no_change(declared: Declared) -> None:
    """Back and forth, the same value, and what was not there."""
    body = """
    hits.sort(key=lambda hit: -hit["_source.n"])
    hits.sort(key=lambda hit: hit["_source.n"])
    hits[0].set("_source.n", 5)
    hits[0].set("_source.n", 0)
    hits[1].delete("_source.nothing")
    hits.rescore([4.0, 3.0, 2.0, 1.0])
    """
    assert not (await declared.edit(body)).changed


async def test_what_was_not_edited_is_as_it_was_written(declared: Declared) -> None:
    """Numbers, spaces and keys of hits that moved, and of the response around them."""
    first = '{"_id":"1","_score":1.10,"_source":{ "p" : 1e2, "q": [1.50] }}'
    second = '{"_id":"2","_score":2.50,"_source":{"p":"\\u00e9"}}'
    payload = f'{{"took":1.0,"hits":{{"max_score":2.50,"hits":[{first}, {second}]}}}}'
    reply = await declared.edit("hits[1].set('_score', 0.5)\nhits.sort(key=lambda h: 0)", payload)
    lower = second.replace("2.50", "0.5")
    expected = f'{{"took":1.0,"hits":{{"max_score":1.1,"hits":[{first},{lower}]}}}}'
    assert reply.payload == expected
    moved = await declared.edit("hits.sort(key=lambda h: h['_score'], reverse=True)", payload)
    assert moved.payload == f'{{"took":1.0,"hits":{{"max_score":2.50,"hits":[{second},{first}]}}}}'


async def test_state_metadata_and_reject(declared: Declared) -> None:
    """Work as they do with a whole response."""
    body = "context.state['s'] = 1\ncontext.metadata['m'] = 2\nhits[0].drop()"
    reply = await declared.edit(body, metadata={"before": 1})
    assert (reply.state, reply.metadata) == ({"s": 1}, {"before": 1, "m": 2})
    refused = await declared.edit("hits[0].drop()\nreject('no', 404)")
    assert (refused.rejected, refused.changed) == (("no", 404), False)


async def test_the_first_style_edits_too(declared: Declared) -> None:
    """`context` is built in; fields are read from the declared part of the response."""
    source = """
    def udf_main():
        assert get_field("hits.total") == 9 and get_field("hits.hits") is None
        context.hits.rescore(range(4))
    """
    reply = await declared.run(source, FOUR, "response.hits.total")
    assert [h["_id"] for h in reply.data["hits"]["hits"]] == list("3210")


# What is refused


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ("return response", "invalid_result", "result() returned a value of type dict"),
        ("return False", "invalid_result", "edits context.hits and returns nothing"),
        ("hits.rescore([1])", "udf_exception", "1 scores for 4 hits"),
        ("hits.rescore(lambda hit: None)", "udf_exception", "a score is a number, not NoneType"),
        ("hits.rescore([True] * 4)", "udf_exception", "a score is a number, not bool"),
        ("hits.rescore([float('nan')] * 4)", "udf_exception", "infinite or not a number"),
        ("hits.rescore(7)", "udf_exception", "TypeError"),
        ("hits[4]", "udf_exception", "IndexError"),
        ("hits[0]['_score'] = 1", "udf_exception", "does not support item assignment"),
        ("hits[0].set('a..b', 1)", "udf_exception", "is no path"),
        ("hits[0].set(3, 1)", "udf_exception", "a path is a text"),
        ("hits[0].set('_source.n.m', 1)", "udf_exception", "'n' is int, not an object"),
        ("hits[1].set('_source.x.m', 1)", "invalid_result", "of hit 1: [x] is no object"),
        ("hits[0].set('_score', 'x')", "invalid_result", "_score that is no number"),
        ("hits[0].set('a', {1, 2})", "invalid_result", "an object of type set is not JSON"),
        ("hits[0].set('a', float('inf'))", "invalid_result", "not JSON compliant"),
        ("x = []\nfor _ in range(300): x = [x]\nhits[0].set('a', x)", "invalid_result", "250"),
        ("hits[0].set('a', 'x' * 2000)", "output_too_large", "its limit is 1500"),
        ("for hit in hits: hit.set('a' * 480, 1)", "output_too_large", "1940 bytes of paths"),
    ],
)
async def test_edits_that_are_refused(declared: Declared, body: str, kind: str, said: str) -> None:
    """With what is wrong, where it can be told with the UDF's own line."""
    error = await declared.fails(body, limits=Limits(timeout_ms=5000, output_bytes=1500))
    assert error.kind == kind
    assert said in error.reason


async def test_without_declared_input_there_are_no_hits_to_edit(pool: SandboxPool) -> None:
    """The error tells what `context.hits` needs."""
    call = Call(phase="result", payload=json.dumps(FOUR), request="{}")
    for name, said in [("hits", "declares its `input`"), ("other", "context has no 'other'")]:
        source = f"def result(response, context): return context.{name}"
        with pytest.raises(StageError, match="AttributeError") as caught:
            await pool.run(udf(source), {}, call, LIMITS)
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
    answer, said = FORGERIES[case]
    source = f"import app\napp._udf.run = lambda call: {answer!r}\ndef result(r, c): pass"
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
    source = "def udf_main():\n    return {'a': get_field('a'), 'c': has_field('c')}"
    reply = await declared.run(source, {"a": 1, "c": 2}, phase="document")
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


async def test_a_run_leaves_nothing_to_the_garbage_collector(pool: SandboxPool) -> None:
    """Nothing of a run refers to itself: a collection in the midst of another would hold it up."""
    source = """import gc
gc.disable()
def result(response, context):
    context.metadata["found"] = gc.collect()
    context.hits.rescore(lambda hit: -hit["_score"])
    for hit in context.hits:
        hit.set("_source.a.b", [hit.get("_source.n")])
"""
    declared = Declared(pool)
    await declared.run(source)
    reply = await declared.run(source)
    assert (reply.metadata, reply.changed) == ({"found": 0}, True)
