"""The query-tree helper, which is plain Python: run here as it is."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipelines.wasm


def load() -> ModuleType:
    path = Path(pipelines.wasm.__file__).parent / "guest" / "querymill" / "querytree.py"
    spec = importlib.util.spec_from_file_location("querytree", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


querytree = load()
LEAF = {"match": {"title": "phone"}}

HOLDERS: list[dict[str, Any]] = [
    {"bool": {"must": [LEAF]}},
    {"bool": {"should": LEAF}},
    {"bool": {"filter": [LEAF], "must_not": []}},
    {"bool": {"must_not": LEAF, "minimum_should_match": 1}},
    {"boosting": {"positive": LEAF, "negative_boost": 0.5}},
    {"boosting": {"negative": LEAF}},
    {"constant_score": {"filter": LEAF}},
    {"dis_max": {"queries": [LEAF]}},
    {"function_score": {"query": LEAF}},
    {"function_score": {"functions": [{"filter": LEAF, "weight": 2}, {"weight": 3}, "odd"]}},
    {"has_child": {"type": "a", "query": LEAF}},
    {"has_parent": {"parent_type": "a", "query": LEAF}},
    {"hybrid": {"queries": [LEAF]}},
    {"hybrid": {"filter": LEAF}},
    {"knn": {"field": "v", "filter": LEAF}},
    {"knn": {"field": "v", "filter": [LEAF]}},
    {"knn": {"v": {"vector": [1], "k": 2, "filter": LEAF}}},
    {"neural": {"v": {"query_text": "a", "filter": LEAF}}},
    {"nested": {"path": "a", "query": LEAF}},
    {"pinned": {"ids": ["1"], "organic": LEAF}},
    {"script_score": {"query": LEAF, "script": {}}},
    {"field_masking_span": {"query": LEAF, "field": "a"}},
    {"span_field_masking": {"query": LEAF, "field": "a"}},
    {"span_containing": {"little": LEAF}},
    {"span_containing": {"big": LEAF}},
    {"span_first": {"match": LEAF, "end": 3}},
    {"span_multi": {"match": LEAF}},
    {"span_near": {"clauses": [LEAF], "slop": 2}},
    {"span_not": {"include": LEAF}},
    {"span_not": {"exclude": LEAF, "dist": 1}},
    {"span_or": {"clauses": [LEAF]}},
    {"span_within": {"little": LEAF}},
    {"span_within": {"big": LEAF}},
    {"rule": {"organic": LEAF, "ruleset_ids": ["a"], "match_criteria": {}}},
    {"rule_query": {"organic": LEAF}},
    {"template": LEAF},
]
# Their members look like clauses and are none.
LEAVES: list[dict[str, Any]] = [
    {"intervals": {"title": {"all_of": {"intervals": [{"match": {"query": "a"}}]}}}},
    {"percolate": {"field": "q", "document": {"match": {"title": "a"}}}},
    {"wrapper": {"query": "eyJtYXRjaF9hbGwiOnt9fQ=="}},
    {"more_like_this": {"fields": ["a"], "like": [{"match": {"title": "a"}}]}},
    {"terms": {"match": ["a"]}},
    {"span_term": {"match": {"value": "a"}}},
    {"knn": {"field": "v", "query_vector": [1], "filters": LEAF}},
    {"script": {"script": {"params": LEAF}}},
    {"geo_shape": {"match": {"shape": {"match": {}}}}},
]


@pytest.mark.parametrize("query", HOLDERS, ids=lambda query: str(query)[:50])
def test_every_holder(query: dict[str, Any]) -> None:
    """A clause is found and replaced wherever a kind can hold one, and the input is kept."""
    before = copy.deepcopy(query)
    kind = next(iter(query))
    assert list(querytree.walk(query)) == [(kind, query[kind]), ("match", LEAF["match"])]
    new = querytree.rewrite(query, lambda kind, body: {"term": {}} if kind == "match" else None)
    assert [kind for kind, _ in querytree.walk(new)] == [kind, "term"]
    assert query == before


@pytest.mark.parametrize("query", LEAVES, ids=lambda query: str(query)[:50])
def test_what_is_no_clause_is_left_alone(query: dict[str, Any]) -> None:
    """Rules of intervals, documents, parameters and fields called like a clause."""
    assert list(querytree.walk(query)) == list(query.items())
    kinds: list[str] = []
    assert querytree.rewrite(query, lambda kind, body: kinds.append(kind)) == query
    assert kinds == list(query)


def test_what_a_template_holds_is_replaced() -> None:
    """By a clause of another kind, also where the template itself is kept."""
    query = {"bool": {"must": [{"template": {"neural": {"v": {"query_text": "${text}"}}}}]}}
    new = querytree.rewrite(query, lambda kind, body: {"term": {}} if kind == "neural" else None)
    assert new == {"bool": {"must": [{"template": {"term": {}}}]}}


def test_walk_order() -> None:
    """Clauses come outer before inner, in the order they stand."""
    query = {
        "bool": {
            "must": [{"nested": {"query": {"a": 1}}}, {"b": 2}],
            "should": {"c": 3},
            "filter": [{"d": 4}],
        }
    }
    kinds = [kind for kind, _ in querytree.walk(query)]
    assert kinds == ["bool", "nested", "a", "b", "c", "d"]


def test_rewrite_is_bottom_up_and_once() -> None:
    """Inner clauses are visited before outer ones, and a replacement is not visited."""
    seen = []

    def visit(kind: str, body: Any) -> dict[str, Any] | None:
        seen.append(kind)
        return (
            {"bool": {"should": [{"match": body}, {"match": "more"}]}} if kind == "match" else None
        )

    new = querytree.rewrite({"bool": {"must": [LEAF, {"term": {}}]}}, visit)
    assert seen == ["match", "term", "bool"]
    should = [LEAF, {"match": "more"}]
    assert new == {"bool": {"must": [{"bool": {"should": should}}, {"term": {}}]}}


def test_rewrite_of_the_whole() -> None:
    """The outermost clause can be replaced, too."""
    assert querytree.rewrite(LEAF, lambda kind, body: {"match_none": {}}) == {"match_none": {}}


def test_visit_may_change_what_it_gets() -> None:
    """`visit` gets a copy: changing the body in place does not reach the input."""

    def visit(kind: str, body: Any) -> None:
        body["title"]["query"] = "changed"
        body["list"].append(1)

    query = {"match": {"title": {"query": "phone"}, "list": []}}
    new = querytree.rewrite(query, visit)
    assert new["match"] == {"title": {"query": "changed"}, "list": [1]}
    assert query == {"match": {"title": {"query": "phone"}, "list": []}}


@pytest.mark.parametrize("query", [None, 3, "text", [], [LEAF], {}, {"match": None}])
def test_odd_queries(query: Any) -> None:
    """What is no clause is left as it is."""
    assert querytree.rewrite(query, lambda kind, body: None) == query
    list(querytree.walk(query))


def test_wrong_replacement() -> None:
    """A replacement that is no clause is refused with its type."""
    with pytest.raises(TypeError, match=r"visit\('match', ...\) returned list"):
        querytree.rewrite(LEAF, lambda kind, body: [body])


def deep(levels: int) -> dict[str, Any]:
    query: dict[str, Any] = LEAF
    for _ in range(levels - 1):
        query = {"bool": {"must": [query]}}
    return query


def test_depth_obeyed() -> None:
    """Clauses may be nested as deep as the limit."""
    query = deep(querytree.MAX_DEPTH)
    assert len(list(querytree.walk(query))) == querytree.MAX_DEPTH
    assert querytree.rewrite(query, lambda kind, body: None) == query


def test_depth_violated() -> None:
    """One level more is refused."""
    query = deep(querytree.MAX_DEPTH + 1)
    with pytest.raises(ValueError, match="deeper than"):
        list(querytree.walk(query))
    with pytest.raises(ValueError, match="deeper than"):
        querytree.rewrite(query, lambda kind, body: None)


clauses = st.recursive(
    st.just(LEAF),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"bool": st.dictionaries(
            st.sampled_from(["must", "should", "filter"]), st.one_of(inner, st.lists(inner))
        )}),
        st.fixed_dictionaries({"dis_max": st.fixed_dictionaries({"queries": st.lists(inner)})}),
    ),
    max_leaves=20,
)  # fmt: skip


@given(clauses)
def test_walk_and_rewrite_agree(query: dict[str, Any]) -> None:
    """`rewrite` visits exactly the clauses that `walk` yields, and changes nothing by itself."""
    visited = []
    assert querytree.rewrite(query, lambda kind, body: visited.append(kind)) == query
    assert sorted(visited) == sorted(kind for kind, _ in querytree.walk(query))


# Where a request has clauses; each of them once.
REQUESTS: list[dict[str, Any]] = [
    {"query": LEAF, "size": 5},
    {"post_filter": LEAF},
    {"rescore": {"window_size": 5, "query": {"rescore_query": LEAF}}},
    {"rescore": [{"query": {"rescore_query": LEAF}}, {"learning_to_rank": {}}]},
    {"knn": {"field": "v", "filter": LEAF}},
    {"knn": [{"field": "v", "filter": [LEAF]}, {"field": "w"}]},
    {"sub_searches": [{"query": LEAF}]},
    {"aggs": {"a": {"filter": LEAF}}},
    {"aggs": {"match": {"terms": {"field": "match"}, "aggs": {"b": {"filter": LEAF}}}}},
    {"aggregations": {"a": {"filters": {"filters": {"x": LEAF}}}}},
    {"aggregations": {"a": {"filters": {"filters": [LEAF]}}}},
    {"aggs": {"a": {"adjacency_matrix": {"filters": {"x": LEAF}}}}},
    {"aggs": {"a": {"significant_terms": {"field": "t", "background_filter": LEAF}}}},
    {"aggs": {"a": {"significant_text": {"field": "t", "background_filter": LEAF}}}},
    {"sort": [{"parts.price": {"order": "asc", "nested": {"path": "parts", "filter": LEAF}}}]},
    {"sort": {"a.b": {"nested": {"path": "a", "nested": {"path": "a.b", "filter": LEAF}}}}},
    {"highlight": {"highlight_query": LEAF, "fields": {"title": {}}}},
    {"highlight": {"fields": {"title": {"highlight_query": LEAF}}}},
    {"highlight": {"fields": [{"title": {"highlight_query": LEAF}}]}},
    {"retriever": {"standard": {"query": LEAF}}},
    {"retriever": {"standard": {"filter": [LEAF]}}},
    {"retriever": {"knn": {"field": "v", "filter": LEAF}}},
    {"retriever": {"rrf": {"retrievers": [{"standard": {"query": LEAF}}, {"knn": {}}]}}},
    {"retriever": {"linear": {"retrievers": [{"retriever": {"standard": {"query": LEAF}}}]}}},
    {"retriever": {"rule": {"retriever": {"standard": {"query": LEAF}}}}},
    {"retriever": {"rescorer": {"rescore": {"query": {"rescore_query": LEAF}}}}},
    {"retriever": {"text_similarity_reranker": {"filter": LEAF, "field": "match"}}},
]
NO_CLAUSES: list[Any] = [
    {},
    {"sort": ["match", {"price": "asc"}, "_score"], "aggs": {"a": {"match": {"title": 1}}}},
    {"query": None, "rescore": 3, "aggs": [], "highlight": {"fields": {"a": 1}}, "knn": "x"},
    {"script_fields": {"match": {"script": {}}}, "collapse": {"field": "match"}},
    None,
    [LEAF],
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: str(request)[:60])
def test_every_place_in_a_request(request_: dict[str, Any]) -> None:
    """Its clause is found and replaced there, and the input is kept."""
    before = copy.deepcopy(request_)
    assert [each for each in querytree.walk_request(request_) if each[0] == "match"] == [
        ("match", LEAF["match"])
    ]
    new = querytree.rewrite_request(request_, lambda kind, body: {"term": {"x": 1}})
    assert new == json.loads(json.dumps(before).replace(json.dumps(LEAF), '{"term": {"x": 1}}'))
    assert request_ == before


@pytest.mark.parametrize("request_", NO_CLAUSES, ids=lambda request: str(request)[:60])
def test_requests_without_clauses(request_: Any) -> None:
    """Nothing is found where nothing is, whatever stands there."""
    assert list(querytree.walk_request(request_)) == []
    assert querytree.rewrite_request(request_, lambda kind, body: {"term": {}}) == request_


@pytest.mark.parametrize("levels", [98, 150])
def test_depth_of_a_request(levels: int) -> None:
    """Aggregations and retrievers may be nested as deep as clauses, and no deeper."""
    aggs: Any = {"a": {"filter": LEAF}}
    retriever: Any = {"standard": {"query": LEAF}}
    for _ in range(levels):
        aggs = {"a": {"global": {}, "aggs": aggs}}
        retriever = {"rule": {"retriever": retriever}}
    for request in ({"aggs": aggs}, {"retriever": retriever}):
        if levels < querytree.MAX_DEPTH:
            assert len(list(querytree.walk_request(request))) == 1
        else:
            with pytest.raises(ValueError, match="deeper than 100"):
                list(querytree.walk_request(request))
