"""The story of elasticsearch-py, 8 or 9, whichever can be imported."""

from __future__ import annotations

from typing import Any

import elasticsearch
from elasticsearch import helpers

from tests.clients.story import Teller, documents, main


async def story(tell: Teller, url: str, index: str) -> None:
    """Every step of the client and its helpers on one index, which is made and deleted."""
    make = elasticsearch.AsyncElasticsearch if tell.asynchronous else elasticsearch.Elasticsearch
    client: Any = make(url, http_compress=True)
    mappings = {"properties": {"n": {"type": "long"}, "title": {"type": "text"}}}
    one_shard = {"number_of_shards": 1, "number_of_replicas": 0}
    try:
        await tell.step("ping", lambda: client.ping())
        await tell.step(
            "create",
            lambda: client.indices.create(index=index, mappings=mappings, settings=one_shard),
        )
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
    match = {"match": {"title": "shoe"}}
    found = await tell.step(
        "search", lambda: client.search(index=index, query=match, sort=["n"], size=3)
    )
    tell.tell("media type", found.meta.mimetype)
    tell.tell("product", found.meta.headers.get("x-elastic-product"))
    await tell.step("count", lambda: client.count(index=index, query={"term": {"n": 5}}))
    searches = [{"index": index}, {"size": 1, "sort": ["n"]}, {"index": "none"}, {}]
    answer = await tell.ask(client.msearch(searches=searches))
    tell.tell("msearch", [part["status"] for part in answer["responses"]])
    aggs = {"sum": {"sum": {"field": "n"}}}
    await tell.step("aggregation", lambda: client.search(index=index, aggs=aggs, size=0))
    scan = helpers.async_scan if tell.asynchronous else helpers.scan
    hits = await tell.every(scan(client, index=index, query={"query": match}, size=120))
    tell.tell("scan", sorted(int(hit["_id"]) for hit in hits))
    wrong: dict[str, Any] = {"nonsense": {}}
    await tell.step("bad query", lambda: client.search(index=index, query=wrong))


async def documents_by_id(tell: Teller, client: Any, index: str) -> None:
    """One document's life, and errors on the way."""
    key: dict[str, Any] = {"index": index, "id": "a/b ü"}
    await tell.step("index", lambda: client.index(**key, document={"n": -1}, refresh=True))
    await tell.step("get", lambda: client.get(**key))
    await tell.step("exists", lambda: client.exists(**key))
    await tell.step("update", lambda: client.update(**key, doc={"n": -2}))
    await tell.step("conflict", lambda: client.create(**key, document={}))
    await tell.step("mget", lambda: client.mget(index=index, ids=["1", "none"]))
    await tell.step("source", lambda: client.get_source(index=index, id="1"))
    await tell.step("delete document", lambda: client.delete(**key, refresh=True))
    await tell.step("missing", lambda: client.get(**key))


async def point_in_time(tell: Teller, client: Any, index: str) -> None:
    """All documents in pages; closed, it is gone."""
    opened = await tell.ask(client.open_point_in_time(index=index, keep_alive="1m"))
    tell.tell("point in time", sorted(opened))
    pit_id, after, seen = opened["id"], None, []
    while True:
        page = await tell.ask(
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
    tell.tell("pages", seen)
    await tell.step("close", lambda: client.close_point_in_time(id=pit_id))
    pit = {"id": pit_id, "keep_alive": "1m"}
    await tell.step("closed", lambda: client.search(pit=pit))
    await tell.step("no index", lambda: client.open_point_in_time(index="none", keep_alive="1m"))


if __name__ == "__main__":
    main(story)
