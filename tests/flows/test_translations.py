"""Calls an Elasticsearch client makes of OpenSearch, translated by the proxy: what comes back is
what Elasticsearch says.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.embedded import EmbeddedCluster
from proxy.translate import TRANSLATIONS
from tests.client import Answer, Client
from tests.conftest import StartProxy, connect
from tests.documents import ROOT

V9 = "application/vnd.elasticsearch+json;compatible-with=9"
ELASTIC = {"Accept": V9, "Content-Type": V9}
GZIP = {**ELASTIC, "Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
MARK = "def result(r, c):\n    return {**r, 'marked': True}\n"


@pytest.fixture
async def reference(elasticsearch: EmbeddedCluster) -> AsyncIterator[Client]:
    """A client of Elasticsearch itself."""
    async with aiohttp.ClientSession(elasticsearch.url) as session:
        yield Client(session)


async def opened(client: Client, index: str, query: str = "?keep_alive=1m") -> Answer:
    return await client.call("POST", f"/{index}/_pit{query}", None, ELASTIC)


async def open_pit(client: Client, index: str) -> list[tuple[int, Any]]:
    """Opened, on a pattern, without a word on how long, and on no index."""
    answers = [
        await opened(client, index),
        await opened(client, f"{index[:-1]}*", "?keep_alive=1m&filter_path=id,_shards&pretty"),
        await opened(client, index, "?keep_alive=1m&max_concurrent_shard_requests=2"),
        await opened(client, index, "?keep_alive=1m&allow_partial_search_results=true"),
        await opened(client, index, ""),
        await opened(client, "none"),
    ]
    ids = [answer.data.pop("id", None) for answer in answers]
    assert [isinstance(pit_id, str) for pit_id in ids] == [True] * 4 + [False] * 2
    return [
        (answer.status, sorted(answer.data) if answer.status == 200 else answer.error["type"])
        for answer in answers
    ]


async def close_pit(client: Client, index: str) -> list[tuple[int, Any]]:
    """Closed, in plain bytes and in gzip, and with a body that names none."""
    pits = [(await opened(client, index)).data["id"] for _ in range(2)]
    answers = [
        await client.call("DELETE", "/_pit", {"id": pits[0]}, ELASTIC),
        await client.call("DELETE", "/_pit", gzip.compress(orjson.dumps({"id": pits[1]})), GZIP),
    ]
    bad = await client.call("DELETE", "/_pit", {"id": []}, ELASTIC)
    search = {"pit": {"id": pits[0], "keep_alive": "1m"}}
    gone = await client.call("POST", "/_search", search, ELASTIC)
    return [*((a.status, a.data) for a in answers), (bad.status, None), (gone.status, None)]


Script = Callable[[Client, str], Awaitable[list[tuple[int, Any]]]]
SCRIPTS: Mapping[str, Script] = {"POST /{index}/_pit": open_pit, "DELETE /_pit": close_pit}


@pytest.mark.parametrize("call", [translation.elasticsearch for translation in TRANSLATIONS])
async def test_a_translated_call_answers_as_elasticsearch_does(
    call: str, proxy: Client, reference: Client, index_name: str
) -> None:
    """The same requests, to OpenSearch through the proxy and to Elasticsearch."""
    for client in (proxy, reference):
        await client.index(index_name, {"1": {"n": 1}})
    assert await SCRIPTS[call](proxy, index_name) == await SCRIPTS[call](reference, index_name)


def section(heading: str) -> str:
    """A section of the document on compatibility."""
    text = (ROOT / "docs" / "COMPATIBILITY.md").read_text()
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def table(heading: str) -> list[list[str]]:
    """The cells of a section's table, less its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_documented_translations_are_the_ones_there_are() -> None:
    """The table names every one, and no other; each has its test."""
    rows = [tuple(row[:2]) for row in table("Translated calls")]
    assert rows == [(f"`{t.elasticsearch}`", f"`{t.opensearch}`") for t in TRANSLATIONS]
    assert set(SCRIPTS) == {translation.elasticsearch for translation in TRANSLATIONS}


async def test_calls_documented_as_missing_are_missing(proxy: Client, index_name: str) -> None:
    """OpenSearch refuses them from an Elasticsearch client, with and without an index."""
    await proxy.index(index_name, {"1": {}})
    named = section("What Elasticsearch clients cannot call").replace("\\|", "")
    calls = {
        word
        for line in named.splitlines()
        for word in re.findall(r"`(_[a-z_]+)`", line.partition(" | ")[0])
    }
    assert len(calls) > 20
    for call in sorted(calls):
        for method, target in (("GET", f"/{call}"), ("POST", f"/{index_name}/{call}")):
            answer = await proxy.call(method, target, None, ELASTIC)
            assert 400 <= answer.status < 500, (method, target, answer.body)


async def test_calls_of_opensearch_clients_are_missing(reference: Client, index_name: str) -> None:
    """Elasticsearch refuses what is documented as missing there."""
    await reference.index(index_name, {"1": {}})
    for method, target in (
        ("POST", f"/{index_name}/_search/point_in_time?keep_alive=1m"),
        ("POST", "/_plugins/_ppl"),
        ("GET", "/_search/pipeline"),
        ("GET", "/_list/indices"),
    ):
        answer = await reference.call(method, target, None)
        assert 400 <= answer.status < 500, (method, target, answer.body)


async def test_a_translated_point_in_time_keeps_its_pipelines(
    proxy: Client, index_name: str
) -> None:
    """Its id is wrapped, in a search and when it is closed."""
    await proxy.index(index_name, {"1": {"n": 1}, "2": {"n": 2}})
    await proxy.define("mark", "result", MARK)
    await proxy.attach(index_name, result="mark")
    pit = {"id": (await opened(proxy, index_name)).data["id"], "keep_alive": "1m"}
    assert pit["id"].startswith("qm1.")
    body = {"pit": pit, "sort": ["n"], "size": 1}
    page = await proxy.call("POST", "/_search", body, ELASTIC)
    assert (page.data["marked"], page.ids) == (True, ["1"])
    pit["id"] = page.data["pit_id"]
    closed = await proxy.call("DELETE", "/_pit", {"id": pit["id"]}, ELASTIC)
    assert (closed.status, closed.data) == (200, {"succeeded": True, "num_freed": 1})
    assert closed.headers["Content-Type"].startswith(V9)


async def test_other_clients_are_not_translated(
    proxy: Client, start_proxy: StartProxy, index_name: str
) -> None:
    """OpenSearch's own refusal comes back; with compat off, to an Elasticsearch client too."""
    await proxy.index(index_name, {"1": {}})
    answer = await proxy.post(f"/{index_name}/_pit?keep_alive=1m")
    assert (answer.status, "no handler found" in answer.data["error"]) == (400, True)
    async with connect(await start_proxy(compat="off")) as strict:
        assert (await opened(strict, index_name)).status >= 400
