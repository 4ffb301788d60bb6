"""Asynchronous searches: their spellings, and indices whose searches have pipelines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from proxy.server.server import ProxyServer
from tests.client import Client, Response

SMALL = """def query(r, c):
    c.state['asked'] = 'yes'
    return {**r, 'query': {'range': {'n': {'lt': 3}}}, 'sort': ['n'],
            '_pipeline_metadata': {'narrowed': True}}
"""
MARK = """def result(r, c):
    return {**r, 'marked': c.state.get('asked'), 'wanted': c.request.get('size')}
"""
REDACT = """def result(r, c):
    for hit in r['hits']['hits']:
        hit['_source'].pop('secret', None)
    return r
"""
# Where a search begins, and below which path its id stands.
PLUGIN = "/_plugins/_asynchronous_search"
LEGACY = "/_opendistro/_asynchronous_search"
SPELLINGS = {
    "elasticsearch": ("/{index}/_async_search?", "/_async_search"),
    "opensearch": (PLUGIN + "?index={index}&", PLUGIN),
    "opensearch path": ("/{index}" + PLUGIN + "?", PLUGIN),
    "opendistro": (LEGACY + "?index={index}&", LEGACY),
}
each_spelling = pytest.mark.parametrize(("begin", "below"), SPELLINGS.values(), ids=SPELLINGS)
RUNNING = "wait_for_completion_timeout=0"
KEPT = "keep_on_completion=true"
Start = Callable[..., Awaitable[ProxyServer]]


async def prepared(proxy: Client, index: str) -> None:
    await proxy.index(index, {str(n): {"n": n, "secret": f"s{n}"} for n in range(5)})


async def marked(proxy: Client, index: str) -> None:
    """An index with a query and a result pipeline."""
    await prepared(proxy, index)
    await proxy.define("small", "query", SMALL)
    await proxy.define("mark", "result", MARK)
    await proxy.attach(index, query="small", result="mark")


async def guarded(proxy: Client, index: str) -> None:
    """An index whose documents leave it redacted only."""
    await prepared(proxy, index)
    await proxy.define("redact", "result", REDACT)
    settings = {"index.result.final_pipeline": "redact"}
    assert (await proxy.put(f"/{index}/_settings", settings)).status == 200


def hits(response: Response) -> list[str]:
    return [hit["_id"] for hit in response.data["response"]["hits"]["hits"]]
