"""Reading what a stage has not declared is an error that says so, and not a missing value."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import StageError
from pipelines.jsontext.projection import Projection
from pipelines.payload import Document
from pipelines.wasm import Batch, Limits
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.declaring import FOUR, LIMITS, Declared, hit, response
from tests.pipelines.wasm.udfs import udf, using

# A hit whose `_source` has a key with a dot comes as an object, the others in columns.
SHAPES = {"columns": FOUR, "objects": response(hit(1, **{"n.x": 3}), hit(2))}
PATHS = ("_score", "_source.n", "_source.brand.name", "_source.tags", "response.hits.total")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "expression",
    [
        "hits[0].get('_source.price', 0)",
        "hits[0].get('_source.price')",
        "hits[0]['_source.price']",
        "'_source.price' in hits[0]",
        "hits[0].get('_id')",
        "hits[0]['_source']['price']",
        "hits[0]['_source'].get('price', 0)",
        "'price' in hits[0]['_source']",
        "hits[0].get('_source').pop('price', None)",
        "hits[0].get('_source').setdefault('price', 1)",
        "hits[0].get('_source.brand.country')",
        "hits.rescore(lambda h: h.get('_source.price', 1.0))",
        "hits.keep(lambda h: h.get('_source.price', 1) > 0)",
        "[h for h in hits if h.get('_source.price')]",
    ],
)
async def test_of_hits(declared: Declared, shape: str, expression: str) -> None:
    """However it is read; the error names the path and what is declared."""
    error = await declared.fails(expression, SHAPES[shape], *PATHS)
    assert error.kind == "udf_exception"
    missing = "_id" if "_id" in expression else "_source." if "brand" in expression else "price'"
    assert "NotDeclared: '" in error.reason
    assert missing in error.reason
    assert "is not declared: the `input` of the stage has _score, _source.n" in error.reason


@pytest.mark.parametrize(
    "expression",
    [
        "response.get('took')",
        "response['took']",
        "'timed_out' in response",
        "response['hits']['max_score']",
        "get_field('took')",
        "get_field('results.took', 0)",
        "get_field_int('hits.max_score')",
        "has_field('aggregations')",
        "has_field('results.hits.max_score')",
    ],
)
async def test_of_the_response(declared: Declared, expression: str) -> None:
    """By its members, and by path in the first style."""
    error = await declared.fails(expression, FOUR, *PATHS)
    assert "NotDeclared: 'response." in error.reason
    assert "has response.hits.total; add it there" in error.reason


@pytest.mark.parametrize(
    "expression", ["response['hits']['hits']", "get_field('results.hits.hits.0._source')"]
)
async def test_hits_are_found_elsewhere(declared: Declared, expression: str) -> None:
    """The error says where."""
    error = await declared.fails(expression, FOUR, *PATHS)
    assert "finds the hits in context.hits" in error.reason


@pytest.mark.parametrize(
    ("style", "expression"),
    [
        ("doc", "doc.get('price', 0)"),
        ("doc", "doc['price']"),
        ("doc", "'price' in doc"),
        ("doc", "doc.pop('price', None)"),
        ("doc", "doc['maker'].get('country')"),
        ("doc", "doc['maker']['country']"),
        ("main", "get_field('price', 0)"),
        ("main", "get_field('document.price')"),
        ("main", "get_field_float('maker.country')"),
        ("main", "has_field('price')"),
        ("main", "get_field('document')['price']"),
    ],
)
async def test_of_a_document(declared: Declared, style: str, expression: str) -> None:
    """By its members or by path, in objects of which a part is declared too."""
    head = "def document(doc, context)" if style == "doc" else "def udf_main()"
    source = f"{head}:\n    value = {expression}\n    return {{}}"
    given = {"title": "Tent", "price": 3, "maker": {"name": "x", "country": "de"}}
    with pytest.raises(StageError, match="NotDeclared: ") as caught:
        await declared.run(source, given, "title", "maker.name", phase="document")
    path = "maker.country" if "country" in expression else "price"
    assert f"'{path}' is not declared: the `input` of the stage has title, maker.name" in (
        caught.value.reason
    )


async def test_what_was_declared_may_be_missing(declared: Declared) -> None:
    """Then there is a default, as ever: for it, above it, below it, and in lists."""
    body = """
    first = hits[0]
    assert first.get("_source.brand", 7) == 7
    assert first.get("_source.brand.name.first", 7) == 7
    assert first.get("_source.tags.0", 7) == 7
    assert "_source.brand.name" not in first
    assert first["_source"].get("brand", 7) == 7
    assert first["_source"].get("tags") is None
    assert response.get("hits") == {"total": 9}
    assert get_field("results.hits.total.value", 7) == 7
    assert get_field("request.nothing", 7) == 7 and not has_field("query.bool")
    """
    assert not (await declared.edit(body, FOUR, *PATHS)).changed


async def test_what_was_written_can_be_read(declared: Declared) -> None:
    """Whether it was declared or not, set or deleted."""
    body = """
    hit = hits[0]
    hit.set("_why", 1)
    hit.set("_note.by", "me")
    hit.delete("_source.secret")
    assert (hit["_why"], hit["_note"], hit["_note.by"]) == (1, {"by": "me"}, "me")
    assert hit.get("_source.secret", 7) == 7 and "_source.secret" not in hit
    assert hits[1].get("_why") is None
    """
    assert (await declared.edit(body, FOUR, *PATHS)).changed


@pytest.mark.parametrize(
    "body",
    [
        "doc['new'] = doc['a'] + 1\n    return doc",
        "doc['new'] = doc.get('a') + 1\n    assert 'new' in doc\n    return dict(doc)",
        "return {**doc, 'new': 2}",
        "return doc | {'new': 2}",
        "import copy\n    mine = copy.deepcopy(doc)\n    assert mine.get('x') is None\n"
        "    return {**mine, 'new': 2}",
        "import json\n    return {**json.loads(json.dumps(doc)), 'new': 2}",
        "doc.setdefault('a', 5)\n    doc.update(new=2)\n    return doc",
    ],
)
async def test_a_document_in_part_is_a_dict(declared: Declared, body: str) -> None:
    """It is written, copied and returned like any other; a copy is the UDF's own."""
    source = f"def document(doc, context):\n    assert isinstance(doc, dict)\n    {body}"
    given: dict[str, Any] = {"a": 1, "m": {"n": {"o": 1, "p": 2}}, "z": 1}
    reply = await declared.run(source, given, "a", "m.n.o", phase="document")
    assert reply.data == {**given, "new": 2}


async def test_a_nested_part_that_is_changed_is_written(declared: Declared) -> None:
    """Where it is, in one document or in a batch."""
    source = udf("def document(doc, context):\n    doc['m']['n']['o'] += 1\n    return doc")
    projection = Projection(["m.n.o"], of_hits=False)
    batch = Batch(
        documents=[Document(None, '{"m":{"n":{"o":1,"p":2}},"z":1}')] * 2,
        context={"index": "i", "pipeline": "p", "stage": "s", "headers": {}, "deadline_ms": 1000},
        projection=projection,
    )
    use = using(source, LIMITS)
    ends, _ = await declared.pool.run_batch(use, batch, LIMITS.timeout_ms, run_timeout=20.0)
    assert [end and end.data for end in ends] == [{"m": {"n": {"o": 2, "p": 2}}, "z": 1}] * 2
    reply = await declared.run(
        source.source, '{"m":{"n":{"o":1,"p":2}},"z":1}', "m.n.o", phase="document"
    )
    assert reply.data == {"m": {"n": {"o": 2, "p": 2}}, "z": 1}


async def test_in_a_batch_a_document_that_reads_too_much_is_run_by_itself(
    pool: SandboxPool,
) -> None:
    """Where its error is told; the others are done."""
    source = udf(
        "def document(doc, context):\n"
        "    if doc['a'] == 2: doc.get('price')\n"
        "    return {'a': doc['a'] + 10}"
    )
    batch = Batch(
        documents=[Document(None, f'{{"a":{n}}}') for n in (1, 2, 3)],
        context={"index": "i", "pipeline": "p", "stage": "s", "headers": {}, "deadline_ms": 1000},
        projection=Projection(["a"], of_hits=False),
    )
    use = using(source, Limits(timeout_ms=20_000))
    ends, _ = await pool.run_batch(use, batch, 20_000, run_timeout=20.0)
    assert [end and end.data for end in ends] == [{"a": 11}, None, {"a": 13}]
