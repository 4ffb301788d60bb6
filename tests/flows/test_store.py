"""Definitions in the backend: they survive a restart, reach other proxies, and are guarded."""

from __future__ import annotations

import asyncio

import pytest

from tests.client import Client
from tests.conftest import StartProxy, connect

ONE = "def query(request, context):\n    return {**request, 'size': 1}\n"


async def test_definitions_survive_a_restart(start_proxy: StartProxy, index_name: str) -> None:
    """A new proxy has pipelines, UDFs and attachments from its first request on."""
    async with connect(await start_proxy()) as first:
        await first.index(index_name, {"1": {}, "2": {}})
        await first.define("one", "query", ONE)
        await first.attach(index_name, query="one")
    async with connect(await start_proxy()) as second:
        assert len((await second.get(f"/{index_name}/_search")).ids) == 1
        assert (await second.get("/_pipeline/one")).data["revision"] == 1
        assert (await second.get("/_udf/one")).data["source"] == ONE


async def test_another_proxy_follows_within_its_refresh(
    start_proxy: StartProxy, index_name: str
) -> None:
    """What one proxy writes is in force in another after a look at the store, deletions too."""
    fast = {"store_refresh": 0.1}
    async with (
        connect(await start_proxy(**fast)) as writer,
        connect(await start_proxy(**fast)) as reader,
    ):
        await writer.index(index_name, {"1": {}, "2": {}})
        await writer.define("one", "query", ONE)
        await writer.attach(index_name, query="one")
        await until(reader, f"/{index_name}/_search", 1)
        await writer.attach(index_name, query=None)
        await until(reader, f"/{index_name}/_search", 2)
        await writer.delete("/_pipeline/one")
        await reader.get_until("/_pipeline/one", lambda response: response.status == 404)


async def until(client: Client, target: str, hits: int) -> None:
    """Ask until the response has so many hits; the test's own time limit ends it otherwise."""
    await client.get_until(target, lambda response: len(response.ids) == hits)


async def test_an_upload_that_is_being_tried_holds_nobody_up(start_proxy: StartProxy) -> None:
    """While it does not end, others write, and are answered."""
    async with connect(await start_proxy(sandbox_load_timeout=20)) as proxy:
        await proxy.put_udf("one", ONE)
        headers = {"Content-Type": "text/x-python"}
        async with asyncio.TaskGroup() as group:
            endless = group.create_task(
                proxy.call("PUT", "/_udf/endless", b"while True: pass", headers)
            )
            await asyncio.sleep(0)
            await proxy.put_pipeline("one", "query", "one")
            await proxy.put_udf("two", ONE)
            assert (await proxy.get("/_pipeline")).data["count"] == 1
            assert not endless.done()
        assert endless.result().status == 400


FORBIDDEN: list[tuple[str, str, object]] = [
    ("GET", "/.querymill/_search", None),
    ("GET", "/%2Equerymill/_search", None),
    ("GET", "/other,.querymill/_search", None),
    ("GET", "/_search?index=.querymill", None),
    ("PUT", "/.querymill/_doc/udf:x@1", {}),
    ("DELETE", "/.querymill", None),
    ("PUT", "/.querymill/_settings", {"index.hidden": False}),
    ("PUT", "/.querymill/_alias/open", None),
    ("POST", "/.querymill/_clone/copy", None),
    ("POST", "/.querymill/_update_by_query", None),
    ("POST", "/_bulk", b'{"index":{"_index":".querymill"}}\n{}\n'),
    ("POST", "/_bulk", b'{"index":{"_index":"\\u002equerymill"}}\n{}\n'),
    ("POST", "/_msearch", b'{"index":".querymill"}\n{}\n'),
    ("POST", "/_mget", {"docs": [{"_index": ".querymill", "_id": "x"}]}),
    ("POST", "/_reindex", {"source": {"index": ".querymill"}, "dest": {"index": "copy"}}),
    ("POST", "/_aliases", {"actions": [{"add": {"index": ".querymill", "alias": "x"}}]}),
    ("PUT", "/_alias/x", {"index": ".querymill", "alias": "x"}),
    ("POST", "/_data_stream/_modify", {"actions": [{"add_backing_index": {"index": ".query*"}}]}),
    # Date math, whose text can be quoted or hidden in a date
    ("GET", "/%3C.querymill%3E/_search", None),
    ("GET", "/%3C.query%5Cmill%3E/_count", None),
    ("GET", "/a,%3C.%7Bnow%2Fd%7B'querymill'%7D%7D%3E/_search", None),
    ("GET", "/%3C%7Bnow%2Fd%7B'.querymill'%7D%7D%3E/_search", None),
    ("GET", "/_search?index=%3C.querymill%3E", None),
    ("GET", "/_cat/count/%3C.querymill%3E", None),
    ("PUT", "/%3C.querymill%3E/_doc/x", {}),
    ("PUT", "/%3C.querymill%3E/_alias/x", None),
    ("DELETE", "/%3C.querymill%3E", None),
    ("POST", "/_bulk", b'{"index":{"_index":"<.querymill>"}}\n{}\n'),
    ("POST", "/_bulk", b'{"index":{"_index":"<.query\\\\mill>"}}\n{}\n'),
    ("POST", "/_msearch", b'{"index":"<.querymill>"}\n{}\n'),
    ("POST", "/_mget", {"docs": [{"_index": "<.query\\mill>", "_id": "x"}]}),
]


@pytest.mark.parametrize("with_document_pipelines", [False, True])
async def test_the_data_plane_cannot_reach_the_store(
    proxy: Client, with_document_pipelines: bool
) -> None:
    """Whatever spelling is used, the response is a 403 that says where to go instead."""
    if with_document_pipelines:
        source = "def document(doc, context):\n    return doc\n"
        await proxy.define("same", "document", source)
    for method, target, body in FORBIDDEN:
        response = await proxy.call(method, target, body)
        assert response.status == 403, (method, target, response.body)
        assert response.error["type"] == "security_exception"
        assert "/_pipeline and /_udf" in response.error["reason"]


@pytest.mark.parametrize("sign", [b".querymill", b"expandWildcards", b"<.query{a}>"])
async def test_a_body_in_a_format_that_is_not_read_cannot_name_the_store(
    proxy: Client, sign: bytes
) -> None:
    """The backend would read it; whether the name is in it, nobody here knows."""
    smile = b":)\n\x01\xfa\x84index\x49" + sign + b"\xfb\xff:)\n\x01\xfa\xfb\xff"
    headers = {"Content-Type": "application/smile"}
    assert (await proxy.call("POST", "/_msearch", smile, headers)).status == 403


async def test_ordinary_wildcards_do_not_meet_the_guard(proxy: Client, index_name: str) -> None:
    """Hidden indices are not among them, so nothing has to be refused."""
    await proxy.define("one", "query", ONE)
    await proxy.index(index_name, {"1": {"text": "about querymill \u002e"}})
    for target in ("/_search", "/*/_search", "/_all/_count", "/_settings?expand_wildcards=all"):
        assert (await proxy.get(target)).status == 200
    hits = (await proxy.get("/*/_search?size=100")).data["hits"]["hits"]
    assert all(hit["_index"] != ".querymill" for hit in hits)
    for target in ("/.*/_mapping", f"/{index_name}/_search?q=%3C.querymill%3E"):
        assert (await proxy.get(target)).status == 200, target
    for name in ("%3Cno-such-%7Bnow%2Fd%7D%3E", f"{index_name}/_doc/%3C.querymill%3E"):
        assert (await proxy.get(f"/{name}")).status == 404, name
    lines = b'{"index":"_all"}\n{}\n{"index":"*","expand_wildcards":"open"}\n{}\n'
    for response in (await proxy.post("/_msearch", lines)).data["responses"]:
        assert all(hit["_index"] != ".querymill" for hit in response["hits"]["hits"])
    body = b'{"index":{"_index":"%b"}}\n{"text":".querymill"}\n' % index_name.encode()
    assert (await proxy.post("/_bulk", body)).data["errors"] is False
