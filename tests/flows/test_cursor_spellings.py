"""Ids that carry a search on, in every place and format a client may send them in."""

from __future__ import annotations

from typing import Any

import cbor2
import orjson
import pytest

from tests.client import Client

YAML = {"Content-Type": "application/yaml", "Accept": "application/json"}
CBOR = {"Content-Type": "application/cbor", "Accept": "application/json"}
MARK = "def result(r, c):\n    return {**r, 'marked': True}\n"


async def begun(proxy: Client, index: str) -> str:
    """The id of a scroll of an index with a result pipeline, after its first hit."""
    await proxy.index(index, {str(n): {"n": n} for n in range(5)})
    await proxy.define("mark", "result", MARK)
    await proxy.attach(index, result="mark")
    first = await proxy.post(f"/{index}/_search?scroll=1m", {"size": 1, "sort": ["n"]})
    return str(first.data["_scroll_id"])


async def test_a_page_is_asked_for_in_yaml_and_cbor(proxy: Client, index_name: str) -> None:
    """The id is found there too, and the page has its pipelines."""
    scroll_id = await begun(proxy, index_name)
    in_yaml = f"scroll: 1m\nscroll_id: {scroll_id}\n".encode()
    in_cbor = cbor2.dumps({"scroll": "1m", "scroll_id": scroll_id})
    for expected, body, headers in (("1", in_yaml, YAML), ("2", in_cbor, CBOR)):
        page = await proxy.call("POST", "/_search/scroll", body, headers)
        assert (page.status, page.ids, page.data["marked"]) == (200, [expected], True)
    path = f"/_search/scroll/{scroll_id}"
    page = await proxy.call("POST", path, cbor2.dumps({"scroll": "1m"}), CBOR)
    assert (page.status, page.ids) == (200, ["3"])
    closing = cbor2.dumps({"scroll_id": [scroll_id]})
    closed = await proxy.call("DELETE", "/_search/scroll", closing, CBOR)
    assert (closed.status, closed.data["num_freed"]) == (200, 1)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_bodies_that_cannot_be_read_are_client_errors(
    proxy: Client, index_name: str, method: str
) -> None:
    """An id of ours in what is broken, or in a format that nobody reads here."""
    scroll_id = (await begun(proxy, index_name)).encode()
    for body, media_type, status in (
        (b'{"scroll_id": ["%b"' % scroll_id, "application/json", 400),
        (b'{"scroll_id": "%b", "x": "\\ud800' % scroll_id, "application/json", 400),
        (b'{"scroll_id": "%b\xff"}' % scroll_id, "application/json", 400),
        (b"scroll_id: [%b" % scroll_id, "application/yaml", 400),
        (b"\xa1iscroll_id\x78\xff%b" % scroll_id, "application/cbor", 400),
        (b":)\n\x05\xfa\x88scroll_id%b\xfb" % scroll_id, "application/smile", 406),
    ):
        headers = {"Content-Type": media_type}
        response = await proxy.call(method, "/_search/scroll", body, headers)
        assert response.status == status, (body, response.body)
        assert "error" in response.data


async def test_a_point_in_time_is_searched_several_times_at_once(
    proxy: Client, index_name: str
) -> None:
    """Each search of an `_msearch` may be one of it, with the pipelines of its indices."""
    await begun(proxy, index_name)
    opened = await proxy.post(f"/{index_name}/_search/point_in_time?keep_alive=1m")
    pit: dict[str, Any] = {"id": opened.data["pit_id"]}
    changed = {"id": pit["id"][:-4] + "AAAA"}
    searches = [{"pit": pit, "size": 2, "sort": ["n"]}, {"pit": changed}, {"pit": pit, "size": 0}]
    lines = [orjson.dumps(line) for search in searches for line in ({}, search)]
    response = await proxy.post("/_msearch", b"\n".join([*lines, b""]))
    assert response.status == 200, response.body
    first, refused, last = response.data["responses"]
    assert [hit["_id"] for hit in first["hits"]["hits"]] == ["0", "1"]
    assert (first["marked"], last["marked"]) == (True, True)
    assert first["pit_id"].startswith("qm1.")
    assert (refused["status"], "error" in refused) == (400, True)
    await proxy.attach(index_name, result=None)
    plain = await proxy.post("/_msearch", b"\n".join([*lines[:2], b""]))
    assert len(plain.data["responses"][0]["hits"]["hits"]) == 2


async def test_a_point_in_time_is_searched_in_yaml_and_cbor(proxy: Client, index_name: str) -> None:
    """With the pipelines of its indices."""
    await begun(proxy, index_name)
    opened = await proxy.post(f"/{index_name}/_search/point_in_time?keep_alive=1m")
    pit_id = opened.data["pit_id"]
    in_yaml = f"pit:\n  id: {pit_id}\nsize: 2\nsort: [n]\n".encode()
    in_cbor = cbor2.dumps({"pit": {"id": pit_id}, "size": 2, "sort": ["n"]})
    for body, headers in ((in_yaml, YAML), (in_cbor, CBOR)):
        page = await proxy.call("POST", "/_search", body, headers)
        assert (page.status, page.ids, page.data["marked"]) == (200, ["0", "1"], True)
        assert "Warning" not in page.headers
