"""The query-tree helper against the backends: the kinds of clauses that hold others are theirs."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client
from tests.pipelines.wasm.guest.test_querytree import querytree

SPAN = {"span_term": {"title": "tent"}}
MATCH = {"match": {"title": "tent"}}
MAPPING = {
    "mappings": {
        "properties": {
            "title": {"type": "text"},
            "other": {"type": "text"},
            "parts": {"type": "nested", "properties": {"title": {"type": "text"}}},
        }
    }
}
# Modules of the backend that the Elasticsearch of the tests comes without: joins, and Painless.
JOIN = {"properties": {"family": {"type": "join", "relations": {"parent": "child"}}}}
OF_MODULES = {"has_child", "has_parent", "script_score"}
CLAUSES: list[dict[str, Any]] = [
    {"bool": {"must": [MATCH], "should": MATCH, "filter": [MATCH], "must_not": MATCH}},
    {"boosting": {"positive": MATCH, "negative": MATCH, "negative_boost": 0.5}},
    {"constant_score": {"filter": MATCH}},
    {"dis_max": {"queries": [MATCH, MATCH]}},
    {"function_score": {"query": MATCH, "functions": [{"filter": MATCH, "weight": 2}]}},
    {"script_score": {"query": MATCH, "script": {"source": "1"}}},
    {"nested": {"path": "parts", "query": MATCH}},
    {"has_child": {"type": "child", "query": MATCH}},
    {"has_parent": {"parent_type": "parent", "query": MATCH}},
    {"span_near": {"clauses": [SPAN, SPAN], "slop": 2}},
    {"span_or": {"clauses": [SPAN, SPAN]}},
    {"span_not": {"include": SPAN, "exclude": SPAN}},
    {"span_first": {"match": SPAN, "end": 3}},
    {"span_containing": {"little": SPAN, "big": SPAN}},
    {"span_within": {"little": SPAN, "big": SPAN}},
    {"span_multi": {"match": {"prefix": {"title": "te"}}}},
    {"field_masking_span": {"query": SPAN, "field": "other"}},
    {"span_field_masking": {"query": SPAN, "field": "other"}},
]


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: str(next(iter(clause))))
async def test_what_a_rewriter_leaves_is_a_query(
    each_backend: EmbeddedCluster, clause: dict[str, Any], index_name: str
) -> None:
    """The backend takes the clause as it is, and with its inner clauses put in another form."""

    def visit(kind: str, body: Any) -> dict[str, Any] | None:
        if kind == "match":
            return {"match": {"title": {"query": body["title"], "boost": 2}}}
        if kind == "span_term":
            return {"span_term": {"title": {"value": "camp"}}}
        if kind == "prefix":
            return {"wildcard": {"title": {"value": f"{body['title']}*"}}}
        return None

    rewritten = querytree.rewrite(clause, visit)
    assert [kind for kind, _ in querytree.walk(rewritten)][1:]
    assert rewritten != clause
    async with aiohttp.ClientSession(each_backend.url) as session:
        backend = Client(session)
        assert (await backend.put(f"/{index_name}", MAPPING)).status == 200
        joins = (await backend.put(f"/{index_name}/_mapping", JOIN)).status == 200
        if not joins and OF_MODULES & clause.keys():
            pytest.skip("this backend comes without the module")
        for query in (clause, rewritten):
            response = await backend.post(f"/{index_name}/_search", {"query": query})
            assert response.status == 200, response.body
        await backend.delete(f"/{index_name}")
