"""Trying what an index would run, and asking the backend whether it takes the request."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import Client
from tests.flows.trials import ASKED, refused, tried

# What is attached


async def test_an_index_says_itself_what_runs(proxy: Client, shop: str) -> None:
    """The pipelines of a real search on it, to the same response."""
    done = await tried(proxy, "/_pipeline/_execute", index=shop, request={"size": 2})
    assert [run["pipeline"] for run in done["pipelines"]] == ["wide", "narrow"]
    assert (done["request"], done["warnings"]) == ({"size": 50}, [])
    real = (await proxy.post(f"/{shop}/_search", {"size": 2})).data
    assert done["output"]["hits"]["hits"] == real["hits"]["hits"]
    assert real["_pipeline_metadata"] == done["metadata"]


async def test_an_index_says_what_runs_on_a_document(proxy: Client, shop: str) -> None:
    """A real one, one that is given, or several; nothing is written."""
    stored = await tried(proxy, "/_pipeline/_execute", index=shop, id="1")
    assert stored["output"] == {"title": "tent 1", "id": "1", "index": shop}
    given = await tried(proxy, "/_pipeline/_execute", index=shop, inputs=[{"a": 1}, {"a": 2}])
    assert [each["output"]["a"] for each in given["results"]] == [1, 2]
    assert [each["pipelines"][0]["pipeline"] for each in given["results"]] == ["label"] * 2
    kept = (await proxy.get(f"/{shop}/_doc/1?pipeline=_none")).data
    assert kept["_source"] == {"title": "tent 1"}


async def test_without_attachments_nothing_runs(proxy: Client, shop: str) -> None:
    """And the response says so."""
    await proxy.put(f"/{shop}/_settings", {"index.query.default_pipeline": None})
    await proxy.put(f"/{shop}/_settings", {"index.result.default_pipeline": None})
    done = await tried(proxy, "/_pipeline/_execute", index=shop, request={"size": 2})
    assert (done["outcome"], done["pipelines"], done["output"]) == ("done", [], {"size": 2})


async def test_a_given_udf_is_tried_in_what_is_attached(proxy: Client, shop: str) -> None:
    """As it would be after its upload."""
    source = ASKED.replace("50", "60")
    done = await tried(
        proxy,
        "/_pipeline/_execute",
        index=shop,
        request={"size": 1},
        udfs={"asked": {"source": source}},
    )
    assert done["request"] == {"size": 60}
    assert [run["stages"][0]["udf_given"] for run in done["pipelines"]] == [True, True]
    await proxy.put(f"/{shop}/_settings", {"index.query.final_pipeline": "grow"})
    final = await tried(proxy, "/_pipeline/_execute", index=shop, request={"size": 1})
    assert [run["pipeline"] for run in final["pipelines"]] == ["wide", "grow", "narrow"]


# Whether the backend takes it


@pytest.mark.parametrize(
    ("source", "valid", "said"),
    [
        ("return request", True, ""),
        ("return {**request, 'size': 5, 'from': 1, 'track_total_hits': True}", True, ""),
        ("return {**request, 'terminate_after': 2}", True, ""),
        ("return {**request, 'query': {'matchx': {}}}", False, "unknown query [matchx]"),
        ("return {**request, 'sort': ['nothing']}", False, "No mapping found for [nothing]"),
        ("return {**request, 'sizes': 5}", False, "sizes"),
        ("return {**request, 'size': 100000}", False, "Result window is too large"),
        ("return {**request, 'aggs': {'a': {'terms': {'field': 'title'}}}}", False, "field data"),
    ],
)
async def test_the_backend_is_asked_whether_it_takes_a_request(
    proxy: Client, shop: str, source: str, valid: bool, said: str
) -> None:
    """All of it: its query, its sort, its aggregations, on the index itself."""
    given = {"grows": {"source": f"def query(request, context): {source}"}}
    done = await tried(
        proxy,
        "/_pipeline/grow/_execute?validate=true",
        index=shop,
        input={"query": {"match": {"title": "tent"}}},
        udfs=given,
    )
    assert (done["outcome"], done["validation"]["valid"]) == ("done", valid), done
    assert said in str(done["validation"].get("error", ""))
    assert done["validation"].get("status", 400) == 400


async def test_no_result_pipeline_runs_on_what_the_backend_refuses(
    proxy: Client, shop: str
) -> None:
    """Every input has a verdict of its own."""
    done = await tried(
        proxy,
        "/_pipeline/_execute?validate=true",
        index=shop,
        pipelines=["wide", "narrow"],
        inputs=[{"query": {"match_all": {}}}, {"query": {"matchx": {}}}],
    )
    assert [each["validation"]["valid"] for each in done["results"]] == [True, False]
    assert [len(each["pipelines"]) for each in done["results"]] == [2, 1]


@pytest.mark.parametrize(
    ("target", "body", "reason"),
    [
        ("grow", {"input": {}}, "index: required with [validate]"),
        ("label", {"input": {}, "index": "x"}, "no query pipeline is run here"),
        ("narrow", {"input": {}, "index": "x"}, "no query pipeline is run here"),
        ("grow", {"input": {}, "index": ".querymill"}, "is the proxy's own"),
    ],
)
async def test_what_cannot_be_validated_is_refused(
    proxy: Client, shop: str, target: str, body: Any, reason: str
) -> None:
    """A 400 says why."""
    status, said = await refused(proxy, f"/_pipeline/{target}/_execute?validate=true", **body)
    assert (status, reason in said) == (400, True), said


async def test_validation_on_an_index_that_is_not_there(proxy: Client, shop: str) -> None:
    """Is no fault of the call: the backend's response is told."""
    done = await tried(proxy, "/_pipeline/grow/_execute?validate", index="missing-1", input={})
    assert (done["validation"]["valid"], done["validation"]["status"]) == (False, 404)
