"""Patterns that reach the store mean all the rest: it stays unseen, and nothing else is missed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from elasticsearch import AsyncElasticsearch
from opensearchpy import AsyncOpenSearch

from proxy.embedded import EmbeddedCluster
from tests.client import Client, Response
from tests.conftest import StartOn, connect

ONE = "def query(request, context):\n    return {**request, 'size': 100}\n"
STORE = "/.querymill"
OPEN = ("left-a", "left-b", ".left-dot")
NAMES = (*OPEN, ".left-hidden", "left-closed")

READS: list[tuple[str, str, bytes | None]] = [
    ("GET", "/*?expand_wildcards=all", None),
    ("GET", "/_all?expand_wildcards=all", None),
    ("GET", "/.*", None),
    ("HEAD", "/.querymil*", None),
    ("GET", "/*/_search?expand_wildcards=open,hidden&size=50", None),
    ("GET", "/_all/_search?expand_wildcards=open,hidden&size=50", None),
    ("GET", "/_search?expand_wildcards=open%2Chidden&size=50", None),
    ("GET", "/_search?size=50&index=.*", None),
    ("GET", "/_search?size=50&%69ndex=.l*,.q*", None),
    ("GET", "/%2E*/_search?size=50", None),
    ("GET", "/.q*/_search", None),
    ("GET", "/left-a,.*/_search?size=50", None),
    ("GET", "/.*,-.left-h*/_search?size=50", None),
    ("GET", "/*,-left-a,.*/_search?size=50", None),
    ("GET", "/*,-.querymill*/_search?size=50&expand_wildcards=open,hidden", None),
    ("GET", "/.*//_search/?size=50", None),
    ("GET", "/.*/_search?size=50&allow_no_indices=false", None),
    ("POST", "/.*/_search?size=50", b'{"query":{"match_all":{}}}'),
    ("GET", "/.*/_count", None),
    ("GET", "/_count?expand_wildcards=open,hidden", None),
    ("GET", "/.q*/_count", None),
    ("POST", "/.*/_msearch", b"{}\n{}\n"),
    ("POST", "/_msearch?expand_wildcards=open,hidden", b"{}\n{}\n"),
    ("POST", "/_msearch", b'{"index":".*"}\n{"size":50}\n{}\n{}\n'),
    ("POST", "/_msearch", b'{"index":["left-a",".q*"]}\n{}\n'),
    ("POST", "/_msearch", b'{"expand_wildcards":["open","hidden"]}\n{"size":50}\n'),
    ("POST", "/_msearch", b'{"indices":"_all","expandWildcards":"all"}\n{}\n'),
    ("POST", "/.l*/_msearch", b'{"expand_wildcards":"open,hidden"}\n{"size":50}\n'),
    ("GET", "/.*/_validate/query", None),
    ("GET", "/.*/_settings", None),
    ("GET", "/_settings?expand_wildcards=all", None),
    ("GET", "/.q*/_settings/index.*", None),
    ("GET", "/.*/_mapping", None),
    ("GET", "/_mapping?expand_wildcards=all", None),
    ("GET", "/.*/_mapping/field/n", None),
    ("GET", "/.*/_alias", None),
    ("GET", "/_alias?expand_wildcards=all", None),
    ("GET", "/.*/_stats", None),
    ("GET", "/_stats?expand_wildcards=open,hidden", None),
    ("GET", "/_stats/docs?expand_wildcards=open,hidden", None),
    ("GET", "/.*/_segments", None),
    ("GET", "/_segments?expand_wildcards=open,hidden", None),
    ("GET", "/.*/_recovery", None),
    ("GET", "/.*/_search_shards", None),
    ("GET", "/_search_shards?expand_wildcards=open,hidden", None),
    ("GET", "/.*/_shard_stores?status=all", None),
    ("GET", "/.*/_field_caps?fields=n", None),
    ("GET", "/_field_caps?fields=n&expand_wildcards=open,hidden", None),
    ("GET", "/_cat/indices?expand_wildcards=all&h=index", None),
    ("GET", "/_cat/indices/.*?h=index", None),
    ("GET", "/_cat/shards/.*?h=index", None),
    ("GET", "/_cat/segments/.*?h=index", None),
    ("GET", "/_cat/recovery/.*?h=index", None),
    ("GET", "/_cat/count/.*?h=count", None),
    ("GET", "/_cluster/health/.*?level=indices", None),
    ("GET", "/_cluster/health?level=indices&expand_wildcards=all", None),
    ("GET", "/_cluster/state/metadata/.*", None),
    ("GET", "/_cluster/state/_all/*?expand_wildcards=all", None),
    ("GET", "/_cluster/state?expand_wildcards=all", None),
    ("GET", "/_resolve/index/.*", None),
    ("GET", "/_resolve/index/*?expand_wildcards=all", None),
    ("POST", "/.*/_refresh", None),
    ("POST", "/_refresh?expand_wildcards=open,hidden", None),
    ("POST", "/.*/_flush", None),
    ("POST", "/.*/_forcemerge?max_num_segments=1", None),
    ("POST", "/.*/_cache/clear", None),
    ("DELETE", "/_data_stream/*?expand_wildcards=all", None),
    ("GET", "/left-a/_doc/.querymill", None),
]
"""Calls after which all is as before: answered as by a backend that has no store."""


@pytest.fixture
async def without_store(each_backend: EmbeddedCluster) -> AsyncIterator[Client]:
    """A client of a backend that has indices of every kind, and no store."""
    async with aiohttp.ClientSession(each_backend.url) as session:
        client = Client(session)
        # Elasticsearch wants names for what destroys, unless told otherwise.
        await destructive(client, "false")
        await client.delete(f"{STORE}?ignore_unavailable=true")
        await client.delete("/*?expand_wildcards=all")
        yield client
        await client.delete("/*,-.querymill*?expand_wildcards=all")
        await destructive(client, None)


async def destructive(client: Client, value: str | None) -> None:
    name = "action.destructive_requires_name"
    response = await client.put("/_cluster/settings", {"persistent": {name: value}})
    assert response.status == 200, response.body


async def filled(backend: Client) -> None:
    for name in NAMES:
        hidden = name == ".left-hidden"
        settings = {"number_of_shards": 1, "number_of_replicas": 0, "hidden": hidden}
        await backend.put(f"/{name}", {"settings": settings})
        await backend.put(f"/{name}/_doc/1?refresh=true", {"n": 1})
    await backend.post("/left-closed/_close")


@pytest.fixture
async def with_store(
    without_store: Client, each_backend: EmbeddedCluster, start_on: StartOn
) -> AsyncIterator[Client]:
    """A client of a proxy in front of that backend; there is a store with the first definition."""
    async with connect(await start_on(each_backend)) as client:
        yield client


def reported(response: Response) -> tuple[int, list[str], list[int]]:
    """The status, the indices that the response names, and what it counts."""
    text = response.body.decode()
    names = sorted(set(re.findall(r"\.?left-[a-z]+", text)))
    counts = [int(n) for n in re.findall(r'"(?:count|failed|successful|value)":(\d+)', text)]
    return response.status, names, counts if b"status" not in response.body else []


async def test_what_reads_by_pattern_does_not_see_the_store(
    without_store: Client, with_store: Client
) -> None:
    """Each response is that of a backend without a store, with its pipelines too."""
    await filled(without_store)
    wanted = [reported(await without_store.call(*call)) for call in READS]
    await with_store.define("one", "query", ONE)
    await with_store.attach("left-*", query="one")
    different = []
    for call, want in zip(READS, wanted, strict=True):
        got = await with_store.call(*call)
        if reported(got) != want:
            different.append((call, want, reported(got)))
        shown = got.body.replace(b"-.querymill*", b"").replace(b"/left-a/_doc/.querymill", b"")
        if call[1] != "/left-a/_doc/.querymill":
            assert b".querymill" not in shown, (call, got.body)
    assert not different
    assert (await with_store.get("/_pipeline/one")).status == 200


CHANGES: list[tuple[str, str, bytes | None]] = [
    ("DELETE", "/*?expand_wildcards=all", None),
    ("DELETE", "/_all?expand_wildcards=all", None),
    ("DELETE", "/.*", None),
    ("DELETE", "/.*,left-*?expand_wildcards=open,hidden", None),
    ("DELETE", "/%2A?expand_wildcards=all", None),
    ("DELETE", "/.q*", None),
    ("DELETE", "/*,-left-a?expand_wildcards=all", None),
    ("POST", "/*/_close?expand_wildcards=all", None),
    ("POST", "/.*/_close", None),
    ("POST", "/*/_open?expand_wildcards=all", None),
    ("PUT", "/.*/_settings", b'{"index.max_result_window":77}'),
    ("PUT", "/_settings?expand_wildcards=open,hidden", b'{"index.max_result_window":77}'),
    ("PUT", "/.*/_mapping", b'{"properties":{"added":{"type":"keyword"}}}'),
    ("PUT", "/*/_mapping?expand_wildcards=all", b'{"properties":{"added":{"type":"keyword"}}}'),
    ("PUT", "/.*/_alias/shared", None),
    ("PUT", "/.*/_block/write", None),
]


@pytest.mark.parametrize("call", CHANGES, ids=lambda call: f"{call[0]} {call[1]}")
async def test_what_changes_by_pattern_leaves_the_store_alone(
    without_store: Client, with_store: Client, call: tuple[str, str, bytes | None]
) -> None:
    """The store is as before; all other indices are as the same call leaves them directly."""
    await filled(without_store)
    direct = (await without_store.call(*call)).status
    wanted = await state(without_store)
    await without_store.delete("/*?expand_wildcards=all")
    await filled(without_store)
    await with_store.define("one", "query", ONE)
    before = await store(without_store)
    response = await with_store.call(*call)
    assert (response.status, await state(without_store)) == (direct, wanted), response.body
    assert await store(without_store) == before
    assert (await with_store.get("/_pipeline/one")).status == 200


@pytest.mark.parametrize("kind", [AsyncOpenSearch, AsyncElasticsearch])
async def test_clients_clean_up(
    without_store: Client, each_backend: EmbeddedCluster, start_on: StartOn, kind: Any
) -> None:
    """As their own test suites do; the definitions live on."""
    server = await start_on(each_backend)
    async with connect(server) as proxy, kind([f"http://{server.address}"]) as client:
        await filled(without_store)
        await proxy.define("one", "query", ONE)
        await client.indices.delete(index="*", expand_wildcards="all")
        assert await state(without_store) == {}
        assert (await proxy.get("/_pipeline/one")).status == 200


async def state(backend: Client) -> dict[str, object]:
    """What there is of the indices: settings that calls here change, mappings, aliases, states."""
    found = (await backend.get("/*,-.querymill*?expand_wildcards=all&flat_settings=true")).data
    closed = (await backend.get("/_cluster/state/metadata/*?expand_wildcards=all")).data
    kept = ("index.max_result_window", "index.blocks.write")
    return {
        name: (
            {key: index["settings"].get(key) for key in kept},
            index["mappings"],
            index["aliases"],
            closed["metadata"]["indices"][name]["state"],
        )
        for name, index in found.items()
    }


async def store(backend: Client) -> object:
    response = await backend.get(f"{STORE}?flat_settings=true")
    assert response.status == 200
    return response.data


async def test_the_store_is_left_out_behind_a_clusters_name(
    without_store: Client, with_store: Client
) -> None:
    """Also where that cluster is this very backend."""
    await filled(without_store)
    await with_store.define("one", "query", ONE)
    (node,) = (await without_store.get("/_nodes/transport")).data["nodes"].values()
    remote = {"cluster.remote.self.seeds": [node["transport"]["publish_address"]]}
    response = await without_store.put("/_cluster/settings", {"persistent": remote})
    assert response.status == 200, response.body
    try:
        for target, hits in [
            ("self:.q*", 0),
            ("self:.*", 2),
            ("s*:.*", 2),
            ("self:*?expand_wildcards=open,hidden", 4),
            ("left-a,self:.*", 3),
            ("*,self:*?expand_wildcards=open,hidden", 8),
        ]:
            name, _, query = target.partition("?")
            found = await with_store.get(f"/{name}/_search?size=50&{query}")
            assert found.status == 200, (target, found.body)
            assert len(found.ids) == hits, (target, found.body)
            assert b'.querymill","_id' not in found.body
    finally:
        none = {"cluster.remote.self.seeds": None}
        await without_store.put("/_cluster/settings", {"persistent": none})


NAMED: list[tuple[str, str, bytes | None]] = [
    ("GET", "/.querymill/_search", None),
    ("GET", "/*,.querymill/_search", None),
    ("GET", "/.querymill,-.querymill/_search", None),
    ("GET", "/any:.querymill/_search", None),
    ("GET", "/*:.querymill/_search", None),
    ("GET", "/any:%3C.querymill%3E/_search", None),
    ("GET", "/*:left-a/_search?expand_wildcards=all", None),
    ("GET", "/_search?%69ndex=.querymill", None),
    ("GET", "/_cat/indices/.querymill", None),
    ("GET", "/_cat/indices/%3C.querymill%3E", None),
    ("GET", "/_cluster/state/_all/.querymill", None),
    ("GET", "/_resolve/index/%3C.querymill%3E", None),
    ("GET", "/%3C.q*%3E/_search", None),
    ("GET", "/.querymill::data/_search", None),
    ("GET", "/%3C.querymill%3E::data/_search", None),
    ("GET", "/_unheard_of?index=.q*", None),
    ("GET", "/_unheard_of?expand_wildcards=all", None),
    ("POST", "/_msearch", b'{"index":"any:.querymill"}\n{}\n'),
    ("POST", "/_reindex", b'{"source":{"index":"any:.querymill"},"dest":{"index":"x"}}'),
    (
        "POST",
        "/_cluster/reroute?dry_run=true",
        b'{"commands":[{"cancel":{"index":".querymill","shard":0,"node":"n"}}]}',
    ),
    (
        "POST",
        "/_scripts/painless/_execute",
        b'{"script":{"source":"true"},"context":"filter","context_setup":{"index":".querymill"}}',
    ),
    (
        "POST",
        "/_data_stream/_modify",
        b'{"actions":[{"add_backing_index":{"data_stream":"d","index":".querymill"}}]}',
    ),
    ("POST", "/_transform/_preview", b'{"source":{"index":[".q*"]}}'),
    ("PUT", "/_transform/t", b'{"source":{"index":"left-a"},"dest":{"index":".querymill"}}'),
    ("PUT", "/_rollup/job/j", b'{"index_pattern":".querymill","rollup_index":"x"}'),
    ("PUT", "/_enrich/policy/p", b'{"match":{"indices":".querymill","match_field":"name"}}'),
    ("PUT", "/_index_template/t", b'{"index_patterns":[".querymill"]}'),
    ("PUT", "/_index_template/t", b'{"index_patterns":["left-*",".q*"]}'),
    ("PUT", "/_index_template/t", b'{"index\\u005fpatterns":["*mill"]}'),
    ("POST", "/_index_template/t?create=true", b'{"index_patterns":"left-*,.*"}'),
    ("PUT", "/_template/t", b'{"index_patterns":[".query*"]}'),
    ("PUT", "/_template/t", b'{"template":".query*"}'),
]


async def test_templates_for_other_indices_pass(without_store: Client, with_store: Client) -> None:
    """One for all has no effect on what is hidden; nor has one whose texts look like patterns."""
    for patterns in (["*"], ["left-*", "*-left"], ["querymill-*"]):
        template = {
            "index_patterns": patterns,
            "priority": 987654,
            "template": {"aliases": {}, "settings": {}},
            "_meta": {"index_patterns": [".q*"]},
        }
        response = await with_store.put("/_index_template/left-template", template)
        assert response.status == 200, response.body
        await without_store.call("DELETE", "/_index_template/left-template")


async def test_its_own_name_is_refused(without_store: Client, with_store: Client) -> None:
    """By any spelling, and so is what cannot be narrowed."""
    await with_store.define("one", "query", ONE)
    for call in NAMED:
        response = await with_store.call(*call)
        assert response.status == 403, (call, response.body)
        assert response.error["type"] == "security_exception"
