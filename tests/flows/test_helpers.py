"""The helpers of the Python clients, with pipelines attached that change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import elasticsearch.helpers
import opensearchpy.helpers
import pytest

from tests.conftest import StartProxy, connect
from tests.flows.test_clients import attach_identity, runs

COUNT = 300
Helped = Callable[[str, str], dict[str, Any]]


def documents(index: str) -> Iterator[dict[str, Any]]:
    for number in range(COUNT):
        yield {"_index": index, "_id": str(number), "_source": {"n": number}}


def helped(client: Any, helpers: Any, index: str) -> dict[str, Any]:
    """What each helper comes to: documents written, failed and found."""
    reported: dict[str, Any] = {"bulk": helpers.bulk(client, documents(index), chunk_size=70)}
    parallel = helpers.parallel_bulk(client, documents(index), thread_count=3, chunk_size=50)
    reported["parallel"] = sorted({(ok, done["index"]["status"]) for ok, done in parallel})
    taken = ({**document, "_op_type": "create"} for document in documents(index))
    stream = helpers.streaming_bulk(client, taken, raise_on_error=False, chunk_size=100)
    reported["taken"] = {(ok, done["create"]["status"]) for ok, done in stream}
    client.indices.refresh(index=index)
    reported["scan"] = sorted(int(hit["_id"]) for hit in helpers.scan(client, index=index, size=70))
    reported["reindex"] = helpers.reindex(client, index, f"{index}-copy", chunk_size=70)[0]
    client.indices.refresh(index=f"{index}-copy")
    reported["copied"] = client.count(index=f"{index}-copy")["count"]
    return reported


def with_elasticsearch(url: str, index: str) -> dict[str, Any]:
    """The helpers of elasticsearch-py."""
    with elasticsearch.Elasticsearch(url) as client:
        return helped(client, elasticsearch.helpers, index)


def with_opensearch(url: str, index: str) -> dict[str, Any]:
    """The helpers of opensearch-py."""
    client = opensearchpy.OpenSearch(url)
    try:
        return helped(client, opensearchpy.helpers, index)
    finally:
        client.close()


@pytest.fixture
async def helpers_url(start_proxy: StartProxy, index_name: str) -> AsyncIterator[str]:
    """Where a proxy listens whose pipelines ran well on every document, when all is done."""
    server = await start_proxy()
    await attach_identity(server)
    yield f"http://{server.address}"
    ran = await runs(server)
    assert ran["document"] == (4 * COUNT, 4 * COUNT)
    assert ran["result"][0] == ran["result"][1] >= 6
    async with connect(server) as proxy:
        await proxy.delete(f"/{index_name},{index_name}-copy")


@pytest.mark.parametrize("helpers", [with_elasticsearch, with_opensearch])
async def test_helpers_write_and_read_everything(
    helpers: Helped, helpers_url: str, index_name: str
) -> None:
    """In bulks, from several threads, and from one index to another."""
    assert await asyncio.to_thread(helpers, helpers_url, index_name) == {
        "bulk": (COUNT, []),
        "parallel": [(True, 200)],
        "taken": {(False, 409)},
        "scan": list(range(COUNT)),
        "reindex": COUNT,
        "copied": COUNT,
    }
