"""The clients people use, unchanged, through the proxy on OpenSearch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import elasticsearch
import elasticsearch.helpers
import opensearchpy
import opensearchpy.helpers
import pytest

from proxy.embedded import EmbeddedCluster
from tests.conftest import StartProxy

T = TypeVar("T")
INDEX = "flow-clients"
REFUSED = (elasticsearch.ApiError, elasticsearch.UnsupportedProductError)


@pytest.fixture
async def proxy_url(start_proxy: StartProxy) -> str:
    """Where a proxy with default settings listens."""
    return f"http://{(await start_proxy()).address}"


async def in_thread(work: Callable[[], T]) -> T:
    """Run a blocking client beside the proxy's event loop."""
    return await asyncio.to_thread(work)


def documents(count: int) -> Iterator[dict[str, Any]]:
    """Documents for a bulk helper."""
    for number in range(count):
        yield {"_index": INDEX, "_id": str(number), "_source": {"n": number, "title": "red shoe"}}


async def test_elasticsearch_client(proxy_url: str) -> None:
    """elasticsearch-py works: info, documents, bulk and scan helpers, search, errors, cat."""

    def work() -> None:
        with elasticsearch.Elasticsearch(proxy_url) as client:
            info = client.info()
            assert info.body["version"]["distribution"] == "opensearch"
            assert info.meta.headers["x-elastic-product"] == "Elasticsearch"
            assert client.ping()
            assert not client.indices.exists(index=INDEX)
            assert client.indices.create(index=INDEX).body["acknowledged"]
            done, errors = elasticsearch.helpers.bulk(client, documents(1200), refresh=True)
            assert (done, errors) == (1200, [])
            found = client.search(index=INDEX, query={"match": {"title": "shoe"}}, size=3)
            assert len(found["hits"]["hits"]) == 3
            assert found.meta.mimetype == "application/vnd.elasticsearch+json"
            scanned = elasticsearch.helpers.scan(client, index=INDEX, size=500)
            assert sorted(int(hit["_id"]) for hit in scanned) == list(range(1200))
            client.index(index=INDEX, id="a/b", document={"n": -1}, refresh=True)
            assert client.get(index=INDEX, id="a/b")["_source"] == {"n": -1}
            client.update(index=INDEX, id="a/b", doc={"n": -2}, refresh=True)
            assert client.count(index=INDEX, query={"term": {"n": -2}})["count"] == 1
            assert client.mget(index=INDEX, ids=["1", "2"])["docs"][1]["found"]
            many = client.msearch(searches=[{"index": INDEX}, {"size": 1}, {}, {"size": 0}])
            assert [response["status"] for response in many["responses"]] == [200, 200]
            with pytest.raises(elasticsearch.NotFoundError) as missing:
                client.get(index=INDEX, id="missing")
            assert missing.value.body["found"] is False
            with pytest.raises(elasticsearch.BadRequestError, match="parsing_exception"):
                client.search(index=INDEX, query={"nonsense": {}})
            with pytest.raises(elasticsearch.ConflictError):
                client.create(index=INDEX, id="1", document={})
            assert INDEX in client.cat.indices(index=INDEX, h="index").body
            assert client.cat.health(format="json").body
            assert client.indices.delete(index=INDEX).body["acknowledged"]

    await in_thread(work)


async def test_elasticsearch_client_with_gzip(proxy_url: str) -> None:
    """It works with compression on, in both directions."""

    def work() -> None:
        with elasticsearch.Elasticsearch(proxy_url, http_compress=True) as client:
            elasticsearch.helpers.bulk(client, documents(300), refresh=True)
            found = client.search(index=INDEX, size=300)
            assert found.meta.headers["content-encoding"] == "gzip"
            assert len(found["hits"]["hits"]) == 300
            client.indices.delete(index=INDEX)

    await in_thread(work)


@pytest.fixture
async def elastic(proxy_url: str) -> AsyncIterator[elasticsearch.AsyncElasticsearch]:
    """The asynchronous Elasticsearch client."""
    client = elasticsearch.AsyncElasticsearch(proxy_url)
    yield client
    await client.close()


async def test_asynchronous_elasticsearch_client(
    elastic: elasticsearch.AsyncElasticsearch,
) -> None:
    """The asynchronous client and its helpers work the same way."""
    done, errors = await elasticsearch.helpers.async_bulk(elastic, documents(700), refresh=True)
    assert (done, errors) == (700, [])
    seen = {hit["_id"] async for hit in elasticsearch.helpers.async_scan(elastic, index=INDEX)}
    assert len(seen) == 700
    responses = await asyncio.gather(
        *(elastic.search(index=INDEX, query={"term": {"n": n}}) for n in range(40))
    )
    assert [response["hits"]["hits"][0]["_id"] for response in responses] == [
        str(n) for n in range(40)
    ]
    await elastic.indices.delete(index=INDEX)


async def test_elasticsearch_client_without_compat(start_proxy: StartProxy) -> None:
    """With compat off the same client is refused by OpenSearch, as it is without the proxy."""
    url = f"http://{(await start_proxy(compat='off')).address}"

    def work() -> None:
        with elasticsearch.Elasticsearch(url) as client, pytest.raises(REFUSED):
            client.search(index="_all", size=0)

    await in_thread(work)


async def test_opensearch_client(proxy_url: str) -> None:
    """opensearch-py works: documents, bulk and scan helpers, search, errors."""

    def work() -> None:
        client = opensearchpy.OpenSearch(proxy_url)
        assert client.info()["version"]["distribution"] == "opensearch"
        done, errors = opensearchpy.helpers.bulk(client, documents(1200), refresh=True)
        assert (done, errors) == (1200, [])
        found = client.search(index=INDEX, body={"query": {"match": {"title": "shoe"}}})
        assert found["hits"]["total"]["value"] == 1200
        scanned = opensearchpy.helpers.scan(client, index=INDEX, size=500)
        assert sorted(int(hit["_id"]) for hit in scanned) == list(range(1200))
        with pytest.raises(opensearchpy.NotFoundError):
            client.get(index=INDEX, id="missing")
        with pytest.raises(opensearchpy.RequestError):
            client.search(index=INDEX, body={"query": {"nonsense": {}}})
        client.indices.delete(index=INDEX)
        client.close()

    await in_thread(work)


async def test_same_client_directly(opensearch: EmbeddedCluster) -> None:
    """Without the proxy OpenSearch refuses the Elasticsearch client; compat makes it work."""

    def work() -> None:
        with elasticsearch.Elasticsearch(opensearch.url) as client, pytest.raises(REFUSED):
            client.search(index="_all", size=0)

    await in_thread(work)
