"""Searches that pipelines changed and that then fail on some shards, in front of both backends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client, Response
from tests.conftest import StartOn, connect

BOTH = "test-shards-date,test-shards-word"
DATES = "def query(r, context):\n    return {**r, 'query': {'range': {'d': {'gte': 'x'}}}}\n"
SORTS = "def query(request, context):\n    return {**request, 'sort': [{'t': 'asc'}]}\n"
SAME = "def query(request, context):\n    return request\n"
SHOWN = "def result(response, context):\n    return {**response, 'seen': True}\n"
MINE: dict[str, Any] = {"query": {"match_all": {}}}
REPORTED = "changed the request, and the search failed on 1 of 2 shards ("


@pytest.fixture
async def sharded(each_backend: EmbeddedCluster, start_on: StartOn) -> AsyncIterator[Client]:
    """A client of a proxy, with two indices in which the same names are fields of other types."""
    async with connect(await start_on(each_backend)) as client:
        for name, date, text in (("date", "date", "text"), ("word", "keyword", "keyword")):
            await client.delete(f"/test-shards-{name}")
            fields = {"d": {"type": date}, "t": {"type": text}}
            shards = {"number_of_shards": 1, "number_of_replicas": 0}
            body = {"mappings": {"properties": fields}, "settings": shards}
            assert (await client.put(f"/test-shards-{name}", body)).status == 200
            document = {"d": "2026-01-01", "t": "a"}
            await client.put(f"/test-shards-{name}/_doc/1?refresh=true", document)
        for name, source in (("dates", DATES), ("sorts", SORTS), ("same", SAME)):
            await client.define(name, "query", source)
        await client.put_pipeline("strict", "query", "dates", on_error="fail")
        await client.define("shown", "result", SHOWN)
        yield client
        for name in ("date", "word"):
            await client.delete(f"/test-shards-{name}")


def warnings(response: Response) -> list[str]:
    return list(response.headers.getall("Warning", []))


CALLS = [
    ("_search", "dates"),
    ("_search?pretty", "dates"),
    ("_search?scroll=1m", "dates"),
    ("_search?filter_path=_shards", "dates"),
    ("_search", "sorts"),
    ("_search", "strict"),
    ("_search", "dates,shown"),
    ("_search?size=0&typed_keys=true", "same,dates"),
    ("_count", "dates"),
]


@pytest.mark.parametrize(("verb", "pipelines"), CALLS)
async def test_the_client_is_reported_which_pipeline_had_changed_it(
    sharded: Client, verb: str, pipelines: str
) -> None:
    """The response is the backend's, with what the other shards found."""
    mark = "&" if "?" in verb else "?"
    response = await sharded.post(f"/{BOTH}/{verb}{mark}pipeline={pipelines}", MINE)
    assert response.status == 200
    assert response.data["_shards"]["failed"] == 1
    (warning,) = [each for each in warnings(response) if REPORTED in each]
    changed = next(name for name in pipelines.split(",") if name not in ("same", "shown"))
    assert f"pipeline [{changed}@1.0.0#1] {REPORTED}" in warning
    assert "_exception)" in warning
    reported = (await sharded.get(f"/_pipeline/{changed}/_stats")).data
    assert (reported["success"], reported["refused"]) == (1, 0)


async def test_several_pipelines_are_all_named(sharded: Client) -> None:
    """Any of them may be at fault; one that changed nothing is not."""
    response = await sharded.post(f"/{BOTH}/_search?pipeline=dates,same,sorts", MINE)
    (warning,) = warnings(response)
    assert "pipeline [dates@1.0.0#1], [sorts@1.0.0#1] changed the request" in warning


async def test_a_compressed_response_is_looked_at_as_well(sharded: Client) -> None:
    """And goes on as it came."""
    headers = {"Accept-Encoding": "gzip", "Content-Type": "application/json"}
    async with sharded.session.post(
        f"/{BOTH}/_search?pipeline=dates", json=MINE, headers=headers
    ) as response:
        data = orjson.loads(await response.read())
        assert response.headers["Content-Encoding"] == "gzip"
        assert data["_shards"]["failed"] == 1
        assert REPORTED in response.headers["Warning"]


async def test_items_of_an_msearch_are_reported_of_theirs(sharded: Client) -> None:
    """Of those that changed; the others' failures are the client's."""
    wrong = {"query": {"range": {"d": {"gte": "x"}}}}
    response = await sharded.post(
        "/_msearch?pipeline=dates", b'{"index":"%b"}\n{}\n' % BOTH.encode()
    )
    assert response.data["responses"][0]["_shards"]["failed"] == 1
    (warning,) = warnings(response)
    assert REPORTED in warning
    lines = b'{"index":"%b"}\n' % BOTH.encode() + orjson.dumps(wrong) + b"\n"
    own = await sharded.post("/_msearch?pipeline=same", lines)
    assert own.data["responses"][0]["_shards"]["failed"] == 1
    assert warnings(own) == []


@pytest.mark.parametrize("verb", ["_search", "_count"])
async def test_what_no_pipeline_changed_is_the_clients_affair(sharded: Client, verb: str) -> None:
    """As is what fails nowhere."""
    wrong = {"query": {"range": {"d": {"gte": "x"}}}}
    for pipelines in ("same", "_none"):
        response = await sharded.post(f"/{BOTH}/{verb}?pipeline={pipelines}", wrong)
        assert response.data["_shards"]["failed"] == 1
        assert warnings(response) == []
    fine = await sharded.post(f"/test-shards-word/{verb}?pipeline=dates", MINE)
    assert fine.data["_shards"]["failed"] == 0
    assert warnings(fine) == []


async def test_a_search_that_fails_on_all_shards_is_refused(sharded: Client) -> None:
    """Then the client's own goes in its place, as ever."""
    response = await sharded.post("/test-shards-date/_search?pipeline=dates", MINE)
    assert (response.status, len(response.ids)) == (200, 1)
    (warning,) = warnings(response)
    assert "failed (refused)" in warning


async def test_a_long_response_goes_on_to_its_last_byte(sharded: Client) -> None:
    """What was looked at of it is its beginning."""
    large = {"d": "2026-01-02", "t": "b", "x": "y" * 3_000_000}
    await sharded.put("/test-shards-word/_doc/2?refresh=true", large)
    for coding in ("identity", "gzip"):
        headers = {"Accept-Encoding": coding, "Content-Type": "application/json"}
        async with sharded.session.post(
            f"/{BOTH}/_search?pipeline=sorts", json=MINE, headers=headers
        ) as response:
            data = orjson.loads(await response.read())
            assert REPORTED in response.headers["Warning"]
        assert data["hits"]["hits"][1]["_source"] == large
