"""The ml-reranking example, in a real sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import StageError
from pipelines.wasm.pool import SandboxPool
from tests.examples.loading import Example

FULL_TITLE = "Lumora Portable Bluetooth Speaker Black XL"


@pytest.fixture
def reranking(patient_pool: SandboxPool) -> Example:
    return Example.load(patient_pool, "ml-reranking")


def hit(number: int, score: float | None, **source: Any) -> dict[str, Any]:
    return {"_index": "products", "_id": str(number), "_score": score, "_source": source}


def response(*hits: dict[str, Any]) -> dict[str, Any]:
    """A search response around `hits`, `max_score` as the backend gives it."""
    best = max((h["_score"] or 0.0 for h in hits if "_score" in h), default=None)
    total = {"value": len(hits), "relation": "eq"}
    return {"took": 3, "hits": {"total": total, "max_score": best, "hits": list(hits)}}


def order(reranked: dict[str, Any]) -> list[str]:
    return [found["_id"] for found in reranked["hits"]["hits"]]


async def test_score_is_the_weighted_sum(reranking: Example) -> None:
    """Weights 0.5, 0.2, 0.1 and 0.2 apply to score, title, description and popularity."""
    bare = hit(1, 8.0, title="Speaker " * 2)
    rich = hit(2, 6.0, title=FULL_TITLE, description="Stereo.", popularity=0.9)
    reranked = (await reranking.run(response(bare, rich))).data
    assert order(reranked) == ["2", "1"]
    first, second = reranked["hits"]["hits"]
    assert first["_score"] == pytest.approx(0.5 * 6 / 8 + 0.2 + 0.1 + 0.2 * 0.9)
    assert second["_score"] == pytest.approx(0.5 + 0.2 * 15 / 40)
    assert (first["_original_score"], second["_original_score"]) == (6.0, 8.0)
    assert reranked["hits"]["max_score"] == first["_score"]


async def test_everything_else_is_kept(reranking: Example) -> None:
    """Totals, aggregations and the members of a hit are what the backend sent."""
    found = {**hit(1, 1.0, title="A"), "highlight": {"title": ["<em>A</em>"]}}
    given = {**response(found), "aggregations": {"brands": {"buckets": []}}}
    reranked = (await reranking.run(given)).data
    changed = {"_score", "_original_score"}
    (kept,) = reranked["hits"]["hits"]
    assert {k: v for k, v in kept.items() if k not in changed} == {
        k: v for k, v in found.items() if k not in changed
    }
    assert reranked["aggregations"] == given["aggregations"]
    assert reranked["hits"]["total"] == given["hits"]["total"]


async def test_equal_hits_keep_their_order(reranking: Example) -> None:
    """Hits with equal sums stay in the backend's order."""
    hits = [hit(number, 2.0, title="Same", popularity=0.5) for number in range(20)]
    assert order((await reranking.run(response(*hits))).data) == [str(n) for n in range(20)]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"took": 1},
        {"hits": {}},
        {"hits": {"hits": []}},
        {"hits": None},
        {"hits": {"total": {"value": 3, "relation": "eq"}}},
        {"error": {"type": "x"}, "status": 400},
        response({**hit(1, None, popularity=0.1), "sort": [1]}, {**hit(2, 1.0), "sort": [2]}),
    ],
)
async def test_pages_that_stay(reranking: Example, given: dict[str, Any]) -> None:
    """Responses without hits, and pages the client had sorted, go on unchanged."""
    assert not (await reranking.run(given)).changed


async def test_missing_parts_count_nothing(reranking: Example) -> None:
    """Hits without source, with odd values or with no score at all are ranked all the same."""
    odd = [
        {"_id": "1", "_score": 4.0},
        {"_id": "2", "_score": 4.0, "_source": None},
        hit(3, 4.0, title=7, description=["x"], popularity="high"),
        hit(4, 4.0, title="", description="  ", popularity=None),
        hit(5, 4.0, popularity=-3),
        hit(6, 4.0, popularity=True),
        hit(7, 4.0, popularity=10**30),
        hit(8, None, popularity=0.5),
        {"_id": "9"},
    ]
    reranked = (await reranking.run(response(*odd))).data
    assert order(reranked) == ["7", "1", "2", "3", "4", "5", "6", "8", "9"]
    scores = {h["_id"]: h.get("_score") for h in reranked["hits"]["hits"]}
    assert scores["7"] == pytest.approx(0.7)
    assert scores["3"] == pytest.approx(0.5)
    assert scores["8"] is None
    assert "_original_score" not in reranked["hits"]["hits"][-1]


async def test_filtered_responses_gain_no_members(reranking: Example) -> None:
    """A response cut down with `filter_path` is reordered and gets no scores."""
    given = {"hits": {"hits": [{"_source": {"title": "A"}}, {"_source": {"popularity": 1}}]}}
    reranked = (await reranking.run(given)).data
    assert reranked == {"hits": {"hits": given["hits"]["hits"][::-1]}}


async def test_zero_scores_are_no_division(reranking: Example) -> None:
    """A page whose scores are all 0, as in a pure filter, is ranked by the other features."""
    reranked = (await reranking.run(response(hit(1, 0.0), hit(2, 0.0, popularity=1)))).data
    assert order(reranked) == ["2", "1"]


async def test_weights_are_parameters(reranking: Example) -> None:
    """Given weights replace the defaults one by one; the title's full length can be set."""
    hits = [hit(1, 2.0), hit(2, 1.0, popularity=1), hit(3, 1.0, title="ab")]
    popular = {"original_score": 0, "title_length": 0, "popularity": 1}
    assert order((await reranking.run(response(*hits), weights=popular)).data) == ["2", "1", "3"]
    titled = {"original_score": 0, "title_length": 5}
    reranked = (await reranking.run(response(*hits), weights=titled, full_title_length=4)).data
    assert reranked["hits"]["hits"][0]["_score"] == pytest.approx(2.5)


async def test_unknown_weight_violated(reranking: Example) -> None:
    """A weight for no feature fails the stage and is named."""
    with pytest.raises(StageError, match=r"weights\.popularty: is none of original_score"):
        await reranking.run(response(hit(1, 1.0)), weights={"popularty": 1})
