"""Partial updates and failure policies of document pipelines, on the real OpenSearch."""

from __future__ import annotations

from typing import Any

import orjson

from tests.client import Client

COUNT = """def document(doc, context):
    if doc.get("bad"):
        raise ValueError("cannot")
    doc["fields"] = len([name for name in doc if name != "fields"])
    return doc
"""


async def source(client: Client, index: str, doc_id: str) -> Any:
    response = await client.get(f"/{index}/_source/{doc_id}?pipeline=_none")
    return response.data if response.status == 200 else None


async def prepared(proxy: Client, index: str, **options: Any) -> None:
    await proxy.index(index, {"1": {"a": 1, "big": 123456789012345678}})
    await proxy.define("count", "document", COUNT, **options)
    await proxy.attach(index, document="count")


def bulk(*lines: Any) -> bytes:
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


async def test_without_a_mode_only_upserts_are_run(proxy: Client, index_name: str) -> None:
    """What is created is a document; a part of one is left alone."""
    await prepared(proxy, index_name)
    url = f"/{index_name}/_update"
    assert (await proxy.post(f"{url}/1", {"doc": {"b": 2}})).data["result"] == "updated"
    assert await source(proxy, index_name, "1") == {"a": 1, "big": 123456789012345678, "b": 2}
    await proxy.post(f"{url}/2", {"doc": {"b": 2}, "upsert": {"x": 1, "y": 2}})
    assert await source(proxy, index_name, "2") == {"x": 1, "y": 2, "fields": 2}
    await proxy.post(f"{url}/3", {"doc": {"k": 2}, "doc_as_upsert": True})
    assert await source(proxy, index_name, "3") == {"k": 2, "fields": 1}
    script = {"script": {"source": "ctx._source.c = 1"}}
    scripted = await proxy.post(f"{url}/1", script)
    assert (scripted.status, "a script runs in the backend" in scripted.headers["Warning"]) == (
        200,
        True,
    )
    assert (await proxy.post(f"{url}/9", {"doc": {"b": 2}})).status == 404


async def test_the_mode_doc_runs_on_the_partial_document(proxy: Client, index_name: str) -> None:
    """The pipeline sees what the client sent, and that is merged by the backend."""
    await prepared(proxy, index_name, on_update="doc")
    await proxy.post(f"/{index_name}/_update/1", {"doc": {"b": 2, "c": 3}})
    assert (await source(proxy, index_name, "1"))["fields"] == 2
    await proxy.post(f"/{index_name}/_update/2", {"doc": {"k": 2}, "doc_as_upsert": True})
    assert await source(proxy, index_name, "2") == {"k": 2, "fields": 1}


async def test_the_mode_merge_runs_on_the_whole_document(proxy: Client, index_name: str) -> None:
    """Read, merged, run, and written back; large numbers stay."""
    await prepared(proxy, index_name, on_update="merge")
    url = f"/{index_name}/_update/1?refresh=true"
    updated = await proxy.post(url, {"doc": {"b": {"x": 1}}})
    assert (updated.status, updated.data["result"]) == (200, "updated")
    expected = {"a": 1, "big": 123456789012345678, "b": {"x": 1}, "fields": 3}
    assert await source(proxy, index_name, "1") == expected
    same = await proxy.post(url, {"doc": {"b": {"x": 1}}})
    assert same.data["result"] == "noop"
    stamp = ("_version", "_seq_no", "_primary_term")
    assert [same.data[key] for key in stamp] == [updated.data[key] for key in stamp]
    deeper = await proxy.post(url, {"doc": {"b": {"y": 2}}})
    assert deeper.data["_version"] == 3
    assert (await source(proxy, index_name, "1"))["b"] == {"x": 1, "y": 2}
    created = await proxy.post(f"/{index_name}/_update/2", {"doc": {"k": 2}, "doc_as_upsert": True})
    assert created.status == 201, created.body
    assert created.data["result"] == "created"
    assert await source(proxy, index_name, "2") == {"k": 2, "fields": 1}
    missing = await proxy.post(f"/{index_name}/_update/9", {"doc": {"b": 2}})
    assert (missing.status, missing.error["type"]) == (404, "document_missing_exception")
    stale = await proxy.post(f"{url}&if_seq_no=0&if_primary_term=1", {"doc": {"z": 2}})
    assert stale.status == 409


async def test_updates_in_a_bulk(proxy: Client, index_name: str) -> None:
    """By the same modes, each item on its own and answered as an update."""
    await prepared(proxy, index_name, on_update="merge")
    body = bulk(
        {"update": {"_id": "1"}},
        {"doc": {"b": 2}},
        {"update": {"_id": "1"}},
        {"doc": {"bad": True}},
        {"update": {"_id": "2"}},
        {"doc": {"x": 1}, "doc_as_upsert": True},
        {"update": {"_id": "9"}},
        {"doc": {"x": 1}},
        {"index": {"_id": "3"}},
        {"x": 1},
    )
    response = await proxy.post(f"/{index_name}/_bulk?refresh=true", body)
    items = response.data["items"]
    assert [next(iter(item)) for item in items] == ["update"] * 4 + ["index"]
    assert [next(iter(item.values()))["status"] for item in items] == [200, 400, 201, 404, 201]
    assert items[0]["update"]["result"] == "updated"
    assert (await source(proxy, index_name, "1"))["fields"] == 3
    assert await source(proxy, index_name, "2") == {"x": 1, "fields": 1}
    again = bulk({"update": {"_id": "2"}}, {"doc": {"x": 1}})
    same = (await proxy.post(f"/{index_name}/_bulk", again)).data
    assert same["items"][0]["update"]["result"] == "noop"
    assert same["items"][0]["update"]["_primary_term"] == 1


async def test_skip_leaves_a_failed_document_out(proxy: Client, index_name: str) -> None:
    """It is answered as a noop, and nothing is stored."""
    await prepared(proxy, index_name, on_error="skip")
    response = await proxy.put(f"/{index_name}/_doc/2", {"bad": True})
    assert (response.status, response.data["result"]) == (200, "noop")
    assert await source(proxy, index_name, "2") is None
    assert (await proxy.get("/_pipeline/count/_stats")).data["failure"] == 1


async def test_pass_stores_a_failed_document_as_it_was(proxy: Client, index_name: str) -> None:
    """With a Warning, and counted as degraded."""
    await prepared(proxy, index_name, on_error="pass")
    response = await proxy.put(f"/{index_name}/_doc/2", {"bad": True})
    assert response.status == 201
    assert "cannot" in response.headers["Warning"]
    assert await source(proxy, index_name, "2") == {"bad": True}
    assert (await proxy.get("/_pipeline/count/_stats")).data["degraded"] == 1


async def test_dead_letters_keep_what_failed_and_why(proxy: Client, index_name: str) -> None:
    """In the index the pipeline names; single writes and items of a bulk alike."""
    letters = f"{index_name}-letters"
    await prepared(proxy, index_name, on_error="dead_letter", dead_letter_index=letters)
    single = await proxy.put(f"/{index_name}/_doc/2", {"bad": True})
    assert (single.status, single.data["result"]) == (200, "noop")
    assert single.data["dead_letter"]["_index"] == letters
    body = bulk(
        {"index": {"_id": "3"}}, {"bad": True, "n": 1.0}, {"index": {"_id": "4"}}, {"good": True}
    )
    items = (await proxy.post(f"/{index_name}/_bulk", body)).data["items"]
    assert [item["index"]["result"] for item in items] == ["noop", "created"]
    await proxy.post(f"/{letters}/_refresh")
    found = (await proxy.get(f"/{letters}/_search?sort=@timestamp")).data["hits"]["hits"]
    first, second = (hit["_source"] for hit in found)
    assert (first["index"], first["id"], first["pipeline"]) == (index_name, "2", "count@1.0.0")
    assert (first["stage"], first["kind"]) == ("count", "udf_exception")
    assert "cannot" in first["reason"]
    assert (second["id"], second["document"]) == ("3", '{"bad":true,"n":1.0}')
    assert await source(proxy, index_name, "2") is None


async def test_a_dead_letter_that_cannot_be_stored_fails_its_document(
    proxy: Client, index_name: str
) -> None:
    """Nothing is lost in silence."""
    letters = f"{index_name}-letters"
    await proxy.put(f"/{letters}", {"settings": {"index.blocks.write": True}})
    await prepared(proxy, index_name, on_error="dead_letter", dead_letter_index=letters)
    single = await proxy.put(f"/{index_name}/_doc/2", {"bad": True})
    assert single.status == 403
    body = bulk({"index": {"_id": "3"}}, {"bad": True})
    items = (await proxy.post(f"/{index_name}/_bulk", body)).data["items"]
    assert items[0]["index"]["status"] == 403
