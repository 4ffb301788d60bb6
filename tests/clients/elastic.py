"""The story of elasticsearch-py, 8 or 9, whichever can be imported."""

from __future__ import annotations

from typing import Any

import elasticsearch
from elasticsearch import helpers

from tests.clients.story import Reporter, documents, main


async def story(report: Reporter, url: str, index: str) -> None:
    """Every step of the client and its helpers on one index, which is made and deleted."""
    make = elasticsearch.AsyncElasticsearch if report.asynchronous else elasticsearch.Elasticsearch
    client: Any = make(url, http_compress=True)
    mappings = {"properties": {"n": {"type": "long"}, "title": {"type": "text"}}}
    one_shard = {"number_of_shards": 1, "number_of_replicas": 0}
    try:
        await report.step("ping", lambda: client.ping())
        await report.step(
            "create",
            lambda: client.indices.create(index=index, mappings=mappings, settings=one_shard),
        )
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
    match = {"match": {"title": "shoe"}}
    found = await report.step(
        "search", lambda: client.search(index=index, query=match, sort=["n"], size=3)
    )
    report.report("media type", found.meta.mimetype)
    report.report("product", found.meta.headers.get("x-elastic-product"))
    await report.step("count", lambda: client.count(index=index, query={"term": {"n": 5}}))
    searches = [{"index": index}, {"size": 1, "sort": ["n"]}, {"index": "none"}, {}]
    response = await report.ask(client.msearch(searches=searches))
    report.report("msearch", [part["status"] for part in response["responses"]])
    aggs = {"sum": {"sum": {"field": "n"}}}
    await report.step("aggregation", lambda: client.search(index=index, aggs=aggs, size=0))
    scan = helpers.async_scan if report.asynchronous else helpers.scan
    hits = await report.every(scan(client, index=index, query={"query": match}, size=120))
    report.report("scan", sorted(int(hit["_id"]) for hit in hits))
    wrong: dict[str, Any] = {"nonsense": {}}
    await report.step("bad query", lambda: client.search(index=index, query=wrong))


async def documents_by_id(report: Reporter, client: Any, index: str) -> None:
    """One document's life, and errors on the way."""
    key: dict[str, Any] = {"index": index, "id": "a/b ü"}
    await report.step("index", lambda: client.index(**key, document={"n": -1}, refresh=True))
    await report.step("get", lambda: client.get(**key))
    await report.step("exists", lambda: client.exists(**key))
    await report.step("update", lambda: client.update(**key, doc={"n": -2}))
    await report.step("conflict", lambda: client.create(**key, document={}))
    await report.step("mget", lambda: client.mget(index=index, ids=["1", "none"]))
    await report.step("source", lambda: client.get_source(index=index, id="1"))
    await report.step("delete document", lambda: client.delete(**key, refresh=True))
    await report.step("missing", lambda: client.get(**key))


async def point_in_time(report: Reporter, client: Any, index: str) -> None:
    """All documents in pages; closed, it is gone."""
    opened = await report.ask(client.open_point_in_time(index=index, keep_alive="1m"))
    report.report("point in time", sorted(opened))
    pit_id, after, seen = opened["id"], None, []
    while True:
        page = await report.ask(
            client.search(
                pit={"id": pit_id, "keep_alive": "1m"},
                sort=["n", "_shard_doc"],
                search_after=after,
                size=130,
            )
        )
        if not page["hits"]["hits"]:
            break
        pit_id, after = page["pit_id"], page["hits"]["hits"][-1]["sort"]
        seen += [hit["_id"] for hit in page["hits"]["hits"]]
    report.report("pages", seen)
    await report.step("close", lambda: client.close_point_in_time(id=pit_id))
    pit = {"id": pit_id, "keep_alive": "1m"}
    await report.step("closed", lambda: client.search(pit=pit))
    await report.step("no index", lambda: client.open_point_in_time(index="none", keep_alive="1m"))


if __name__ == "__main__":
    main(story)
