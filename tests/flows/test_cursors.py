"""Searches that go on, on the real OpenSearch: scroll and point in time keep their pipelines."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import Client, Response
from tests.conftest import StartProxy, connect

MARK = """def query(r, c):
    c.state['asked'] = 'yes'
    return r
"""
RESULT = """def result(r, c):
    return {**r, 'marked': c.state.get('asked'), 'wanted': c.request.get('size')}
"""


async def prepared(proxy: Client, index: str) -> None:
    await proxy.index(index, {str(n): {"n": n} for n in range(5)})
    await proxy.define("ask", "query", MARK)
    await proxy.define("mark", "result", RESULT)
    await proxy.attach(index, query="ask", result="mark")


async def test_every_page_of_a_scroll_has_its_pipelines(
    start_proxy: StartProxy, index_name: str
) -> None:
    """With state and request of the first, after a restart, and by every way to pass the id."""
    async with connect(await start_proxy()) as proxy:
        await prepared(proxy, index_name)
        first = await proxy.post(f"/{index_name}/_search?scroll=1m", {"size": 1, "sort": ["n"]})
        assert (first.data["marked"], first.ids) == ("yes", ["0"])
        scroll_id = first.data["_scroll_id"]
        assert scroll_id.startswith("qm1.")
    async with connect(await start_proxy()) as proxy:

        async def page(response: Response, expected: str) -> str:
            assert response.status == 200, response.body
            assert (response.data["marked"], response.data["wanted"]) == ("yes", 1)
            assert response.ids == [expected]
            assert response.headers["Querymill-Pipelines"] == "mark@1.0.0#1"
            return str(response.data["_scroll_id"])

        body = {"scroll": "1m", "scroll_id": scroll_id}
        scroll_id = await page(await proxy.post("/_search/scroll", body), "1")
        scroll_id = await page(await proxy.get(f"/_search/scroll/{scroll_id}?scroll=1m"), "2")
        url = f"/_search/scroll?scroll=1m&scroll_id={scroll_id}"
        scroll_id = await page(await proxy.get(url), "3")
        cleared = await proxy.call(
            "DELETE",
            "/_search/scroll",
            b'{"scroll_id": ["%s"]}' % scroll_id.encode(),
        )
        assert (cleared.status, cleared.data["num_freed"]) == (200, 1)
        again = await proxy.post("/_search/scroll", {"scroll_id": scroll_id})
        assert again.status == 404


async def test_a_scroll_without_pipelines_is_untouched(proxy: Client, index_name: str) -> None:
    """Its id is the backend's own."""
    await prepared(proxy, index_name)
    url = f"/{index_name}/_search?scroll=1m&size=2&pipeline=_none"
    first = await proxy.get(url)
    scroll_id = first.data["_scroll_id"]
    assert not scroll_id.startswith("qm1.")
    second = await proxy.post("/_search/scroll", {"scroll": "1m", "scroll_id": scroll_id})
    assert (len(second.ids), "marked" in second.data) == (2, False)
    assert (await proxy.delete(f"/_search/scroll/{scroll_id}")).data["num_freed"] == 1


async def test_an_id_that_was_changed_is_refused(proxy: Client, index_name: str) -> None:
    """Neither what is remembered nor the backend's id can be put together anew."""
    await prepared(proxy, index_name)
    first = await proxy.post(f"/{index_name}/_search?scroll=1m", {"size": 1})
    scroll_id = first.data["_scroll_id"]
    prefix, body, signature, own = scroll_id.split(".", 3)
    for changed in (
        f"{prefix}.{body[:-2]}.{signature}.{own}",
        f"{prefix}.{body}.{signature[:-2]}AA.{own}",
        f"{prefix}.{body}.{signature}.{own[:-4]}AAAA",
        "qm1.x",
    ):
        response = await proxy.post("/_search/scroll", {"scroll_id": changed})
        assert response.status == 400
        assert "begin the search anew" in response.error["reason"]


async def test_a_point_in_time_has_the_pipelines_of_its_indices(
    start_proxy: StartProxy, index_name: str
) -> None:
    """Though its searches name none; also after a restart; and it can be closed."""
    async with connect(await start_proxy()) as proxy:
        await prepared(proxy, index_name)
        opened = await proxy.post(f"/{index_name}/_search/point_in_time?keep_alive=1m")
        pit_id = opened.data["pit_id"]
    async with connect(await start_proxy()) as proxy:
        body: dict[str, Any] = {"size": 2, "pit": {"id": pit_id, "keep_alive": "1m"}}
        response = await proxy.post("/_search", body)
        assert (response.status, response.data["marked"], len(response.ids)) == (200, "yes", 2)
        assert response.data["pit_id"].startswith("qm1.")
        body["pit"]["id"] = response.data["pit_id"]
        assert (await proxy.post("/_search", body)).data["marked"] == "yes"
        closed = await proxy.call(
            "DELETE", "/_search/point_in_time", b'{"pit_id": ["%s"]}' % pit_id.encode()
        )
        assert closed.data["pits"][0]["successful"] is True


async def test_a_deleted_or_changed_pipeline_is_reported_on_later_pages(
    proxy: Client, index_name: str
) -> None:
    """The page comes without it, and with a Warning."""
    await prepared(proxy, index_name)
    first = await proxy.post(f"/{index_name}/_search?scroll=1m", {"size": 1})
    await proxy.put_pipeline("mark", "result", "mark", version="2.0.0")
    body = {"scroll": "1m", "scroll_id": first.data["_scroll_id"]}
    second = await proxy.post("/_search/scroll", body)
    assert "was 1.0.0 when the search began, is 2.0.0" in second.headers["Warning"]
    await proxy.delete("/_pipeline/mark?force=true")
    third = await proxy.post("/_search/scroll", body)
    assert (third.status, "marked" in third.data) == (200, False)
    assert "did not run: it was deleted" in third.headers["Warning"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"scroll_id": 7}', b"{}"])
async def test_a_scroll_without_an_id_is_the_backends_to_refuse(
    proxy: Client, index_name: str, body: bytes
) -> None:
    """Nothing to carry on: the backend's own error."""
    await prepared(proxy, index_name)
    response = await proxy.post("/_search/scroll", body or None)
    assert response.status == 400, response.body
    assert "proxy_exception" not in response.body.decode()


async def test_metadata_of_every_page(proxy: Client, index_name: str) -> None:
    """What a result pipeline says of a page is told with it."""
    await proxy.index(index_name, {str(n): {"n": n} for n in range(3)})
    source = """
def result(r, c):
    return {**r, "_pipeline_metadata": {"hits": [hit["_id"] for hit in r["hits"]["hits"]]}}
"""
    await proxy.define("tell", "result", source)
    await proxy.attach(index_name, result="tell")
    page = await proxy.post(f"/{index_name}/_search?scroll=1m", {"size": 1, "sort": ["n"]})
    for expected in ("0", "1", "2"):
        assert page.data["_pipeline_metadata"] == {"hits": [expected]}
        body = {"scroll": "1m", "scroll_id": page.data["_scroll_id"]}
        page = await proxy.post("/_search/scroll", body)
