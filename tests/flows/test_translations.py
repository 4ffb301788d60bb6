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
from proxy.protocol.elastic.dialect import TRANSLATIONS
from tests.client import Client, Response
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


async def opened(client: Client, index: str, query: str = "?keep_alive=1m") -> Response:
    return await client.call("POST", f"/{index}/_pit{query}", None, ELASTIC)


async def open_pit(client: Client, index: str) -> list[tuple[int, Any]]:
    """Opened, on a pattern, without a word on how long, and on no index."""
    responses = [
        await opened(client, index),
        await opened(client, f"{index[:-1]}*", "?keep_alive=1m&filter_path=id,_shards&pretty"),
        await opened(client, index, "?keep_alive=1m&max_concurrent_shard_requests=2"),
        await opened(client, index, "?keep_alive=1m&allow_partial_search_results=true"),
        await opened(client, index, ""),
        await opened(client, "none"),
    ]
    ids = [response.data.pop("id", None) for response in responses]
    assert [isinstance(pit_id, str) for pit_id in ids] == [True] * 4 + [False] * 2
    return [
        (
            response.status,
            sorted(response.data) if response.status == 200 else response.error["type"],
        )
        for response in responses
    ]


async def close_pit(client: Client, index: str) -> list[tuple[int, Any]]:
    """Closed, in plain bytes and in gzip, and with a body that names none."""
    pits = [(await opened(client, index)).data["id"] for _ in range(2)]
    responses = [
        await client.call("DELETE", "/_pit", {"id": pits[0]}, ELASTIC),
        await client.call("DELETE", "/_pit", gzip.compress(orjson.dumps({"id": pits[1]})), GZIP),
    ]
    bad = await client.call("DELETE", "/_pit", {"id": []}, ELASTIC)
    search = {"pit": {"id": pits[0], "keep_alive": "1m"}}
    gone = await client.call("POST", "/_search", search, ELASTIC)
    return [*((a.status, a.data) for a in responses), (bad.status, None), (gone.status, None)]


async def field_caps(client: Client, index: str) -> list[tuple[int, Any]]:
    """Fields in the body, with and without a filter, and none."""
    reported: list[tuple[int, Any]] = []
    bodies: tuple[dict[str, Any], ...] = (
        {"fields": "n"},
        {"fields": ["n", "t*"]},
        {"fields": ["n"], "index_filter": {"match_all": {}}},
        {"fields": []},
        {"fields": 7},
    )
    for body in bodies:
        for path in (f"/{index}/_field_caps", f"/{index}/_field_caps/?include_empty_fields=true"):
            response = await client.call("POST", path, body, ELASTIC)
            fields = response.data.get("fields", {})
            kinds = {name: sorted(kinds) for name, kinds in fields.items() if name[0] != "_"}
            reported.append((response.status, kinds))
    packed = gzip.compress(b'{"fields": ["n"]}')
    response = await client.call("POST", f"/{index}/_field_caps", packed, GZIP)
    return [*reported, (response.status, sorted(response.data["fields"]))]


async def term_vectors(client: Client, index: str) -> list[tuple[int, Any]]:
    """A list of fields, which both take, of one document and of several."""
    body = {"fields": ["t"], "term_statistics": True}
    one = await client.call("POST", f"/{index}/_termvectors/1", body, ELASTIC)
    docs = {"docs": [{"_id": "1", "fields": ["t"]}]}
    many = await client.call("POST", f"/{index}/_mtermvectors", docs, ELASTIC)
    responses = [one.data["term_vectors"], many.data["docs"][0]["term_vectors"]]
    return [(200, response["t"]["terms"].keys()) for response in responses]


async def resolve(client: Client, index: str) -> list[tuple[int, Any]]:
    """With the method that newer clients use, and with the other."""
    reported: list[tuple[int, Any]] = []
    for method, body in (("POST", None), ("POST", {}), ("GET", None)):
        response = await client.call(method, f"/_resolve/index/{index}*", body, ELASTIC)
        reported.append((response.status, [found["name"] for found in response.data["indices"]]))
    return reported


async def cat_count(client: Client, index: str) -> list[tuple[int, Any]]:
    """With the method that newer clients use, and with the other."""
    reported: list[tuple[int, Any]] = []
    for method in ("POST", "GET"):
        path = f"/_cat/count/{index}?h=count&format=json"
        response = await client.call(method, path, None, ELASTIC)
        reported.append((response.status, response.data))
    return reported


async def health(client: Client, index: str) -> list[tuple[int, Any]]:
    """Primary shards and replicas without a node, on every level, and none."""
    settings = {
        "replica": {"number_of_shards": 2, "number_of_replicas": 1},
        "nowhere": {"number_of_shards": 3, "index.routing.allocation.require._name": "nobody"},
    }
    reported: list[tuple[int, Any]] = []
    for name, value in settings.items():
        path = f"/{index}-{name}?wait_for_active_shards=0"
        made = await client.call("PUT", path, {"settings": value}, ELASTIC)
        assert made.status == 200, made.body
    await client.get(f"/_cluster/health/{index}-replica?wait_for_status=yellow")
    for target in (f"{index}", f"{index}-replica", f"{index}-nowhere", f"{index}*"):
        for query in ("", "?level=indices", "?level=shards&pretty", "?filter_path=status"):
            path = f"/_cluster/health/{target}{query}"
            response = await client.call("GET", path, None, ELASTIC)
            reported.append((response.status, unassigned(response.data)))
    late = f"/_cluster/health/{index}-nowhere?wait_for_status=green&timeout=1ms"
    response = await client.call("GET", late, None, ELASTIC)
    for name in settings:
        await client.delete(f"/{index}-{name}")
    return [*reported, (response.status, unassigned(response.data))]


def unassigned(health: dict[str, Any]) -> Any:
    """The counts of a health and of those in it, by index and shard."""
    parts = {**health.get("indices", {}), **health.get("shards", {})}
    below = {name.partition("-")[2]: unassigned(part) for name, part in sorted(parts.items())}
    return [health.get("unassigned_primary_shards"), health.get("unassigned_shards"), below]


async def hints(client: Client, index: str) -> list[tuple[int, Any]]:
    """Each where OpenSearch does not know it."""
    calls: tuple[tuple[str, str, Any], ...] = (
        ("POST", f"/{index}/_doc?include_source_on_error=true&require_data_stream=false", {}),
        ("POST", f"/{index}/_search_shards?master_timeout=10s", None),
        ("GET", f"/_cat/aliases/{index}?master_timeout=10s", None),
        ("DELETE", "/_cluster/voting_config_exclusions?master_timeout=10s", None),
        ("POST", f"/{index}/_doc?include_source_on_error=nonsense", {}),
    )
    responses = [await client.call(*call, ELASTIC) for call in calls]
    return [(response.status, None) for response in responses]


def shape(node: Mapping[str, Any], *, more: tuple[str, ...] = ()) -> dict[str, str]:
    """What a typed client needs of a node, and of what kind it is."""
    needed = {"name", "node_name", "ephemeral_id", "external_id", "roles", "version", *more}
    assert "master" in node["roles"]
    return {name: type(value).__name__ for name, value in node.items() if name in needed}


VERSIONS = ("min_index_version", "max_index_version")


async def search_shards(client: Client, index: str) -> list[tuple[int, Any]]:
    """With both methods, on all indices, without all members, and on none."""
    reported: list[tuple[int, Any]] = []
    for method, path in (
        ("GET", f"/{index}/_search_shards"),
        ("POST", f"/{index}/_search_shards?pretty"),
        ("GET", "/_search_shards"),
    ):
        response = await client.call(method, path, None, ELASTIC)
        nodes = response.data["nodes"].values()
        reported.append((response.status, [shape(node, more=VERSIONS) for node in nodes]))
    path = f"/{index}/_search_shards?filter_path=nodes.*.name"
    part = await client.call("GET", path, None, ELASTIC)
    none = await client.call("GET", "/missing-1/_search_shards", None, ELASTIC)
    return [
        *reported,
        (part.status, [[*n] for n in part.data["nodes"].values()]),
        (none.status, None),
    ]


async def shard_stores(client: Client, index: str) -> list[tuple[int, Any]]:
    """Of an index, and of one that is not there."""
    reported: list[tuple[int, Any]] = []
    for query in ("?status=all", "?status=all&pretty"):
        response = await client.call("GET", f"/{index}/_shard_stores{query}", None, ELASTIC)
        (store,) = response.data["indices"][index]["shards"]["0"]["stores"]
        nodes = [value for value in store.values() if isinstance(value, dict)]
        reported.append((response.status, [shape(node, more=VERSIONS) for node in nodes]))
    none = await client.call("GET", "/missing-1/_shard_stores", None, ELASTIC)
    return [*reported, (none.status, None)]


async def allocation(client: Client, index: str) -> list[tuple[int, Any]]:
    """Of a shard that has a node, and of one that has none."""
    reported: list[tuple[int, Any]] = []
    asked = {"index": index, "shard": 0, "primary": True}
    path = "/_cluster/allocation/explain"
    here = await client.call("POST", path, asked, ELASTIC)
    reported.append((here.status, shape(here.data["current_node"])))
    settings = {"number_of_shards": 1, "index.routing.allocation.require._name": "nobody"}
    target = f"/{index}-nowhere?wait_for_active_shards=0"
    await client.call("PUT", target, {"settings": settings}, ELASTIC)
    asked["index"] = f"{index}-nowhere"
    for query in ("?pretty", "?include_yes_decisions=true"):
        nowhere = await client.call("POST", f"{path}{query}", asked, ELASTIC)
        decisions = nowhere.data["node_allocation_decisions"]
        reported.append((nowhere.status, [shape(decision) for decision in decisions]))
    await client.delete(f"/{index}-nowhere")
    asked["shard"] = 7
    return [*reported, ((await client.call("POST", path, asked, ELASTIC)).status, None)]


Script = Callable[[Client, str], Awaitable[list[tuple[int, Any]]]]
SCRIPTS: Mapping[str, Script] = {
    "POST /{index}/_pit": open_pit,
    "DELETE /_pit": close_pit,
    "POST /{index}/_field_caps": field_caps,
    "POST /{index}/_termvectors/{id}": term_vectors,
    "POST /_resolve/index/{name}": resolve,
    "POST /_cat/count/{index}": cat_count,
    "GET /_cluster/health/{index}": health,
    "GET /{index}/_search_shards": search_shards,
    "GET /{index}/_shard_stores": shard_stores,
    "GET /_cluster/allocation/explain": allocation,
    "{call}?{hint}": hints,
}
# The distribution of Elasticsearch used here has no such call.
WITHOUT_REFERENCE = {"GET /", "GET /, of 7.x", "GET /_data_stream/{name}"}


@pytest.mark.parametrize("call", SCRIPTS)
async def test_a_translated_call_responds_as_elasticsearch_does(
    call: str, proxy: Client, reference: Client, index_name: str
) -> None:
    """The same requests, to OpenSearch through the proxy and to Elasticsearch."""
    for client in (proxy, reference):
        await client.index(index_name, {"1": {"n": 1, "t": "red shoe"}})
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
    named = {translation.elasticsearch for translation in TRANSLATIONS}
    assert {*SCRIPTS, *WITHOUT_REFERENCE} == named


async def test_who_the_cluster_is(proxy: Client) -> None:
    """With the members that Elasticsearch has; a client of 7.x is told its own version."""
    meta = "x-elastic-client-meta"
    plain = (await proxy.get("/")).data
    assert "build_flavor" not in plain["version"]
    new = await proxy.call("GET", "/", None, {**ELASTIC, meta: "es=9.5.0,py=3.11.7"})
    expected = {**plain, "version": {**plain["version"], "build_flavor": "default"}}
    assert new.data == expected
    old = await proxy.call("GET", "/?pretty", None, {meta: "es=7.17.12,py=3.11.7"})
    expected["version"]["number"] = "7.17.0"
    expected["tagline"] = "You Know, for Search"
    assert (old.data, old.headers["X-Elastic-Product"]) == (expected, "Elasticsearch")
    assert (await proxy.call("HEAD", "/", None, ELASTIC)).status == 200


async def test_what_data_streams_are(proxy: Client, index_name: str) -> None:
    """With the members that a typed client needs, by name and on a pattern; as it is for others."""
    name = f"{index_name}-stream"
    template = {"index_patterns": [f"{name}*"], "data_stream": {}, "priority": 500}
    await proxy.put(f"/_index_template/{name}", template)
    assert (await proxy.put(f"/_data_stream/{name}")).status == 200
    (plain,) = (await proxy.get(f"/_data_stream/{name}")).data["data_streams"]
    no = ("hidden", "system", "replicated", "allow_custom_routing", "rollover_on_write")
    expected = {
        **plain,
        **dict.fromkeys((*no, "prefer_ilm"), False),
        **{"next_generation_managed_by": "Unmanaged", "settings": {}, "mappings": {}},
    }
    for target in (name, f"{name}*?pretty", f"{name}?master_timeout=10s&expand_wildcards=all"):
        response = await proxy.call("GET", f"/_data_stream/{target}", None, ELASTIC)
        assert response.data == {"data_streams": [expected]}, target
    part = f"/_data_stream/{name}?filter_path=data_streams.name&master_timeout=10s"
    response = await proxy.call("GET", part, None, ELASTIC)
    assert response.data == {"data_streams": [{"name": name}]}
    await proxy.delete(f"/_data_stream/{name}")
    await proxy.delete(f"/_index_template/{name}")
    assert not (await proxy.call("GET", "/_data_stream", None, ELASTIC)).data["data_streams"]


async def test_fields_of_term_vectors_may_be_text(proxy: Client, index_name: str) -> None:
    """As a client sends one field, or several with commas between them."""
    await proxy.index(index_name, {"1": {"a": "x", "b": "y"}})
    for fields in ("a", "a,b"):
        body = {"fields": fields}
        one = await proxy.call("POST", f"/{index_name}/_termvectors/1", body, ELASTIC)
        docs = {"docs": [{"_id": "1", "fields": fields}]}
        many = await proxy.call("POST", f"/{index_name}/_mtermvectors", docs, ELASTIC)
        for response in (one.data, many.data["docs"][0]):
            assert sorted(response["term_vectors"]) == fields.split(",")


async def test_data_streams_wait_for_no_master(proxy: Client, index_name: str) -> None:
    """OpenSearch takes no such hint there."""
    for method, status in (("GET", 404), ("DELETE", 200), ("PUT", 400)):
        path = f"/_data_stream/{index_name}?master_timeout=10s"
        response = await proxy.call(method, path, None, ELASTIC)
        assert (response.status, b"unrecognized" in response.body) == (status, False), response.body
        plain = await proxy.call(method, path, None)
        assert b"unrecognized parameter: [master_timeout]" in plain.body


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
            response = await proxy.call(method, target, None, ELASTIC)
            assert 400 <= response.status < 500, (method, target, response.body)


async def test_calls_of_opensearch_clients_are_missing(reference: Client, index_name: str) -> None:
    """Elasticsearch refuses what is documented as missing there."""
    await reference.index(index_name, {"1": {}})
    for method, target in (
        ("POST", f"/{index_name}/_search/point_in_time?keep_alive=1m"),
        ("POST", "/_plugins/_ppl"),
        ("GET", "/_search/pipeline"),
        ("GET", "/_list/indices"),
    ):
        response = await reference.call(method, target, None)
        assert response.status == 400, (method, target, response.body)


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
    response = await proxy.post(f"/{index_name}/_pit?keep_alive=1m")
    assert (response.status, "no handler found" in response.data["error"]) == (400, True)
    async with connect(await start_proxy(compat="off")) as strict:
        assert (await opened(strict, index_name)).status == 400
