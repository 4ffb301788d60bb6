"""The ids of asynchronous searches remember their pipelines, as far as that fits."""

from __future__ import annotations

from tests.client import Client
from tests.flows.async_backend import AsyncBackend
from tests.flows.async_searches import MARK, RUNNING, guarded, hits, marked, prepared


async def test_the_status_of_a_search_carries_its_id(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """And nothing for a pipeline to see."""
    await marked(through_async, index_name)
    first = await through_async.post(f"/{index_name}/_async_search?{RUNNING}")
    search_id = first.data["id"]
    assert first.headers["X-Elasticsearch-Async-Id"] == search_id
    status = await through_async.get(f"/_async_search/status/{search_id}?keep_alive=2d")
    assert (status.data["id"], status.data["is_running"]) == (search_id, True)
    assert "Querymill-Pipelines" not in status.headers
    own = search_id.split(".", 3)[3]
    assert async_backend.calls[-1].target == f"/_async_search/status/{own}?keep_alive=2d"


async def test_a_search_that_is_done_at_once_has_no_id(
    through_async: Client, index_name: str
) -> None:
    """Its only response has the pipelines."""
    await marked(through_async, index_name)
    response = await through_async.post(f"/{index_name}/_async_search")
    assert "id" not in response.data
    assert (response.data["response"]["marked"], hits(response)) == ("yes", ["0", "1", "2"])


async def test_an_id_that_was_changed_is_refused(through_async: Client, index_name: str) -> None:
    """For every call that takes one."""
    await marked(through_async, index_name)
    first = await through_async.post(f"/{index_name}/_async_search?{RUNNING}")
    prefix, body, signature, own = first.data["id"].split(".", 3)
    for changed in (f"{prefix}.{body}.{signature}.x{own}", f"{prefix}.{body[:-2]}.{signature}.x"):
        for method, path in (("GET", ""), ("GET", "status/"), ("DELETE", "")):
            response = await through_async.call(method, f"/_async_search/{path}{changed}")
            assert response.status == 400, (method, path)
            assert "begin the search anew" in response.error["reason"]


async def test_a_pipeline_that_changed_or_went_is_reported(
    through_async: Client, index_name: str
) -> None:
    """With a Warning; but a final one that went ends the search."""
    await marked(through_async, index_name)
    target = f"/{index_name}/_async_search?{RUNNING}"
    later = f"/_async_search/{(await through_async.post(target)).data['id']}"
    await through_async.put_pipeline("mark", "result", "mark", version="2.0.0")
    assert "was 1.0.0 when the search began" in (await through_async.get(later)).headers["Warning"]
    await through_async.delete("/_pipeline/mark?force=true")
    without = await through_async.get(later)
    assert (without.status, "marked" in without.data["response"]) == (200, False)
    assert "did not run: it was deleted" in without.headers["Warning"]
    await guarded(through_async, f"{index_name}-guarded")
    target = f"/{index_name}-guarded/_async_search?{RUNNING}"
    later = f"/_async_search/{(await through_async.post(target)).data['id']}"
    await through_async.delete("/_pipeline/redact?force=true")
    assert (await through_async.get(later)).status == 500


async def test_what_does_not_fit_into_an_id_is_left_out_and_reported(
    through_async: Client, index_name: str
) -> None:
    """The request first, then the state; the pipelines run without."""
    await prepared(through_async, index_name)
    noise = (
        "import hashlib\ntext = ''.join(hashlib.md5(b'%d' % n).hexdigest() for n in range(200))\n"
    )
    keep = f"{noise}def query(r, c):\n    c.state['asked'] = text\n    return r\n"
    await through_async.define("keep", "query", keep)
    await through_async.define("mark", "result", MARK)
    await through_async.attach(index_name, query="keep", result="mark")
    first = await through_async.post(f"/{index_name}/_async_search?{RUNNING}", {"size": 3})
    assert len(first.data["id"]) < 4096
    warnings = first.headers.getall("Warning")
    assert [text.split("'")[0].split('"')[1].split(" of")[0] for text in warnings] == [
        "the request",
        "the state",
    ]
    later = (await through_async.get(f"/_async_search/{first.data['id']}")).data["response"]
    assert (later["marked"], later["wanted"]) == (None, None)
