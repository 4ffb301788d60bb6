"""The story of opensearch-py, 2 or 3, whichever can be imported."""

from __future__ import annotations

from typing import Any

import opensearchpy
from opensearchpy import helpers

from tests.clients.story import Reporter, documents, main


async def story(report: Reporter, url: str, index: str) -> None:
    """Every step of the client and its helpers on one index, which is made and deleted."""
    make: Any = opensearchpy.AsyncOpenSearch if report.asynchronous else opensearchpy.OpenSearch
    client: Any = make(url, http_compress=True)
    body = {
        "mappings": {"properties": {"n": {"type": "long"}, "title": {"type": "text"}}},
        "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    }
    try:
        await report.step("ping", lambda: client.ping())
        await report.step("create", lambda: client.indices.create(index=index, body=body))
        await bulk(report, client, index)
        await searches(report, client, index)
        await documents_by_id(report, client, index)
        await point_in_time(report, client, index)
        await report.step("delete", lambda: client.indices.delete(index=index))
        await report.step("gone", lambda: client.search(index=index))
    finally:
        await report.ask(client.close())


async def bulk(report: Reporter, client: Any, index: str) -> None:
    """The helpers that write."""
    write = helpers.async_bulk if report.asynchronous else helpers.bulk
    done, errors = await report.ask(
        write(client, documents(index), refresh=True, raise_on_error=False, chunk_size=120)
    )
    report.report("bulk", [done, [error["index"]["status"] for error in errors]])


async def searches(report: Reporter, client: Any, index: str) -> None:
    """Queries, counts, several searches at once, scan, and an error."""
    match = {"query": {"match": {"title": "shoe"}}}
    sorted_match = {**match, "sort": ["n"], "size": 3}
    await report.step("search", lambda: client.search(index=index, body=sorted_match))
    term = {"query": {"term": {"n": 5}}}
    await report.step("count", lambda: client.count(index=index, body=term))
    searches = [{"index": index}, {"size": 1, "sort": ["n"]}, {"index": "none"}, {}]
    response = await report.ask(client.msearch(body=searches))
    report.report("msearch", [part["status"] for part in response["responses"]])
    aggs = {"aggs": {"sum": {"sum": {"field": "n"}}}, "size": 0}
    await report.step("aggregation", lambda: client.search(index=index, body=aggs))
    scan = helpers.async_scan if report.asynchronous else helpers.scan
    hits = await report.every(scan(client, index=index, query=match, size=120))
    report.report("scan", sorted(int(hit["_id"]) for hit in hits))
    wrong: dict[str, Any] = {"query": {"nonsense": {}}}
    await report.step("bad query", lambda: client.search(index=index, body=wrong))


async def documents_by_id(report: Reporter, client: Any, index: str) -> None:
    """One document's life, and errors on the way."""
    key: dict[str, Any] = {"index": index, "id": "a/b ü"}
    await report.step("index", lambda: client.index(**key, body={"n": -1}, refresh=True))
    await report.step("get", lambda: client.get(**key))
    await report.step("exists", lambda: client.exists(**key))
    await report.step("update", lambda: client.update(**key, body={"doc": {"n": -2}}))
    await report.step("conflict", lambda: client.create(**key, body={}))
    await report.step("mget", lambda: client.mget(index=index, body={"ids": ["1", "none"]}))
    await report.step("source", lambda: client.get_source(index=index, id="1"))
    await report.step("delete document", lambda: client.delete(**key, refresh=True))
    await report.step("missing", lambda: client.get(**key))


async def point_in_time(report: Reporter, client: Any, index: str) -> None:
    """Opened, searched and closed, where the backend has the call."""
    opened: dict[str, Any] = {}

    async def opening() -> list[str]:
        opened.update(await report.ask(client.create_pit(index=index, keep_alive="1m")))
        return sorted(opened)

    await report.step("point in time", opening)
    if not opened:
        return
    pit_id = opened["pit_id"]
    body = {"pit": {"id": pit_id, "keep_alive": "1m"}, "sort": ["n"], "size": 300}
    await report.step("page", lambda: client.search(body=body))
    await report.step("close", lambda: client.delete_pit(body={"pit_id": [pit_id]}))
    await report.step("closed", lambda: client.search(body=body))


if __name__ == "__main__":
    main(story)
