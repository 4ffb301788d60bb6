"""Straight to OpenSearch and through the proxy: the same responses, byte for byte."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, field

import aiohttp
import orjson
import pytest
from yarl import URL

from proxy.embedded import EmbeddedCluster
from tests.conftest import StartProxy

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
GZIP = {"Accept-Encoding": "gzip"}

# Names of one length, so that the responses have one length too.
DIRECT, PROXIED = "flow-pass-d", "flow-pass-p"


@dataclass
class Step:
    """One request; ``{i}`` in its parts is the index of the side it is sent on."""

    method: str
    target: str
    body: bytes | str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


DOCUMENTS = "".join(
    f'{{"index": {{"_index": "{{i}}", "_id": "{n}"}}}}\n'
    f'{{"title": "shoe {n}", "price": {n}.5, "big": 1234567890123456789, "tags": ["a", "b{n}"]}}\n'
    for n in range(1, 9)
)
SEARCH = '{"query": {"match": {"title": "shoe"}}, "sort": ["price"]}'

STEPS = [
    Step("GET", "/"),
    Step("HEAD", "/"),
    Step("PUT", "/{i}", '{"settings": {"number_of_shards": 1, "number_of_replicas": 0}}', JSON),
    Step("PUT", "/{i}", "{}", JSON),
    Step("HEAD", "/{i}"),
    Step("HEAD", "/{i}-missing"),
    Step("PUT", "/{i}/_mapping", '{"properties": {"tags": {"type": "keyword"}}}', JSON),
    Step("GET", "/{i}/_mapping"),
    Step("PUT", "/{i}/_doc/1?refresh=true", '{"title": "boot", "price": 1.0}', JSON),
    Step("PUT", "/{i}/_doc/a%2Fb?refresh=true", '{"title": "slash", "price": 2.0}', JSON),
    Step("GET", "/{i}/_doc/a%2Fb"),
    Step("HEAD", "/{i}/_doc/1"),
    Step("HEAD", "/{i}/_doc/missing"),
    Step("GET", "/{i}/_doc/missing"),
    Step("GET", "/{i}/_source/1"),
    Step("GET", "/{i}/_source/missing"),
    Step("PUT", "/{i}/_create/1", '{"title": "again"}', JSON),
    Step("POST", "/{i}/_update/1?refresh=true", '{"doc": {"price": 3.25}}', JSON),
    Step("POST", "/{i}/_update/missing", '{"doc": {"price": 3}}', JSON),
    Step("DELETE", "/{i}/_doc/a%2Fb?refresh=true"),
    Step("DELETE", "/{i}/_doc/missing"),
    Step("POST", "/_bulk?refresh=true", DOCUMENTS, NDJSON),
    Step("PUT", "/{i}/_bulk", '{"delete": {"_id": "8"}}\n{"index": {"_id": "8"}}\n{}\n', JSON),
    Step("POST", "/_bulk", '{"index": {"_index": "{i}"}}\n{"no newline": 1}', NDJSON),
    Step("POST", "/_bulk", '{"bad": {}}\n{}\n', NDJSON),
    Step("POST", "/_refresh"),
    Step("GET", "/{i}/_search?preference=x&sort=price"),
    Step("GET", "/{i}/_search", SEARCH, JSON),
    Step("POST", "/{i}/_search", SEARCH, JSON),
    Step("POST", "/{i}/_search?", SEARCH, JSON),
    Step("POST", "/{i}/_search", SEARCH, JSON | GZIP),
    Step("GET", "/_search?index={i}&q=title:shoe%20AND%20price:%3E2&sort=price&size=2"),
    Step("GET", "/{i}/_search?pretty=true&human=false&sort=price&filter_path=hits.hits._id"),
    Step("GET", "/{i}/_search?format=yaml&sort=price&size=1"),
    Step("GET", "/{i}/_search?source=%7B%22size%22%3A0%7D&source_content_type=application/json"),
    Step("GET", "/%3C{i}%3E/_search?size=0"),
    Step("GET", "/{i}*,-other/_search?size=0&typed_keys"),
    Step("POST", "/{i}/_search", '{"query": {"nonsense": {}}}', JSON),
    Step("POST", "/{i}/_search", '{"query": ', JSON),
    Step("POST", "/{i}/_search", "{}", {"Content-Type": "text/plain"}),
    Step("POST", "/{i}/_search", "{}", {}),
    Step("GET", "/{i}/_search?no_such_parameter=1"),
    Step("GET", "/{i}-missing/_search"),
    Step("GET", "/{i}-missing/_search?ignore_unavailable=true"),
    Step("GET", "/{i}/_search?size=1&sort=price", None, {"X-Opaque-Id": "me-1"}),
    Step("POST", "/{i}/_msearch", '{}\n{"size": 0}\n{}\n{"query": {"bad": 1}}\n', NDJSON),
    Step("GET", "/{i}/_count?q=title:shoe"),
    Step("POST", "/{i}/_count", '{"query": {"match_all": {}}}', JSON),
    Step("POST", "/{i}/_mget", '{"ids": ["1", "2", "missing"]}', JSON),
    Step("GET", "/{i}/_explain/2?q=title:shoe&filter_path=_id,matched"),
    Step("GET", "/{i}/_validate/query?q=title:shoe&explain=true"),
    Step("GET", "/{i}/_field_caps?fields=*"),
    Step("POST", "/{i}/_analyze", '{"analyzer": "standard", "text": "Red Shoes"}', JSON),
    Step("POST", "/{i}/_delete_by_query?refresh=true", '{"query": {"term": {"price": 8.5}}}', JSON),
    Step("POST", "/{i}/_update_by_query?refresh=true", "{}", JSON),
    Step("GET", "/{i}/_settings?flat_settings=true&filter_path=**.number_of*"),
    Step("POST", "/_aliases", '{"actions": [{"add": {"index": "{i}", "alias": "{i}-a"}}]}', JSON),
    Step("GET", "/{i}-a/_search?size=0"),
    Step("GET", "/_alias/{i}-a"),
    Step("GET", "/_cat/indices/{i}?h=index,docs.count,health&s=index&v"),
    Step("GET", "/_cat/count/{i}?h=count"),
    Step("GET", "/_cat/nodes?h=node.role", None, {"Accept": "application/json"}),
    Step("GET", "/_cat/nonsense"),
    Step("GET", "/_cluster/health/{i}?filter_path=status,timed_out,number_of_nodes"),
    Step("GET", "/_nodes/http?filter_path=nodes.*.version"),
    Step("PUT", "/_scripts/{i}", '{"script": {"lang": "mustache", "source": {"size": 0}}}', JSON),
    Step("POST", "/{i}/_search/template", '{"id": "{i}"}', JSON),
    Step("DELETE", "/_scripts/{i}"),
    Step("OPTIONS", "/{i}"),
    Step("OPTIONS", "/"),
    Step("POST", "/"),
    Step("DELETE", "/_search"),
    Step("PATCH", "/{i}"),
    Step("GET", "/_no_such_api"),
    Step("GET", "/{i}/_no_such_api/x"),
    Step("GET", "/{i}/_doc"),
    Step("PUT", "/UPPER", "{}", JSON),
    Step("PUT", "/{i}/_doc/9?refresh=nonsense", "{}", JSON),
    Step("PUT", "/{i}/_doc/9?version=1", '{"x": 1}', JSON),
    Step("GET", "//{i}//_search?size=0"),
    Step("GET", "/{i}/../{i}/_search"),
    Step("GET", "/{i}/_search?q=" + "x" * 3000),
    Step("DELETE", "/{i}"),
    Step("DELETE", "/{i}"),
]  # fmt: skip

# What differs from one moment, or one index, to the next.
VOLATILE = re.compile(
    rb'"(?:took|index_uuid|batches|[a-z_]*millis)"\s*:\s*(?:"[^"]*"|\d+)'
    rb"|took: \d+|INDEX/[\w-]{22}"
)
# The length changes with "took"; the other one holds processor times.
CHANGING = (b"content-length", b"task_resource_usage")


@dataclass
class Seen:
    """A response with what may differ taken out."""

    status: int
    reason: str | None
    fields: list[tuple[bytes, bytes]]
    body: bytes


async def ask(session: aiohttp.ClientSession, step: Step, index: str) -> Seen:
    """Send a step for an index."""
    body = step.body.replace("{i}", index) if isinstance(step.body, str) else step.body
    target = step.target.replace("{i}", index)
    async with session.request(
        step.method,
        URL(f"{session._base_url}{target}", encoded=True),
        data=body.encode() if isinstance(body, str) else body,
        headers=step.headers,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        allow_redirects=False,
    ) as response:
        content = await response.read()
        if response.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        content = VOLATILE.sub(b"", content.replace(index.encode(), b"INDEX"))
        fields = [
            (name, b"" if name.lower() in CHANGING else value.replace(index.encode(), b""))
            for name, value in response.raw_headers
        ]
        return Seen(response.status, response.reason, fields, content)


async def test_same_responses(opensearch: EmbeddedCluster, start_proxy: StartProxy) -> None:
    """Every kind of call, good and bad, is answered the same through the proxy as without it."""
    server = await start_proxy()
    different: list[tuple[str, Seen, Seen]] = []
    async with (
        aiohttp.ClientSession(opensearch.url, auto_decompress=False) as direct,
        aiohttp.ClientSession(f"http://{server.address}", auto_decompress=False) as proxied,
    ):
        for step in STEPS:
            left = await ask(direct, step, DIRECT)
            right = await ask(proxied, step, PROXIED)
            if left != right:
                different.append((str(step), left, right))
    assert different == [], "\n".join(map(str, different))


@pytest.mark.parametrize("count", [3000])
async def test_large_gzip_bulk(
    opensearch: EmbeddedCluster, start_proxy: StartProxy, count: int
) -> None:
    """A compressed bulk of many documents is stored, and a large response comes back, whole."""
    server = await start_proxy()
    index = "flow-pass-large"
    filler = "lorem ipsum " * 60
    lines = b"".join(
        b'{"index": {"_id": "%d"}}\n' % n + orjson.dumps({"n": n, "text": filler}) + b"\n"
        for n in range(count)
    )
    async with aiohttp.ClientSession(f"http://{server.address}") as session:
        headers = NDJSON | {"Content-Encoding": "gzip"}
        url = f"/{index}/_bulk?refresh=true"
        async with session.post(url, data=gzip.compress(lines, 1), headers=headers) as response:
            stored = await response.json()
            assert (stored["errors"], len(stored["items"])) == (False, count)
        async with session.get(f"/{index}/_search?size={count}&sort=n") as response:
            hits = (await response.json())["hits"]["hits"]
            assert [hit["_source"]["n"] for hit in hits] == list(range(count))
        async with session.delete(f"/{index}") as response:
            assert response.status == 200
