"""Scrolls whose requests or states are long: later pages have them, or the client is told."""

from __future__ import annotations

import random
from typing import Any

import pytest

from proxy.embedded import EmbeddedCluster
from proxy.protocol.limits import CURSOR_MAX
from tests.client import Client, Response
from tests.conftest import StartOn, connect

INDEX = "test-long-scrolls"
# Nothing that compresses well: four bits of each character.
STATE = """import random
def query(request, context):
    chosen = random.Random(1).choices("0123456789abcdef", k=SIZE)
    context.state["kept"] = "".join(chosen)
    return request
"""
SHOW = """def result(response, context):
    context.state["pages"] = context.state.get("pages", 0) + 1
    shown = {
        "kept": len(context.state.get("kept", "")),
        "pages": context.state["pages"],
        "terms": len(context.request.get("query", {}).get("terms", {}).get("n", [])),
    }
    return {**response, "shown": shown}
"""
GROW = """import random
def result(response, context):
    chosen = random.Random(2).choices("0123456789abcdef", k=50_000)
    context.state["kept"] = context.state.get("kept", "") + "".join(chosen)
    return {**response, "shown": len(context.state["kept"])}
"""


def request(size: int) -> dict[str, Any]:
    """A request with at least `size` bytes of numbers, as they come."""
    numbers = random.Random(3).choices(range(10**8), k=size // 8)
    return {"query": {"terms": {"n": [*range(4), *numbers]}}, "size": 1, "sort": ["n"]}


async def scrolled(proxy: Client, body: dict[str, Any], names: str) -> list[Response]:
    """Three pages."""
    pages = [await proxy.post(f"/{INDEX}/_search?scroll=1m&pipeline={names}", body)]
    for _ in range(2):
        following = {"scroll": "1m", "scroll_id": pages[-1].data["_scroll_id"]}
        pages.append(await proxy.post("/_search/scroll", following))
    return pages


async def prepared(proxy: Client, size: int) -> None:
    await proxy.delete(f"/{INDEX}")
    await proxy.index(INDEX, {str(n): {"n": n} for n in range(4)})
    await proxy.define("state", "query", STATE.replace("SIZE", str(size)))
    await proxy.define("show", "result", SHOW)


@pytest.mark.parametrize("size", [100, 24_000, 40_000])
async def test_long_requests(each_backend: EmbeddedCluster, start_on: StartOn, size: int) -> None:
    """Every page has the request and the state, and nobody is warned."""
    async with connect(await start_on(each_backend)) as proxy:
        await prepared(proxy, 8000)
        body = request(size)
        terms = len(body["query"]["terms"]["n"])
        pages = await scrolled(proxy, body, "state,show")
        assert [page.data["shown"] for page in pages] == [
            {"kept": 8000, "pages": number, "terms": terms} for number in (1, 2, 3)
        ]
        assert all("Warning" not in page.headers for page in pages)
        assert all(len(page.data["_scroll_id"]) < CURSOR_MAX + 4096 for page in pages)
        assert [page.ids for page in pages] == [["0"], ["1"], ["2"]]
        closed = await proxy.call(
            "DELETE", "/_search/scroll", {"scroll_id": pages[-1].data["_scroll_id"]}
        )
        assert closed.status == 200


async def test_a_request_that_is_too_long(proxy: Client) -> None:
    """It is left out, which the first page says, and the state is kept."""
    await prepared(proxy, 8000)
    pages = await scrolled(proxy, request(200_000), "state,show")
    assert [page.data["shown"]["kept"] for page in pages] == [8000] * 3
    assert [page.data["shown"]["terms"] for page in pages[1:]] == [0, 0]
    (warning,) = pages[0].headers.getall("Warning")
    assert "the request of this search is too large to be kept in its id" in warning
    assert "Warning" not in pages[1].headers


async def test_a_state_that_is_too_long(proxy: Client) -> None:
    """It is left out, whether it is so from the beginning or becomes so on the way."""
    await prepared(proxy, 150_000)
    pages = await scrolled(proxy, request(10), "state,show")
    assert [page.data["shown"]["kept"] for page in pages] == [150_000, 0, 0]
    assert any("the state of" in text for text in pages[0].headers.getall("Warning"))
    await proxy.define("grow", "result", GROW)
    pages = await scrolled(proxy, request(10), "grow")
    assert [page.data["shown"] for page in pages] == [50_000, 100_000, 50_000]
    assert ["Warning" in page.headers for page in pages] == [False, True, False]


async def test_a_final_pipeline_misses_nothing(proxy: Client) -> None:
    """What it would miss on later pages makes the search an error at once."""
    await prepared(proxy, 100)
    await proxy.put(f"/{INDEX}/_settings", {"index.result.final_pipeline": "show"})
    fitting = await scrolled(proxy, request(24_000), "state")
    assert [page.data["shown"]["pages"] for page in fitting] == [1, 2, 3]
    refused = await proxy.post(f"/{INDEX}/_search?scroll=1m", request(200_000))
    assert (refused.status, "[show]" in refused.error["reason"]) == (413, True)
    assert (await proxy.post(f"/{INDEX}/_search", request(200_000))).status == 200


async def test_a_search_of_a_point_in_time_remembers_no_request(proxy: Client) -> None:
    """So a long one is nothing to warn of."""
    await prepared(proxy, 100)
    await proxy.attach(INDEX, query="state", result="show")
    point = (await proxy.post(f"/{INDEX}/_search/point_in_time?keep_alive=1m")).data["pit_id"]
    body = {**request(200_000), "pit": {"id": point, "keep_alive": "1m"}}
    response = await proxy.post("/_search", body)
    assert (response.status, response.data["shown"]["kept"]) == (200, 100)
    assert "Warning" not in response.headers
