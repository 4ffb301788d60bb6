"""The story of opensearch-py, 2 or 3, whichever can be imported."""

from __future__ import annotations

from typing import Any

import opensearchpy
from opensearchpy import helpers

from tests.clients.story import Teller, documents, main


async def story(tell: Teller, url: str, index: str) -> None:
    """Every step of the client and its helpers on one index, which is made and deleted."""
    make: Any = opensearchpy.AsyncOpenSearch if tell.asynchronous else opensearchpy.OpenSearch
    client: Any = make(url, http_compress=True)
    body = {
        "mappings": {"properties": {"n": {"type": "long"}, "title": {"type": "text"}}},
        "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    }
    try:
        await tell.step("ping", lambda: client.ping())
        await tell.step("create", lambda: client.indices.create(index=index, body=body))
        await bulk(tell, client, index)
        await searches(tell, client, index)
        await documents_by_id(tell, client, index)
        await point_in_time(tell, client, index)
        await tell.step("delete", lambda: client.indices.delete(index=index))
        await tell.step("gone", lambda: client.search(index=index))
    finally:
        await tell.ask(client.close())


async def bulk(tell: Teller, client: Any, index: str) -> None:
    """The helpers that write."""
    write = helpers.async_bulk if tell.asynchronous else helpers.bulk
    done, errors = await tell.ask(
        write(client, documents(index), refresh=True, raise_on_error=False, chunk_size=120)
    )
    tell.tell("bulk", [done, [error["index"]["status"] for error in errors]])


async def searches(tell: Teller, client: Any, index: str) -> None:
    """Queries, counts, several searches at once, scan, and an error."""
    match = {"query": {"match": {"title": "shoe"}}}
    sorted_match = {**match, "sort": ["n"], "size": 3}
    await tell.step("search", lambda: client.search(index=index, body=sorted_match))
    term = {"query": {"term": {"n": 5}}}
    await tell.step("count", lambda: client.count(index=index, body=term))
    searches = [{"index": index}, {"size": 1, "sort": ["n"]}, {"index": "none"}, {}]
    answer = await tell.ask(client.msearch(body=searches))
    tell.tell("msearch", [part["status"] for part in answer["responses"]])
    aggs = {"aggs": {"sum": {"sum": {"field": "n"}}}, "size": 0}
    await tell.step("aggregation", lambda: client.search(index=index, body=aggs))
    scan = helpers.async_scan if tell.asynchronous else helpers.scan
    hits = await tell.every(scan(client, index=index, query=match, size=120))
    tell.tell("scan", sorted(int(hit["_id"]) for hit in hits))
    wrong: dict[str, Any] = {"query": {"nonsense": {}}}
    await tell.step("bad query", lambda: client.search(index=index, body=wrong))


async def documents_by_id(tell: Teller, client: Any, index: str) -> None:
    """One document's life, and errors on the way."""
    key: dict[str, Any] = {"index": index, "id": "a/b ü"}
    await tell.step("index", lambda: client.index(**key, body={"n": -1}, refresh=True))
    await tell.step("get", lambda: client.get(**key))
    await tell.step("exists", lambda: client.exists(**key))
    await tell.step("update", lambda: client.update(**key, body={"doc": {"n": -2}}))
    await tell.step("conflict", lambda: client.create(**key, body={}))
    await tell.step("mget", lambda: client.mget(index=index, body={"ids": ["1", "none"]}))
    await tell.step("source", lambda: client.get_source(index=index, id="1"))
    await tell.step("delete document", lambda: client.delete(**key, refresh=True))
    await tell.step("missing", lambda: client.get(**key))


async def point_in_time(tell: Teller, client: Any, index: str) -> None:
    """Opened, searched and closed, where the backend has the call."""
    opened: dict[str, Any] = {}

    async def opening() -> list[str]:
        opened.update(await tell.ask(client.create_pit(index=index, keep_alive="1m")))
        return sorted(opened)

    await tell.step("point in time", opening)
    if not opened:
        return
    pit_id = opened["pit_id"]
    body = {"pit": {"id": pit_id, "keep_alive": "1m"}, "sort": ["n"], "size": 300}
    await tell.step("page", lambda: client.search(body=body))
    await tell.step("close", lambda: client.delete_pit(body={"pit_id": [pit_id]}))
    await tell.step("closed", lambda: client.search(body=body))


if __name__ == "__main__":
    main(story)
