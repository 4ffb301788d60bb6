"""What search pipelines inside OpenSearch leave open, and that it is not open here.

| theirs | ours is tested in |
| --- | --- |
| the version is a label, changes overwrite each other | test_admin: create_and_revisions |
| the verbose run goes on after errors, unlike the real one | here |
| no simulation | test_admin: execute_* |
| scripts cannot touch the query | test_query_pipelines |
| no scripts on responses | test_result_pipelines |
| no on_failure, no timeout per step | test_query_pipelines, test_hostile |
| no headers of the caller | test_query_pipelines: sees_only_the_headers_it_may |
| explain refuses a pipeline | here |
| later pages of a scroll are not processed | test_cursors: every_page_of_a_scroll |
| count, explain, get, mget are untouched | test_read_surface: count_explain_and_validate; here |
| no index in the path: the default is not applied | here |
| different defaults: none runs, silently | test_attachments: different_defaults |
| a default beside an index without one is applied to both | here |
| names that cannot be resolved: no pipeline | here |
| users can turn every pipeline off | test_final_pipelines |
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client, Response
from tests.conftest import StartOn, StartProxy, connect

NARROW = "def query(r, c):\n    return {**r, 'query': {'term': {'n': 1}}}\n"
REDACT = """def result(r, c):
    for hit in r['hits']['hits']:
        hit['_source'].pop('secret', None)
    return r
"""
BROKEN = "def query(r, c):\n    raise ValueError('no luck')\n"


async def prepared(proxy: Client, index: str) -> None:
    await proxy.index(index, {str(n): {"n": n, "secret": f"s{n}"} for n in range(3)})
    await proxy.define("narrow", "query", NARROW)
    await proxy.define("redact", "result", REDACT, applies_to=["search", "get"])


@pytest.fixture
async def either(each_backend: EmbeddedCluster, start_on: StartOn) -> AsyncIterator[Client]:
    """A client of a proxy in front of either backend."""
    async with connect(await start_on(each_backend)) as client:
        yield client


def reported(response: Response) -> str:
    return " ".join(response.headers.getall("Warning", []))


async def test_a_verbose_run_ends_as_the_real_one(proxy: Client, index_name: str) -> None:
    """At the stage that fails, with the same outcome, and what did not run is said not to have."""
    await prepared(proxy, index_name)
    await proxy.put_udf("broken", BROKEN)
    await proxy.put_pipeline("chain", "query", "narrow", "broken", on_error="fail")
    search: dict[str, Any] = {"input": {"query": {"match_all": {}}}}
    plain = (await proxy.post("/_pipeline/chain/_execute", search)).data
    verbose = (await proxy.post("/_pipeline/chain/_execute?verbose=true", search)).data
    assert [plain["outcome"], verbose["outcome"]] == ["failed", "failed"]
    for stages in (plain["stages"], verbose["stages"]):
        assert [(s["name"], s["outcome"]) for s in stages] == [
            ("narrow", "success"),
            ("broken", "failure"),
        ]
    assert (await proxy.get(f"/{index_name}/_search?pipeline=chain")).error["stage"] == "broken"


async def test_explain_takes_a_pipeline_by_name(proxy: Client, index_name: str) -> None:
    """It explains the query that a search with it would run."""
    await prepared(proxy, index_name)
    matched = []
    for doc_id in ("0", "1"):
        url = f"/{index_name}/_explain/{doc_id}?pipeline=narrow"
        response = await proxy.post(url, {"query": {"match_all": {}}})
        matched.append(response.data["matched"])
    assert matched == [False, True]


async def test_documents_read_by_id_have_the_default_that_applies(
    proxy: Client, index_name: str
) -> None:
    """One by one, bare, and many at once; `_none` turns it off."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, result="redact")
    url = f"/{index_name}/_doc/1"
    assert (await proxy.get(url)).data["_source"] == {"n": 1}
    assert (await proxy.get(f"/{index_name}/_source/1")).data == {"n": 1}
    many = await proxy.post(f"/{index_name}/_mget", {"ids": ["0", "2"]})
    assert [d["_source"] for d in many.data["docs"]] == [{"n": 0}, {"n": 2}]
    plain = await proxy.get(f"{url}?pipeline=_none")
    assert plain.data["_source"] == {"n": 1, "secret": "s1"}


@pytest.mark.parametrize("target", ["/_search?size=1000", "/_all/_search?size=1000"])
async def test_a_search_without_an_index_has_the_default_of_all(
    proxy: Client, index_name: str, target: str
) -> None:
    """If all have the same; and if they have not, none runs and the client is told."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, query="narrow")
    await proxy.index(f"{index_name}-plain", {"9": {"n": 9}})
    mixed = await proxy.get(target)
    assert "9" in mixed.ids
    assert "have different query pipelines" in reported(mixed)
    await proxy.attach(index_name, query=None)
    await proxy.attach("*", query="narrow")
    same = await proxy.get(target)
    assert same.headers["Querymill-Pipelines"] == "narrow@1.0.0#1"
    assert {hit["_source"]["n"] for hit in same.data["hits"]["hits"]} == {1}


@pytest.mark.parametrize("on_conflict", ["off", "error"])
async def test_an_index_without_a_default_gets_none_from_its_neighbour(
    start_proxy: StartProxy, index_name: str, on_conflict: str
) -> None:
    """Neither has the pipeline then, and the client is told; or it is an error."""
    async with connect(await start_proxy(on_conflict=on_conflict)) as proxy:
        await prepared(proxy, index_name)
        await proxy.index(f"{index_name}-plain", {"9": {"n": 9}})
        await proxy.attach(index_name, query="narrow")
        response = await proxy.get(f"/{index_name},{index_name}-plain/_search")
        if on_conflict == "error":
            assert (response.status, "[narrow], none" in response.error["reason"]) == (400, True)
        else:
            assert sorted(response.ids) == ["0", "1", "2", "9"]
            assert "have different query pipelines: [narrow], none; none was run" in reported(
                response
            )


@pytest.mark.parametrize(
    "expression",
    [
        "{index},no-such-index",
        "{index}-alias,no-such-index",
        "no-such-index,{index}*",
        "%3Cno-such-%7Bnow%2Fd%7D%3E,{index}-alias",
        "%3Cno-such-%7Bnow%2Fd%7D%3E,{index}*",
        "{index}-alias,no-such-cluster:x",
        "no-such-*,{index}-alias,-{index}-x*",
    ],
)
async def test_names_that_mean_nothing_hide_no_pipeline(
    either: Client, index_name: str, expression: str
) -> None:
    """A final one runs whatever stands beside its index."""
    await prepared(either, index_name)
    actions = {"actions": [{"add": {"index": index_name, "alias": f"{index_name}-alias"}}]}
    await either.post("/_aliases", actions)
    settings = {"index.query.final_pipeline": "narrow", "index.result.final_pipeline": "redact"}
    assert (await either.put(f"/{index_name}/_settings", settings)).status == 200
    target = expression.format(index=index_name)
    response = await either.get(f"/{target}/_search?ignore_unavailable=true")
    assert b"secret" not in response.body
    if response.status == 200:
        assert response.ids == ["1"]


@pytest.mark.parametrize("phases", ["default", "final"])
async def test_a_name_that_means_nothing_hides_no_default_silently(
    proxy: Client, index_name: str, phases: str
) -> None:
    """It runs, or the client is told that it did not."""
    await prepared(proxy, index_name)
    await proxy.put(f"/{index_name}/_settings", {f"index.query.{phases}_pipeline": "narrow"})
    response = await proxy.get(f"/{index_name},no-such-index/_search?ignore_unavailable=true")
    if response.ids != ["1"]:
        assert phases == "default"
        assert "have different query pipelines" in reported(response)


async def test_what_is_attached_to_a_data_stream_holds_for_its_backing_indices(
    proxy: Client, index_name: str
) -> None:
    """By their names or by a pattern: its documents are nowhere else."""
    await prepared(proxy, f"{index_name}-other")
    stream = f"{index_name}-stream"
    template = {"index_patterns": [f"{stream}*"], "data_stream": {}, "priority": 500}
    assert (await proxy.put(f"/_index_template/{stream}", template)).status == 200
    assert (await proxy.put(f"/_data_stream/{stream}")).status == 200
    document = {"@timestamp": "2026-01-01T00:00:00Z", "n": 1, "secret": "s"}
    assert (await proxy.post(f"/{stream}/_doc?refresh=true", document)).status == 201
    settings = {"index.result.final_pipeline": "redact"}
    assert (await proxy.put(f"/{stream}/_settings", settings)).status == 200
    streams = (await proxy.get(f"/_data_stream/{stream}")).data["data_streams"]
    backing = streams[0]["indices"][0]["index_name"]
    try:
        for target in (stream, f"{stream}*", backing, f"{backing[:-3]}*", f".ds-{stream}*"):
            response = await proxy.get(f"/{target}/_search")
            assert len(response.ids) == 1, target
            assert b"secret" not in response.body, target
    finally:
        await proxy.delete(f"/_data_stream/{stream}")
        await proxy.delete(f"/_index_template/{stream}")
