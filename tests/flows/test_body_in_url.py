"""A body in the URL (``?source=``) is a body: untouched where none reads it, else read as one."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
import orjson
import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client, Response
from tests.conftest import StartOn, connect

MINE = "def query(r, c):\n    return {**r, 'query': {'term': {'owner': 'me'}}}\n"
SAME = "def query(r, c):\n    return r\n"
MARK = "def result(r, c):\n    return {**r, 'marked': True}\n"
DOCUMENTS = {"1": {"owner": "me"}, "2": {"owner": "you"}}
QUERY = '{"query":{"match_all":{}}}'
ALL = '{"size":5,"query":{"match_all":{}}}'
YAML = "size: 5\nquery:\n  match_all: {}\n"
LINES = '{}\n{"size":5,"query":{"match_all":{}}}\n'
JSON = "application/json"
IN_YAML = "application/yaml"
KINDS = (JSON, IN_YAML, "application/cbor", "application/xml", "json", "", None)
# Calls on an index that the backends take a body in the URL for, with one.
CALLS = (
    ("GET", "_search", ALL),
    ("POST", "_search", ALL),
    ("GET", "_count", QUERY),
    ("POST", "_count", QUERY),
    ("GET", "_explain/2", QUERY),
    ("GET", "_validate/query", QUERY),
    ("GET", "_msearch", LINES),
    ("POST", "_msearch", LINES),
    ("GET", "_mget", '{"ids":["1","2"]}'),
    ("GET", "_search/template", '{"source":{"size":1}}'),
    ("POST", "_delete_by_query", '{"query":{"term":{"owner":"nobody"}}}'),
    ("POST", "_bulk", '{"index":{}}\n{"a":1}\n'),
    ("PUT", "_doc/7", '{"a":1}'),
    ("POST", "_update/1", '{"doc":{"a":1}}'),
    ("PUT", "_settings", '{"index.refresh_interval":"1s"}'),
)


class Both(NamedTuple):
    """A client of a backend, and one of a proxy in front of it, with a final pipeline elsewhere."""

    direct: Client
    proxied: Client


@pytest.fixture
async def both_guarded(
    each_backend: EmbeddedCluster, start_on: StartOn, index_name: str
) -> AsyncIterator[Both]:
    async with (
        connect(await start_on(each_backend)) as proxied,
        aiohttp.ClientSession(each_backend.url) as session,
    ):
        mapping = {"mappings": {"properties": {"owner": {"type": "keyword"}}}}
        await proxied.put(f"/{index_name}", mapping)
        await proxied.index(index_name, DOCUMENTS)
        await proxied.put(f"/{index_name}-guarded", mapping)
        await proxied.index(f"{index_name}-guarded", DOCUMENTS)
        for name, phase, source in (
            ("mine", "query", MINE),
            ("same", "query", SAME),
            ("mark", "result", MARK),
        ):
            await proxied.define(name, phase, source)
        final = {"index.query.final_pipeline": "mine"}
        assert (await proxied.put(f"/{index_name}-guarded/_settings", final)).status == 200
        yield Both(Client(session), proxied)


def in_url(body: str, kind: str | None = JSON) -> str:
    """A body as parameters."""
    return urlencode({"source": body} | ({} if kind is None else {"source_content_type": kind}))


def plain(response: Response) -> tuple[int, Any]:
    """The status of a response, and its JSON less the times in it."""
    data = orjson.loads(response.body)
    for part in (data, *data.get("responses", ())):
        part.pop("took", None)
    return response.status, data


@pytest.mark.parametrize(("method", "call", "body"), CALLS)
async def test_where_no_pipeline_reads_it_goes_on(
    both_guarded: Both, index_name: str, method: str, call: str, body: str
) -> None:
    """Whatever is attached elsewhere, and whatever kind of body it is said to be."""
    for kind in KINDS:
        target = f"/{index_name}/{call}?{in_url(body, kind)}"
        expected, response = [plain(await side.call(method, target)) for side in both_guarded]
        assert response == expected, kind
    target = f"/{index_name}/{call}?{in_url('')}"
    expected, response = [plain(await side.call(method, target)) for side in both_guarded]
    assert response == expected


async def test_pipelines_run_on_it(both_guarded: Both, index_name: str) -> None:
    """On one in JSON or YAML, in every call that a query pipeline runs on; its response is read."""
    proxied = both_guarded.proxied
    await proxied.attach(index_name, query="mine", result="mark")
    for body, kind in ((ALL, JSON), (ALL, "Application/JSON;charset=utf-8"), (YAML, IN_YAML)):
        for method in ("GET", "POST"):
            found = await proxied.call(method, f"/{index_name}/_search?{in_url(body, kind)}")
            assert (found.ids, found.data["marked"]) == (["1"], True), (method, kind)
    counted = await proxied.get(f"/{index_name}/_count?{in_url('{}')}")
    assert counted.data["count"] == 1
    explained = await proxied.get(f"/{index_name}/_explain/2?{in_url(QUERY)}")
    assert explained.data["matched"] is False
    for method in ("GET", "POST"):
        several = await proxied.call(method, f"/{index_name}/_msearch?{in_url(LINES)}")
        (only,) = several.data["responses"]
        assert [hit["_id"] for hit in only["hits"]["hits"]] == ["1"]
        assert only["marked"] is True
    # The media type of a request is not that of its body in the URL, and that of its response.
    found = await proxied.call(
        "GET", f"/{index_name}/_search?{in_url(ALL)}", headers={"Content-Type": "application/yaml"}
    )
    assert found.headers["Content-Type"].startswith("application/yaml")
    assert b"marked: true" in found.body


async def test_what_the_backend_refuses_it_refuses(both_guarded: Both, index_name: str) -> None:
    """A body beside it, one without a type or in none that is known, its type alone, or nothing."""
    await both_guarded.proxied.attach(index_name, query="mine", result="mark")
    for call, body in (
        ("_search", ALL),
        ("_count", QUERY),
        ("_msearch", LINES),
    ):
        for target, sent in (
            (f"{call}?{in_url(body)}", body.encode()),
            (f"{call}?source_content_type={JSON}", body.encode()),
            (f"{call}?{in_url(body, None)}", None),
            (f"{call}?{in_url(body, 'application/xml')}", None),
            (f"{call}?{in_url('{')}", None),
            (f"{call}?{in_url('')}", None),
        ):
            expected, response = [
                plain(await side.post(f"/{index_name}/{target}", sent)) for side in both_guarded
            ]
            assert response == expected, target


async def test_a_pipeline_that_cannot_be_given_it_is_reported(
    both_guarded: Both, index_name: str
) -> None:
    """With a Warning; the response is the backend's. Where it is final, the request is refused."""
    await both_guarded.proxied.attach(index_name, query="mine")
    for source in (in_url(ALL, None), in_url(ALL, "application/xml"), in_url("")):
        response = await both_guarded.proxied.get(f"/{index_name}/_search?{source}")
        assert "did not run" in response.headers["Warning"]
        refused = await both_guarded.proxied.get(f"/{index_name}-guarded/_count?{source}")
        assert refused.status == (400 if source == in_url("") else 406), source
        assert "[mine] always runs here" in refused.error["reason"]


async def test_a_body_of_no_bytes_is_none(both_guarded: Both, index_name: str) -> None:
    """What the backend reads beside an empty body, chunked or packed, is what pipelines read."""
    guarded = f"/{index_name}-guarded"

    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    for call, body in (("_search", ALL), ("_msearch", LINES)):
        for data, fields in (
            (nothing(), {}),
            (gzip.compress(b""), {"Content-Encoding": "gzip"}),
        ):
            async with both_guarded.proxied.session.post(
                f"{guarded}/{call}?{in_url(body)}",
                data=data,
                headers={"Content-Type": JSON, **fields},
            ) as response:
                found = await response.json()
            (only,) = found.get("responses", [found])
            assert [hit["_id"] for hit in only["hits"]["hits"]] == ["1"], (call, fields)
    store = in_url('{"index":".querymill"}\n{}\n')
    async with both_guarded.proxied.session.post(
        f"/_msearch?{store}", data=nothing(), headers={"Content-Type": JSON}
    ) as response:
        assert response.status == 403


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/_msearch", '{"index":".querymill"}\n{}\n'),
        ("/_mget", '{"docs":[{"_index":".querymill","_id":"1"}]}'),
        ("/_mtermvectors", '{"docs":[{"_index":".querymill","_id":"1"}]}'),
        ("/_bulk", '{"index":{"_index":".querymill"}}\n{}\n'),
        ("/_search", '{"query":{"terms":{"a":{"index":".querymill","id":"1","path":"a"}}}}'),
    ],
)
async def test_it_cannot_name_the_store(both_guarded: Both, target: str, body: str) -> None:
    """As no body can."""
    for kind in (JSON, "application/x-ndjson", "application/yaml", None):
        response = await both_guarded.proxied.post(f"{target}?{in_url(body, kind)}")
        # Lines are no YAML, and have to be of a known type.
        unread = {"application/yaml": 400, None: 406} if target == "/_msearch" else {}
        assert response.status == unread.get(kind, 403), (kind, response.body)


async def test_a_format_in_the_url_counts_before_that_of_the_request(both_guarded: Both) -> None:
    """What spells the store's name in YAML is seen, whatever body the fields speak of."""
    lookup = 'query: {terms: {a: {index: "\\x2equerymil\\x6c", id: "1", path: a}}}'
    for fields in ({}, {"Content-Type": JSON}):
        target = f"/_search?{in_url(lookup, IN_YAML)}"
        response = await both_guarded.proxied.call("GET", target, None, fields)
        assert response.status == 403, (fields, response.body)


async def test_a_line_is_the_clients_own(both_guarded: Both, index_name: str) -> None:
    """Pipelines that change nothing leave the body where it was, less what is ours in the URL."""
    target = f"/{index_name}/_search?a%20b&pretty&source={quote(ALL)}&source_content_type={JSON}"
    expected = plain(await both_guarded.direct.get(target))
    assert expected[0] == 400
    assert plain(await both_guarded.proxied.get(f"{target}&pipeline=same")) == expected
