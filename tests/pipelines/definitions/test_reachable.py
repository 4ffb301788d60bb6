"""Declared paths that can match nothing, and those that may."""

from __future__ import annotations

import pytest

from pipelines.context import Phase
from pipelines.definitions.reachable import first_unreachable


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("hits.hits._source.price", "write _source.price"),
        ("hits.hits.price", "write _source.price"),
        ("hits.hits._score", "write _score"),
        ("hits._source.price", "write _source.price"),
        ("results.hits.hits._id", "write _id"),
        ("results.took", "write response.took"),
        ("hits.total", "write response.hits.total"),
        ("hits.total.value", "write response.hits.total.value"),
        ("results.hits.max_score", "write response.hits.max_score"),
        ("hit._source.price", "write _source.price"),
        ("_source._source.price", "write _source.price"),
        ("_source._source", "write _source"),
        ("source.price", "write _source.price"),
        ("doc.price", "write _source.price"),
        ("document.price", "write _source.price"),
        ("price", "write _source.price"),
        ("price.now", "write _source.price.now"),
        ("score", "write _score"),
        ("id", "write _id"),
        ("_sorce.price", "write _source.price"),
        ("_scores", "write _score"),
        ("higlight.title", "write highlight.title"),
        ("took", "write response.took"),
        ("aggregations.brands", "write response.aggregations.brands"),
        ("aggs.brands", "write response.aggregations.brands"),
        ("request.size", "context.request"),
        ("query", "context.query"),
        ("response.aggs.brands", "write response.aggregations.brands"),
        ("response.agregations", "write response.aggregations"),
        ("response._source.price", "write _source.price"),
        ("response._score", "write _score"),
    ],
)
def test_of_a_hit_the_right_spelling_is_reported(path: str, right: str) -> None:
    """For the first stage of a result pipeline, on what a backend sends."""
    found = first_unreachable(["_id", path], "result", first=True)
    assert found is not None
    position, why = found
    assert (position, why.startswith(f"[{path}] matches nothing: ")) == (1, True)
    assert why.endswith(right) or (right.startswith("context") and right in why)


@pytest.mark.parametrize(
    "path",
    [
        *("_id", "_index", "_score", "_source", "_source.price", "_source.hits.hits", "sort"),
        *("fields.price", "highlight.title", "inner_hits.a.hits", "matched_queries", "_rank"),
        # what a UDF of another pipeline may have set
        *("_best", "_pipeline.note"),
        *("response.took", "response.hits.total", "response.aggregations.a.buckets"),
        # members that a backend of tomorrow may have
        *("response.insights", "response._tasks"),
    ],
)
def test_what_may_match_is_taken(path: str) -> None:
    """Also what is not known, unless it is nearly the name of something that is."""
    assert first_unreachable([path], "result", first=True) is None


@pytest.mark.parametrize("path", ["boosted", "rank.by", "score", "took", "doc.x", "_sorted"])
def test_a_later_stage_reads_what_an_earlier_one_set(path: str) -> None:
    """Any member of a hit may come from there; the way to the hits may not."""
    assert first_unreachable([path], "result", first=False) is None
    assert first_unreachable([f"hits.hits.{path}"], "result", first=False) is not None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("_source.price", "write price"),
        ("_source.a.b", "write a.b"),
        ("_id", "context.id"),
        ("_index", "context.index"),
        ("_source", "not in a document"),
    ],
)
def test_of_a_document_what_stands_beside_it_is_reported(path: str, said: str) -> None:
    """The backends refuse such fields, so no document has them."""
    found = first_unreachable([path], "document", first=True)
    assert found is not None
    assert said in found[1]


@pytest.mark.parametrize("phase", ["document"])
@pytest.mark.parametrize("path", ["price", "response.hits", "hits.hits.x", "document.title", "_x"])
def test_a_document_may_have_any_field(path: str, phase: Phase) -> None:
    """Whatever it is called."""
    assert first_unreachable([path], phase, first=True) is None
