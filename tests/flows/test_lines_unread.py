"""Bulks and msearches, or lines of them, that are not read here: what the backend says holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp
import orjson
import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client, Response
from tests.conftest import StartOn, connect

STAMP = "def document(d, c):\n    return {**d, 'stamped': True}\n"
MINE = "def query(r, c):\n    return {**r, 'query': {'term': {'owner': 'me'}}}\n"
LINES = {"Content-Type": "application/x-ndjson"}
# Actions that both backends take, with the id that they store the document under.
TAKEN = (
    b'{"index":{"_index":"I","_id":"\\ud83d"}}',
    b'{"index":{"_index":"I","_id":1e400}}',
    b'{"index":{"_index":"I","_id":"o","routing":"\\ud83d"}}',
    b'{"create":{"_index":"I","routing":-1E+400}}',
)
# Those that OpenSearch alone takes: it reads no further than it needs.
TAKEN_BY_OPENSEARCH = (
    b'{"index":{"_index":"I","_id":"o"},"index":{"_index":"I","_id":"p"}}',
    b'{"index":{"_index":"I","_id":"o"},"x":1e400}',
    b'{"index":{"_index":"I","_id":"o"}',
)
# Actions for which both refuse the whole bulk.
REFUSED = (
    b'{"index":{"_index":"I","_id":"1","_id":"2"}}',
    b'{"index":{"_index":"I","_id":NaN}}',
    b'{"index":{"_index":"I","_id":[1]}}',
    b'{"index":{"_index":"I","_id":"\xff"}}',
    b'{"zz":{"_index":"I"}}',
    b'{"index":null}',
    b"[]",
)
# Headers of searches that both take.
HEADERS = (
    b'{"index":"I","preference":"\\ud83d"}',
    b'{"index":"I","routing":1e400}',
    b'{"index":["I","\\ud83d"],"ignore_unavailable":true}',
)
REFUSED_HEADERS = (
    b'{"index":"I","index":"I"}',
    b'{"index":"I","routing":01}',
    b'{"index":"I","preference":"\xff"}',
    b'{"index":"I"',
    b"x",
)


class Both(NamedTuple):
    """A client of a backend, one of a proxy in front of it, and whether that is OpenSearch."""

    direct: Client
    proxied: Client
    on_opensearch: bool


@pytest.fixture
async def both(
    each_backend: EmbeddedCluster, start_on: StartOn, index_name: str
) -> AsyncIterator[Both]:
    """Pipelines attached to one index and final on another, neither on a third."""
    async with (
        connect(await start_on(each_backend)) as proxied,
        aiohttp.ClientSession(each_backend.url) as session,
    ):
        mapping = {"mappings": {"properties": {"owner": {"type": "keyword"}}}}
        for index in (index_name, f"{index_name}-p", f"{index_name}-f"):
            await proxied.put(f"/{index}", mapping)
            await proxied.index(index, {"1": {"owner": "me"}, "2": {"owner": "you"}})
        await proxied.define("stamp", "document", STAMP)
        await proxied.define("mine", "query", MINE)
        await proxied.attach(f"{index_name}-p", document="stamp", query="mine")
        finals = {"index.document.final_pipeline": "stamp", "index.query.final_pipeline": "mine"}
        assert (await proxied.put(f"/{index_name}-f/_settings", finals)).status == 200
        on_opensearch = each_backend.options.distribution == "opensearch"
        yield Both(Client(session), proxied, on_opensearch)


def actions(both: Both) -> tuple[bytes, ...]:
    return TAKEN + (TAKEN_BY_OPENSEARCH if both.on_opensearch else ())


def on(index: str, line: bytes) -> bytes:
    return line.replace(b'"I"', b'"%b"' % index.encode())


def items_of(response: Response) -> list[Any]:
    """The items of a response, in which an id may be half a surrogate pair."""
    return list(json.loads(response.body)["items"])


def statuses(response: Response) -> list[int]:
    return [next(iter(item.values()))["status"] for item in items_of(response)]


async def stored(client: Client, index: str) -> list[dict[str, Any]]:
    """The documents with a member `a`, by that."""
    search = {"query": {"exists": {"field": "a"}}, "size": 100}
    found = await client.post(f"/{index}/_search", search)
    sources = [hit["_source"] for hit in found.data["hits"]["hits"]]
    return sorted(sources, key=lambda source: int(source["a"]))


async def test_an_action_that_is_not_read_is_left_alone(both: Both, index_name: str) -> None:
    """Where a pipeline is attached that item goes without, and a Warning tells; the others run."""
    for target, reported in ((index_name, False), (f"{index_name}-p", True)):
        for action in actions(both):
            lines = [
                on(target, action),
                b'{"a":1}',
                on(target, b'{"index":{"_index":"I"}}'),
                b'{"a":2}',
            ]
            body = b"\n".join([*lines, b""])
            got = await both.proxied.post("/_bulk?refresh=true", body, **LINES)
            assert statuses(got) in ([201, 201], [200, 201]), (action, got.body)
            warning = got.headers.get("Warning", "")
            assert ("[stamp@1.0.0#1] did not run: the action in line 1" in warning) is reported, (
                action
            )
        documents = await stored(both.direct, target)
        assert all("stamped" not in each for each in documents if each["a"] == 1)
        assert all(("stamped" in each) is reported for each in documents if each["a"] == 2)


async def test_a_final_pipeline_refuses_that_item_alone(both: Both, index_name: str) -> None:
    """In the form of an item; those on other indices, and those that are read, are stored."""
    guarded = f"{index_name}-f"
    for action in actions(both):
        lines = [
            *(on(guarded, action), b'{"a":1}'),
            *(on(guarded, b'{"index":{"_index":"I"}}'), b'{"a":2}'),
            *(on(index_name, action), b'{"a":3}'),
        ]
        got = await both.proxied.post("/_bulk?refresh=true", b"\n".join([*lines, b""]), **LINES)
        assert statuses(got)[0] == 400, got.body
        (item,) = items_of(got)[0].values()
        assert "[stamp] always runs here" in item["error"]["reason"]
        assert statuses(got)[1:] in ([201, 201], [201, 200]), action
    assert all(each["a"] == 2 and each["stamped"] for each in await stored(both.direct, guarded))
    hidden = b'{"index":{"_index":"%b"},"index":{"_index":"%b"}}\n{"a":4}\n'
    if both.on_opensearch:
        body = hidden % (index_name.encode(), guarded.encode())
        assert statuses(await both.proxied.post("/_bulk", body, **LINES)) == [400]


@pytest.mark.parametrize("action", REFUSED)
async def test_what_the_backend_refuses_as_a_whole(
    both: Both, index_name: str, action: bytes
) -> None:
    """Is its 400, whatever is final elsewhere; where a final pipeline is concerned it is ours."""
    good = b'{"index":{"_index":"I"}}'
    for target, same in ((index_name, True), (f"{index_name}-p", True), (f"{index_name}-f", False)):
        lines = [on(target, good), b'{"a":1}', on(target, action), b'{"a":2}', b""]
        body = b"\n".join(lines)
        wanted = await both.direct.post("/_bulk", body, **LINES)
        got = await both.proxied.post("/_bulk", body, **LINES)
        assert (got.status, got.data == wanted.data) == (400, same), got.body
        assert await stored(both.direct, target) == []


async def test_a_header_that_is_not_read_is_left_alone(both: Both, index_name: str) -> None:
    """The search goes without pipelines, and a Warning tells; a final one refuses it alone."""
    for header in HEADERS:
        searches = [
            line
            for index in (index_name, f"{index_name}-p", f"{index_name}-f")
            for line in (on(index, header), b"{}")
        ]
        body = b"\n".join([*searches, on(f"{index_name}-f", b'{"index":"I"}'), b"{}", b""])
        got = await both.proxied.post("/_msearch", body, **LINES)
        assert got.status == 200, got.body
        found = [each.get("hits", {}).get("total") for each in got.data["responses"]]
        assert [each and each["value"] for each in found] == [2, 2, None, 1], header
        assert got.data["responses"][2]["status"] == 400
        assert "[mine] always runs here" in got.data["responses"][2]["error"]["reason"]
        assert "[mine@1.0.0#1] did not run: the header in line 3" in got.headers["Warning"]
    for header in HEADERS:
        body = on(index_name, header) + b"\n{}\n"
        responses = [await client.post("/_msearch", body, **LINES) for client in both[:2]]
        assert [len(each.data["responses"]) for each in responses] == [1, 1]
        assert "Warning" not in responses[1].headers


@pytest.mark.parametrize("header", REFUSED_HEADERS)
async def test_headers_for_which_all_searches_are_refused(
    both: Both, index_name: str, header: bytes
) -> None:
    """The backend's 400, whatever is final elsewhere; where one is concerned it is ours."""
    url = f"/{index_name}/_msearch"
    body = b"{}\n{}\n" + on(index_name, header) + b"\n{}\n"
    wanted, got = [await client.post(url, body, **LINES) for client in both[:2]]
    assert (got.status, got.data) == (wanted.status, wanted.data)
    assert wanted.status == 400
    assert (await both.proxied.post(f"/{index_name}-f/_msearch", body, **LINES)).status == 400


async def test_a_broken_search_refuses_all(both: Both, index_name: str) -> None:
    """As without pipelines: whether it cannot be read, or the backend does not know its query."""
    await both.proxied.define("sized", "query", "def query(r, c):\n    return {**r, 'size': 1}\n")
    target = f"{index_name}-p"
    await both.proxied.attach(target, query="sized")
    for broken in (b'{"size":', b'{"size":0,"size":1}', b'{"query":{"nonsense":{}}}', b'{"zz":1}'):
        body = b"{}\n{}\n{}\n" + broken + b"\n"
        wanted, got = [
            await client.post(f"/{target}/_msearch", body, **LINES) for client in both[:2]
        ]
        assert (got.status, got.data) == (wanted.status, wanted.data), broken
        assert wanted.status == 400


SMILE = b":)\n\x00"
UNREAD = {
    "application/smile": SMILE + b"\xfa\xfb\xff",
    "application/cbor": b"\xa0\n\xa0\n",
    "application/yaml": b"---\na: 1\n",
    "application/xml": b"{}\n{}\n",
    "text/plain": b"{}\n{}\n",
}


@pytest.mark.parametrize("kind", UNREAD)
async def test_a_body_in_a_format_that_is_not_read(both: Both, index_name: str, kind: str) -> None:
    """Goes on as it came, with a Warning where pipelines are left out."""
    await both.proxied.put(
        f"/{index_name}-f/_settings",
        {"index.document.final_pipeline": None, "index.query.final_pipeline": None},
    )
    for call in ("_bulk", "_msearch"):
        for index, reported in ((index_name, False), (f"{index_name}-p", True)):
            wanted, got = [
                await client.call("POST", f"/{index}/{call}", UNREAD[kind], {"Content-Type": kind})
                for client in both[:2]
            ]
            assert (got.status, got.body) == (wanted.status, wanted.body), call
            assert ("no pipeline ran" in got.headers.get("Warning", "")) is reported, call


@pytest.mark.parametrize("kind", UNREAD)
async def test_a_final_pipeline_has_to_read_it(both: Both, index_name: str, kind: str) -> None:
    """It is refused where one could be concerned: always, if the backend can tell lines apart."""
    for call in ("_bulk", "_msearch"):
        for path in (f"/{index_name}-f/{call}", f"/{call}"):
            got = await both.proxied.call("POST", path, UNREAD[kind], {"Content-Type": kind})
            assert got.status == 406
            assert "final pipelines have to read it" in got.error["reason"]
        elsewhere = f"/{index_name}/{call}"
        wanted, got = [
            await client.call("POST", elsewhere, UNREAD[kind], {"Content-Type": kind})
            for client in both[:2]
        ]
        if kind == "application/smile":
            assert got.status == 406
        else:
            assert (got.status, got.body) == (wanted.status, wanted.body)


async def test_a_bulk_in_smile_cannot_name_the_store(both: Both, index_name: str) -> None:
    """Whatever pipelines there are."""
    body = SMILE + b"\xfa\x84index\xfa\x85_index\x49.querymill\xfb\xfb\xff"
    await both.proxied.put(f"/{index_name}-f/_settings", {"index.document.final_pipeline": None})
    got = await both.proxied.call("POST", "/_bulk", body, {"Content-Type": "application/smile"})
    assert got.status == 403


async def test_a_bulk_of_which_nothing_is_left(both: Both, index_name: str) -> None:
    """Its URL is the backend's to judge all the same; so is that of an msearch."""
    await both.proxied.define("drops", "document", "def document(d, c):\n    drop()\n")
    await both.proxied.define("rejects", "query", "def query(r, c):\n    reject('no')\n")
    target = f"{index_name}-p"
    await both.proxied.attach(target, document="drops", query="rejects")
    for call, body, wrong in (
        ("_bulk", b'{"index":{}}\n{}\n', ("zz=1", "refresh=maybe", "timeout=x")),
        ("_msearch", b"{}\n{}\n", ("zz=1", "max_concurrent_searches=x")),
    ):
        for parameter in wrong:
            wanted, got = [
                await client.post(f"/{target}/{call}?{parameter}", body, **LINES)
                for client in both[:2]
            ]
            assert (got.status, got.data) == (wanted.status, wanted.data), parameter
            assert wanted.status == 400
        for right in ("", "pretty", "filter_path=took,items,responses", "format=yaml"):
            got = await both.proxied.post(f"/{target}/{call}?{right}", body, **LINES)
            assert got.status == 200, right
    ours = (await both.proxied.post(f"/{target}/_bulk", b'{"index":{}}\n{}\n', **LINES)).data
    assert orjson.dumps(ours["items"][0]["index"]["result"]) == b'"noop"'
