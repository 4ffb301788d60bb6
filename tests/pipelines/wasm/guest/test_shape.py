"""What a UDF returns in place of what it has to return, as far as that is certain."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.errors import StageError
from pipelines.wasm import Call, Limits, Phase
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.udfs import udf, using

QUERY = {"query": {"match": {"title": "tent"}}, "size": 5}
HIT = {"_id": "1", "_source": {"title": "tent"}}
RESPONSE = {"took": 1, "hits": {"total": {"value": 1}, "hits": [HIT]}}
LIMITS = Limits(timeout_ms=20_000)


async def returned(
    pool: SandboxPool, source: str, phase: Phase, given: dict[str, Any]
) -> dict[str, Any]:
    """What comes of a payload."""
    request = json.dumps(QUERY) if phase == "result" else None
    call = Call(phase=phase, payload=json.dumps(given), request=request)
    return (await pool.run(using(udf(source), LIMITS), call)).data


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{'query': {'match_all': {}}}", "a search request (with query)"),
        ("{'query': {'match_all': {}}, 'size': 3}", "a search request (with query, size)"),
        ("{'size': 3, 'sort': ['a']}", "a search request (with size, sort)"),
        ("{'size': 3}", "a search request (with size)"),
        ("json.dumps({'query': {'match_all': {}}})", "a search request (with query)"),
        ("{'query': {'match_all': {}}, '_pipeline_metadata': {'a': 1}}", "(with query)"),
        ("{'knn': {'field': 'v'}, 'size': 3}", "a search request (with knn, size)"),
    ],
)
async def test_a_request_is_no_clause(pool: SandboxPool, source: str, said: str) -> None:
    """`udf_main` of a query stage returns the clause alone, and is told so."""
    with pytest.raises(StageError, match="it has to return the query clause alone") as caught:
        await returned(pool, f"import json\ndef udf_main(): return {source}", "query", QUERY)
    assert caught.value.kind == "invalid_result"
    assert said in caught.value.reason


@pytest.mark.parametrize(
    "clause",
    [
        {"match": {"query": "x"}},
        {"knn": {"field": "v"}},
        {"collapse": {"a": 1}},
        {"my_plugin": {"query": {"match_all": {}}, "size": 3}},
        {"size": {"of": "a plugin"}},
        {"match": {}, "term": {}},
        {"matchx": 3},
        {},
    ],
)
async def test_a_clause_may_be_called_like_anything(
    pool: SandboxPool, clause: dict[str, Any]
) -> None:
    """What a backend with some plugin might take is left for it to judge."""
    source = f"def udf_main(): return {clause!r}"
    assert (await returned(pool, source, "query", QUERY))["query"] == clause


async def test_what_the_client_sent_is_the_backends_to_refuse(pool: SandboxPool) -> None:
    """A UDF that hands on an odd request as it came has done nothing wrong."""
    odd: dict[str, Any] = {"query": {"query": {"match_all": {}}}}
    same = "import json\ndef udf_main(): return json.loads(get_field_string('query'))"
    assert await returned(pool, same, "query", odd) == odd
    bare = {"match": {"title": "tent"}}
    assert (
        await returned(pool, "def query(request, context): return request", "query", bare) == bare
    )


@pytest.mark.parametrize("kind", ["match", "bool", "match_all", "nested", "hybrid", "span_near"])
async def test_a_clause_is_no_request(pool: SandboxPool, kind: str) -> None:
    """`query` returns the whole request, and is told so."""
    with pytest.raises(StageError, match=rf"returned a query clause \({kind}\)") as caught:
        await returned(pool, f"def query(r, c): return {{'{kind}': {{}}}}", "query", QUERY)
    assert caught.value.kind == "invalid_result"


@pytest.mark.parametrize(
    "request_", [{"query": {"match_all": {}}}, {"knn": {}}, {"size": 1}, {"matchx": {}}, {}]
)
async def test_a_request_may_have_any_member(pool: SandboxPool, request_: dict[str, Any]) -> None:
    """One that the backend does not know is for it to refuse."""
    source = f"def query(request, context): return {request_!r}"
    assert await returned(pool, source, "query", QUERY) == request_


@pytest.mark.parametrize("style", ["def document(doc, context)", "def udf_main()"])
@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("[{'a': 1}]", "returned a value of type list; it has to return the document"),
        ("{'_id': '1', '_source': {'a': 1}}", "a document was returned inside a hit"),
    ],
)
async def test_a_document_is_neither_a_list_nor_a_hit(
    pool: SandboxPool, style: str, result: str, said: str
) -> None:
    """In either style."""
    with pytest.raises(StageError) as caught:
        await returned(pool, f"{style}: return {result}", "document", {"a": 2})
    assert (caught.value.kind, said in caught.value.reason) == ("invalid_result", True)


@pytest.mark.parametrize("style", ["def result(response, context)", "def udf_main()"])
@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("get_field('results')['hits']['hits']", "returned a value of type list"),
        ("get_field('results')['hits']", "returned a list in place of the response's `hits`"),
        ("{**get_field('results'), 'hits': []}", "returned a list in place of"),
        ("get_field('results')['hits']['hits'][0]", "returned one hit"),
    ],
)
async def test_hits_are_no_response(pool: SandboxPool, style: str, result: str, said: str) -> None:
    """In either style: the client gets the original response, and hears why."""
    with pytest.raises(StageError) as caught:
        await returned(pool, f"{style}: return {result}", "result", RESPONSE)
    assert (caught.value.kind, said in caught.value.reason) == ("invalid_result", True)


@pytest.mark.parametrize("response", [{"took": 1}, {"hits": {"hits": []}}, {"items": [1]}, {}])
async def test_a_response_may_lose_members(pool: SandboxPool, response: dict[str, Any]) -> None:
    """Also its hits, if that is what a UDF wants."""
    source = f"def result(r, c): return {response!r}"
    assert await returned(pool, source, "result", RESPONSE) == response
