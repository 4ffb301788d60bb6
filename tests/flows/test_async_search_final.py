"""No result of an asynchronous search gets past a final pipeline."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.conftest import connect
from tests.flows.async_backend import AsyncBackend
from tests.flows.async_searches import (
    KEPT,
    MARK,
    RUNNING,
    SMALL,
    Start,
    each_spelling,
    guarded,
    hits,
    marked,
    prepared,
)


@each_spelling
async def test_no_response_gets_past_a_final_pipeline(
    through_async: Client, async_backend: AsyncBackend, index_name: str, begin: str, below: str
) -> None:
    """Not a partial one, not `_none`, not the results of a search that failed."""
    await guarded(through_async, index_name)
    target = begin.format(index=index_name)
    first = await through_async.post(f"{target}{RUNNING}&pipeline=_none")
    responses = [first, await through_async.get(f"{below}/{first.data['id']}")]
    async_backend.failing = True
    responses.append(await through_async.get(f"{below}/{first.data['id']}"))
    assert responses[2].data["error"]["reason"] == "shards"
    assert responses[2].status == (500 if "/_async_search" in below else 200)
    for response in responses:
        assert hits(response)
        assert b"secret" not in response.body
        assert response.headers["Querymill-Pipelines"] == "redact@1.0.0#1"


@each_spelling
async def test_ids_from_elsewhere_are_refused_where_there_is_a_final_pipeline(
    through_async: Client, async_backend: AsyncBackend, index_name: str, begin: str, below: str
) -> None:
    """Ids of searches elsewhere, and the backend's own in ours; ending a search harms nobody."""
    target = begin.format(index=index_name) + RUNNING
    await prepared(through_async, index_name)
    before = (await through_async.post(target)).data["id"]
    assert (await through_async.get(f"{below}/{before}")).status == 200
    await guarded(through_async, f"{index_name}-guarded")
    refused = await through_async.get(f"{below}/{before}")
    assert (refused.status, refused.error["type"]) == (403, "security_exception")
    own = await through_async.post(begin.format(index=f"{index_name}-guarded") + RUNNING)
    inside = own.data["id"].split(".", 3)[3]
    assert (await through_async.get(f"{below}/{inside}")).status == 403
    assert (await through_async.delete(f"{below}/{before}")).status == 200
    # A search of an open index that was begun here may go on.
    other = (await through_async.post(target)).data["id"]
    assert other.startswith("qm1.")
    assert (await through_async.get(f"{below}/{other}")).data["response"]["hits"]["hits"]
    if "_asynchronous_search" in below:
        assert (await through_async.get(f"{below}/stats")).data == {"nodes": {}}
        assert (await through_async.get(f"{below}/_nodes/n1/stats")).data == {"nodes": {}}


async def test_a_final_query_pipeline_narrows_the_search(
    through_async: Client, index_name: str
) -> None:
    """What it leaves out is in no response, whatever the client names."""
    await prepared(through_async, index_name)
    await through_async.define("small", "query", SMALL)
    await through_async.put(f"/{index_name}/_settings", {"index.query.final_pipeline": "small"})
    target = f"/{index_name}*/_async_search?{RUNNING}&pipeline=_none"
    search_id = (await through_async.post(target, {"query": {"match_all": {}}})).data["id"]
    assert hits(await through_async.get(f"/_async_search/{search_id}")) == ["0", "1", "2"]


async def test_a_final_pipeline_misses_nothing_that_does_not_fit(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """The search is refused before it begins."""
    await guarded(through_async, index_name)
    ids = [str(n * 7919 % 99991) for n in range(3000)]
    body = {"query": {"ids": {"values": ids}}}
    response = await through_async.post(f"/{index_name}/_async_search?{RUNNING}", body)
    assert (response.status, response.error["type"]) == (413, "content_too_long_exception")
    assert async_backend.calls == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"<html>", "text/html"), (b'{"response":', "application/json"), (b"[]", "application/json")],
)
async def test_a_response_that_cannot_be_read_passes_without_pipelines_unless_one_is_final(
    through_async: Client,
    async_backend: AsyncBackend,
    index_name: str,
    body: bytes,
    content_type: str,
) -> None:
    """As it came and with a Warning, or as an error."""
    await marked(through_async, index_name)
    await guarded(through_async, f"{index_name}-guarded")
    async_backend.verbatim = (body, content_type)
    response = await through_async.post(f"/{index_name}/_async_search")
    assert (response.status, response.body) == (200, body)
    assert "[mark@1.0.0#1] did not run" in response.headers["Warning"]
    refused = await through_async.post(f"/{index_name}-guarded/_async_search")
    assert (refused.status, refused.error["pipeline"]) == (500, "redact")


async def test_a_large_response_passes_without_pipelines_unless_one_is_final(
    start_async: Start, index_name: str
) -> None:
    """Its id is ours all the same."""
    async with connect(await start_async(max_transform_bytes=2048)) as through:
        large = {str(n): {"n": n, "secret": "s" * 1000} for n in range(4)}
        await through.index(index_name, large)
        await through.define("mark", "result", MARK)
        await through.attach(index_name, result="mark")
        response = await through.post(f"/{index_name}/_async_search?{KEPT}")
        assert (response.status, len(hits(response))) == (200, 4)
        assert response.data["id"].startswith("qm1.")
        assert "larger than 2048 bytes" in response.headers["Warning"]
        await guarded(through, f"{index_name}-guarded")
        await through.index(f"{index_name}-guarded", large)
        refused = await through.post(f"/{index_name}-guarded/_async_search")
        assert (refused.status, refused.error["pipeline"]) == (500, "redact")
