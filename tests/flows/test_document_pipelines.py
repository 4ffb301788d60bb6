"""Document pipelines on the real OpenSearch: what is stored, what is refused, nothing by half."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest

from tests.client import Client

ENRICH = """def document(doc, context):
    if doc.get("bad"):
        raise ValueError("cannot enrich this")
    if doc.get("secret"):
        reject("secrets are not stored here")
    if doc.get("skip"):
        drop()
    doc["words"] = len(doc["title"].split())
    return doc
"""


def bulk(*lines: Any) -> bytes:
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


async def stored(client: Client, index: str) -> dict[str, Any]:
    await client.post(f"/{index}/_refresh")
    response = await client.get(f"/{index}/_search?size=100")
    if response.status == 404:
        return {}
    return {hit["_id"]: hit["_source"] for hit in response.data["hits"]["hits"]}


async def attached(proxy: Client, index: str) -> None:
    await proxy.put(f"/{index}")
    await proxy.define("enrich", "document", ENRICH)
    await proxy.attach(index, document="enrich")


async def test_what_is_stored_is_enriched(proxy: Client, index_name: str) -> None:
    """All ways to write one document run the pipeline; the response is the backend's own."""
    await attached(proxy, index_name)
    put = await proxy.put(f"/{index_name}/_doc/1", {"title": "a b"})
    assert (put.status, put.data["result"], put.data["_id"]) == (201, "created", "1")
    assert put.headers["Querymill-Pipelines"] == "enrich@1.0.0#1"
    post = await proxy.post(f"/{index_name}/_doc", {"title": "a b c"})
    assert post.status == 201
    assert (await proxy.put(f"/{index_name}/_create/2", {"title": "a"})).status == 201
    assert (await proxy.put(f"/{index_name}/_create/2", {"title": "a"})).status == 409
    assert (await proxy.put(f"/{index_name}/_doc/3?op_type=create", {"title": ""})).status == 201
    found = await stored(proxy, index_name)
    assert sorted(document["words"] for document in found.values()) == [0, 1, 2, 3]
    assert found[post.data["_id"]] == {"title": "a b c", "words": 3}


async def test_a_first_style_udf_enriches(proxy: Client, index_name: str) -> None:
    """`get_field_string` reads the document's fields, and what is returned replaces it."""
    source = (
        "# @udf: name=upper\n# @udf: version=2.1.0\n# @udf: category=document_pipeline\n"
        "import json\n"
        "def udf_main():\n"
        "    return json.dumps({'title': get_field_string('title').upper(),"
        " 'maker': get_field_string('maker.name')})\n"
    )
    await proxy.define("upper", "document", source)
    document = {"title": "lamp", "maker": {"name": "Acme"}}
    response = await proxy.put(f"/{index_name}/_doc/1?pipeline=upper", document)
    assert response.headers["Querymill-Pipelines"] == "upper@1.0.0#1"
    assert await stored(proxy, index_name) == {"1": {"title": "LAMP", "maker": "Acme"}}


async def test_a_rejected_document_is_not_stored(proxy: Client, index_name: str) -> None:
    """The client gets the UDF's status and reason."""
    await attached(proxy, index_name)
    response = await proxy.put(f"/{index_name}/_doc/1", {"title": "x", "secret": True})
    assert response.status == 400
    assert response.error["type"] == "pipeline_rejected_exception"
    assert response.error["reason"] == (
        "pipeline [enrich] stage [enrich]: secrets are not stored here"
    )
    assert await stored(proxy, index_name) == {}
    assert (await proxy.get("/_pipeline/enrich/_stats")).data["rejected"] == 1


async def test_a_failed_document_is_not_stored(proxy: Client, index_name: str) -> None:
    """A stage that fails is a 500 that says which, and nothing is indexed."""
    await attached(proxy, index_name)
    response = await proxy.put(f"/{index_name}/_doc/1", {"title": "x", "bad": True})
    assert response.status == 500
    assert response.error["type"] == "pipeline_execution_exception"
    assert "cannot enrich this" in response.error["reason"]
    assert await stored(proxy, index_name) == {}
    assert (await proxy.get("/_pipeline/enrich/_stats")).data["failure"] == 1


async def test_a_dropped_document_is_a_noop(proxy: Client, index_name: str) -> None:
    """It is left out without an error, as the backend answers for its own pipelines."""
    await attached(proxy, index_name)
    response = await proxy.put(f"/{index_name}/_doc/1", {"title": "x", "skip": True})
    assert (response.status, response.data["result"], response.data["_id"]) == (200, "noop", "1")
    assert await stored(proxy, index_name) == {}
    assert (await proxy.get("/_pipeline/enrich/_stats")).data["dropped"] == 1


@pytest.mark.parametrize(
    ("asked", "fields", "written"),
    [
        ("?filter_path=result", {}, b'{"result":"noop"}'),
        ("?filter_path=result&format=yaml", {}, b'---\nresult: "noop"\n'),
        ("?filter_path=result", {"Accept": "application/yaml"}, b'---\nresult: "noop"\n'),
        ("?filter_path=result&pretty", {}, b'{\n  "result" : "noop"\n}\n'),
        ("?filter_path=result&format=smile", {}, b'{"result":"noop"}'),
    ],
)
async def test_a_dropped_document_is_answered_in_the_form_that_is_asked_for(
    proxy: Client, index_name: str, asked: str, fields: dict[str, str], written: bytes
) -> None:
    """Parts, format and white space are those of any other write, an update's too."""
    await attached(proxy, index_name)
    document = {"title": "x", "skip": True}
    for method, target, body in (
        ("PUT", f"/{index_name}/_doc/1", document),
        ("POST", f"/{index_name}/_update/1", {"doc": {}, "upsert": document}),
    ):
        response = await proxy.call(method, target + asked, body, fields)
        assert (response.status, response.body) == (200, written)
        assert response.headers["Content-Type"].startswith(
            "application/yaml" if b"---" in written else "application/json"
        )


async def test_a_bulk_with_bad_items_indexes_the_others(proxy: Client, index_name: str) -> None:
    """Order and count of the response are the request's; each bad item has its own error."""
    await attached(proxy, index_name)
    await proxy.put(f"/{index_name}/_doc/9", {"title": "to delete"})
    body = bulk(
        {"index": {"_id": "1"}},
        {"title": "one"},
        {"index": {"_id": "2"}},
        {"title": "two", "bad": True},
        {"create": {"_id": "3"}},
        {"title": "three 3"},
        {"delete": {"_id": "9"}},
        {"index": {"_id": "4"}},
        {"title": "four", "secret": True},
        {"index": {"_id": "5"}},
        {"title": "five", "skip": True},
        {"update": {"_id": "1"}},
        {"doc": {"more": 1}},
        {"index": {}},
        {"title": "without an id"},
    )
    response = await proxy.post(f"/{index_name}/_bulk?refresh=true", body)
    assert response.status == 200
    items = [next(iter(item.items())) for item in response.data["items"]]
    assert [action for action, _ in items] == [
        "index",
        "index",
        "create",
        "delete",
        "index",
        "index",
        "update",
        "index",
    ]
    assert [item["status"] for _, item in items] == [201, 400, 201, 200, 400, 200, 200, 201]
    assert [item.get("_id") for _, item in items][:7] == ["1", "2", "3", "9", "4", "5", "1"]
    assert items[1][1]["error"]["type"] == "pipeline_execution_exception"
    assert items[4][1]["error"]["type"] == "pipeline_rejected_exception"
    assert items[5][1]["result"] == "noop"
    assert response.data["errors"] is True
    found = await stored(proxy, index_name)
    auto = items[7][1]["_id"]
    assert found == {
        "1": {"title": "one", "words": 1, "more": 1},
        "3": {"title": "three 3", "words": 2},
        auto: {"title": "without an id", "words": 3},
    }
    stats = (await proxy.get("/_pipeline/enrich/_stats")).data
    assert (stats["failure"], stats["rejected"], stats["dropped"]) == (1, 1, 1)


async def test_a_bulk_without_any_good_item_never_reaches_the_backend(
    proxy: Client, index_name: str
) -> None:
    """All items are answered by the proxy, in the bulk's own form."""
    await attached(proxy, index_name)
    body = bulk(
        {"index": {"_id": "1"}},
        {"title": "one", "bad": True},
        {"index": {"_id": "2"}},
        {"title": "x", "skip": True},
    )
    response = await proxy.post(f"/{index_name}/_bulk", body)
    assert [item["index"]["status"] for item in response.data["items"]] == [400, 200]
    assert (response.data["errors"], response.data["took"]) == (True, 0)
    assert await stored(proxy, index_name) == {}


async def test_bulk_items_have_the_pipelines_of_their_own_index(
    proxy: Client, index_name: str
) -> None:
    """The index of an item decides, and an item can name a pipeline itself."""
    await attached(proxy, index_name)
    other = f"{index_name}-other"
    body = bulk(
        {"index": {"_index": index_name, "_id": "1"}},
        {"title": "a"},
        {"index": {"_index": other, "_id": "2"}},
        {"title": "b"},
        {"index": {"_index": other, "_id": "3", "pipeline": "enrich"}},
        {"title": "c"},
        {"index": {"_index": index_name, "_id": "4", "pipeline": "_none"}},
        {"title": "d"},
        {"index": {"_index": other, "_id": "5", "pipeline": "of-the-backend"}},
        {"title": "e"},
    )
    response = await proxy.post("/_bulk", gzip.compress(body), **{"Content-Encoding": "gzip"})
    statuses = [item["index"]["status"] for item in response.data["items"]]
    assert statuses == [201, 201, 201, 201, 400]
    assert await stored(proxy, index_name) == {
        "1": {"title": "a", "words": 1},
        "4": {"title": "d"},
    }
    assert await stored(proxy, other) == {"2": {"title": "b"}, "3": {"title": "c", "words": 1}}


async def test_unchanged_items_keep_their_bytes(proxy: Client, index_name: str) -> None:
    """Numbers and spacing of a document that no stage changed are stored as they came."""
    await proxy.put(f"/{index_name}", {"mappings": {"dynamic": False}})
    await proxy.define("same", "document", "def document(doc, context):\n    return doc\n")
    body = b'{"index":{"_id":"1"}}\r\n{"n": 1.0,  "big": 123456789012345678901234567890}\r\n'
    response = await proxy.post(f"/{index_name}/_bulk?pipeline=same&refresh=true", body)
    assert response.data["errors"] is False, response.body
    found = await proxy.get(f"/{index_name}/_doc/1")
    assert b'{"n": 1.0,  "big": 123456789012345678901234567890}' in found.body


async def test_an_ingest_pipeline_of_the_backend_is_left_to_it(
    proxy: Client, index_name: str
) -> None:
    """Names of ours are taken out of `pipeline`, any other goes on, and both run."""
    await proxy.put(
        "/_ingest/pipeline/theirs",
        {"processors": [{"set": {"field": "theirs", "value": "{{words}}"}}]},
    )
    await proxy.define("enrich", "document", ENRICH)
    await proxy.put(f"/{index_name}/_doc/1?pipeline=theirs", {"title": "a b"})
    await proxy.put(f"/{index_name}/_doc/2?pipeline=enrich,theirs", {"title": "a b"})
    found = await stored(proxy, index_name)
    assert found["1"] == {"title": "a b", "theirs": ""}
    assert found["2"] == {"title": "a b", "words": 2, "theirs": "2"}


async def test_bad_bodies_are_refused_without_half_a_write(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Broken JSON, wrong actions and wrong types are the backend's to refuse, and it does."""
    await attached(proxy, index_name)
    url = f"/{index_name}/_bulk"
    for body, reason in [
        (b'{"index":{}}\n{"title":"x"}', "must be terminated by a newline"),
        (b'{"index":{}}\n{"title":"x"}\n{"index":\n{}\n', "line 3: the action cannot be read"),
        (b'{"title":"x"}\n{}\n', "line 1: unknown action [title]"),
        (b'{"index":[]}\n{}\n', "line 1: what [index] holds must be an object"),
    ]:
        response, wanted = await proxy.post(url, body), await direct.post(url, body)
        assert (response.status, response.data) == (400, wanted.data)
        assert reason in response.headers["Warning"]
    assert (await proxy.post(url, b'{"index":{}}\n')).status == 400
    item = await proxy.post(url, b'{"index":{"_id":"1"}}\n{"title":\n{"delete":{"_id":"2"}}\n')
    assert [next(iter(i.values()))["status"] for i in item.data["items"]] == [400, 404]
    assert "the document in line 2 is not valid JSON" in item.headers["Warning"]
    for body in (b"[]", b"{", b"", b'{"a":' * 100_000):
        response = await proxy.put(f"/{index_name}/_doc/1", body)
        assert response.status == 400, response.body
    wrong = await proxy.put(f"/{index_name}/_doc/1?pipeline=nothing-like-it", {"title": "x"})
    assert wrong.status == 400
    assert await stored(proxy, index_name) == {}


async def test_a_query_pipeline_cannot_be_named_on_a_write(proxy: Client, index_name: str) -> None:
    """A pipeline of the wrong type is a 400, not silently left out."""
    await proxy.define("q", "query", "def query(request, context):\n    return request\n")
    response = await proxy.put(f"/{index_name}/_doc/1?pipeline=q", {"title": "x"})
    assert response.status == 400
    assert "is a query pipeline; a write takes document pipelines" in response.error["reason"]
