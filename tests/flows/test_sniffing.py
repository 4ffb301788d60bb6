"""Clients that ask for the cluster's nodes stay with the proxy, on both backends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import cbor2
import elasticsearch
import opensearchpy
import orjson
import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client
from tests.conftest import StartOn, connect
from tests.proxy.wire import ScriptedBackend, http_response

MARK = "def result(r, c):\n    return {**r, 'marked': True}\n"
LISTS = (
    "/_nodes",
    "/_nodes/http",
    "/_nodes/_all/http?pretty",
    "/_nodes/_local?flat_settings",
    "/_nodes/querymill/http,os",
    "/_nodes/_all/info/http",
    "/_nodes/http?filter_path=nodes.*.http.publish_address",
    "/_nodes/http?filter_path=**.bound_address&pretty",
    "/_nodes/http?format=yaml",
    "/_cat/nodes?h=http",
    "/_cat/nodes?h=name,http,port&v",
    "/_cat/nodes?h=ht*,master&v",
    "/_cat/nodes?h=http_address,name&format=json",
    "/_cat/nodes?h=http&format=yaml",
)
STATISTICS = ("/_nodes/stats", "/_nodes/n/stats/http", "/_nodes/usage", "/_cat/nodes")


def two_nodes() -> bytes:
    """The response of a cluster whose nodes publish other addresses than the proxy knows."""
    addresses = ("es-1.example/10.0.0.1:9200", "10.0.0.2:9200")
    nodes = {f"n{at}": {"name": f"n{at}", "http": {"publish_address": at}} for at in addresses}
    return orjson.dumps({"_nodes": {"total": 2}, "nodes": nodes})


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedBackend]:
    """A backend that says what it is told to."""
    async with ScriptedBackend() as backend:
        reported = http_response(two_nodes(), "200 OK", "Content-Type: application/json")
        targets = ("/_nodes/http", "/_nodes/_all/http", *STATISTICS)
        backend.replies = dict.fromkeys(targets, reported)
        backend.reply = http_response(b"{}", "404 Not Found", "Content-Type: application/json")
        yield backend


async def test_every_list_of_nodes_names_the_proxy(
    each_backend: EmbeddedCluster, start_on: StartOn
) -> None:
    """In every form; all else is what the backend says."""
    server = await start_on(each_backend)
    own = str(server.address)
    theirs = each_backend.url.removeprefix("http://")
    assert len(own) == len(theirs), "the tables would not compare"
    async with connect(server) as through, aiohttp.ClientSession(each_backend.url) as session:
        for path in LISTS:
            reported = await through.get(path)
            expected = await Client(session).get(path)
            assert reported.status == 200, path
            assert theirs.encode() in expected.body, path
            assert reported.body == expected.body.replace(theirs.encode(), own.encode()), path
            assert reported.headers["Content-Type"] == expected.headers["Content-Type"]
        cbor = {"Accept": "application/cbor", "Accept-Encoding": "gzip"}
        reported = await through.call("GET", "/_nodes/http", None, cbor)
        (node,) = cbor2.loads(reported.body)["nodes"].values()
        assert node["http"]["publish_address"] == own
        smile = await through.get("/_nodes/http?format=smile")
        assert (smile.status, "ask for application/json" in smile.data["error"]["reason"]) == (
            406,
            True,
        )
        assert (await through.get("/_nodes/os?format=smile")).status == 200
        assert (await through.get("/_nodes/none:true/http")).data["nodes"] == {}
        assert (await through.get("/_nodes/http?nonsense=1")).status == 400


async def test_public_address_is_the_one_that_is_reported(
    scripted: ScriptedBackend, start_on: StartOn
) -> None:
    """Of every node, by whatever name the client came; without it, the name it used."""
    server = await start_on(scripted, public_address="search.example:443")
    async with connect(server) as client:
        reported = (await client.get("/_nodes/http")).data["nodes"].values()
        assert {node["http"]["publish_address"] for node in reported} == {"search.example:443"}
    async with connect(await start_on(scripted)) as client:
        reported = (
            (await client.get("/_nodes/http", Host="other.example:81")).data["nodes"].values()
        )
        assert {node["http"]["publish_address"] for node in reported} == {"other.example:81"}


async def test_statistics_of_nodes_pass(scripted: ScriptedBackend, start_on: StartOn) -> None:
    """They are asked for often, are large, and name no address to send requests to."""
    async with connect(await start_on(scripted)) as client:
        for path in STATISTICS:
            assert (await client.get(path)).body == two_nodes(), path


def elastic(url: str) -> Callable[[str], Any]:
    """A search of an index with a client of Elasticsearch that sniffs."""
    client = elasticsearch.Elasticsearch(
        url, sniff_on_start=True, sniff_before_requests=True, min_delay_between_sniffing=0
    )

    def search(index: str) -> Any:
        try:
            return client.search(index=index).body
        finally:
            client.close()

    return search


def opensearch_client(url: str) -> Callable[[str], Any]:
    """The same with a client of OpenSearch."""
    client = opensearchpy.OpenSearch(url, sniff_on_start=True, sniff_on_connection_fail=True)

    def search(index: str) -> Any:
        try:
            client.transport.sniff_hosts()
            return client.search(index=index)
        finally:
            client.close()

    return search


@pytest.mark.parametrize("kind", [elastic, opensearch_client])
async def test_a_client_that_sniffs_keeps_its_pipelines(
    kind: Callable[[str], Callable[[str], Any]],
    each_backend: EmbeddedCluster,
    start_on: StartOn,
    index_name: str,
) -> None:
    """Its searches after sniffing come through the proxy."""
    server = await start_on(each_backend)
    async with connect(server) as proxy:
        await proxy.index(index_name, {"1": {"n": 1}})
        await proxy.define("mark", "result", MARK)
        await proxy.attach(index_name, result="mark")
        found = await asyncio.to_thread(lambda: kind(f"http://{server.address}")(index_name))
        assert (found["marked"], len(found["hits"]["hits"])) == (True, 1)
        await proxy.delete(f"/{index_name}")


@pytest.mark.parametrize("kind", [elasticsearch.Elasticsearch, opensearchpy.OpenSearch])
async def test_nodes_at_one_address_are_one_to_a_client(
    kind: Any, scripted: ScriptedBackend, start_on: StartOn
) -> None:
    """A client that sniffs a cluster of several nodes ends with the proxy alone."""
    server = await start_on(scripted)

    def hosts() -> set[str]:
        client = kind(f"http://{server.address}", sniff_on_start=True)
        try:
            if kind is opensearchpy.OpenSearch:
                return {c.host for c in client.transport.connection_pool.connections}
            return {node.base_url for node in client.transport.node_pool.all()}
        finally:
            client.close()

    assert await asyncio.to_thread(hosts) == {f"http://{server.address}"}
