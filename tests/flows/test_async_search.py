"""Asynchronous searches keep their pipelines.

The distributions of both backends that the tests run have no asynchronous search, so the responses
around the results have the documented shapes and come from `AsyncBackend`. What is found is found
by the real OpenSearch behind it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import yaml
from aiohttp.test_utils import RawTestServer

from tests.client import Client
from tests.conftest import connect
from tests.crew import crew_of
from tests.flows.async_backend import AsyncBackend
from tests.flows.async_searches import (
    KEPT,
    MARK,
    RUNNING,
    Start,
    each_spelling,
    hits,
    marked,
    prepared,
)


@each_spelling
async def test_every_response_has_the_pipelines_of_the_search(
    start_async: Start, async_backend: AsyncBackend, index_name: str, begin: str, below: str
) -> None:
    """Partial and whole, with state, request and metadata, after a restart; the id stays one."""
    async with connect(await start_async()) as proxy:
        await marked(proxy, index_name)
        target = begin.format(index=index_name) + RUNNING
        first = await proxy.post(target, {"size": 4})
        search_id = first.data["id"]
        assert search_id.startswith("qm1.")
        assert hits(first) == ["0"]
        assert first.data["response"]["marked"] == "yes"
        assert first.headers["Querymill-Pipelines"] == "small@1.0.0#1, mark@1.0.0#1"
        assert async_backend.calls[0].data["query"] == {"range": {"n": {"lt": 3}}}
    async with connect(await start_async()) as proxy:
        for _ in range(2):
            shown = await proxy.get(f"{below}/{search_id}?keep_alive=1d")
            assert (shown.status, hits(shown)) == (200, ["0", "1", "2"])
            response = shown.data["response"]
            assert (response["marked"], response["wanted"]) == ("yes", 4)
            assert response["_pipeline_metadata"] == {"narrowed": True}
            assert shown.data["id"] == search_id
            assert shown.headers["Querymill-Pipelines"] == "mark@1.0.0#1"
        assert (await proxy.delete(f"{below}/{search_id}")).data == {"acknowledged": True}
        assert (await proxy.get(f"{below}/{search_id}/")).status == 404
    own = search_id.split(".", 3)[3]
    assert [call.target for call in async_backend.calls[1:]] == [
        f"{below}/{own}?keep_alive=1d",
        f"{below}/{own}?keep_alive=1d",
        f"{below}/{own}",
        f"{below}/{own}",
    ]


async def test_any_worker_responds(
    async_backend: AsyncBackend, index_name: str, tmp_path: Path
) -> None:
    """A search submitted through one worker has its pipelines on every one."""
    async with RawTestServer(async_backend.handle) as server:
        url = str(server.make_url("")).rstrip("/")
        crews = crew_of(url, tmp_path / "config.toml")
        crew = await asyncio.to_thread(crews.__enter__)
        async with crew.client_of_each() as clients:
            await marked(clients[0], index_name)
            first = await clients[0].post(f"/{index_name}/_async_search?{RUNNING}", {})
            for client in clients:
                response = await client.get(f"/_async_search/{first.data['id']}")
                assert (response.status, hits(response)) == (200, ["0", "1", "2"])
                assert response.data["response"]["marked"] == "yes"
        await asyncio.to_thread(crews.__exit__, None, None, None)


async def test_url_parameters_are_part_of_the_search(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """The pipeline sees them in the body, and the backend there only; its own stay in the URL."""
    await prepared(through_async, index_name)
    twice = "def query(r, c):\n    return {**r, 'size': r['size'] * 2}\n"
    await through_async.define("twice", "query", twice)
    target = f"/{index_name}/_async_search?q=n:[0 TO 3]&size=1&sort=n&{KEPT}&pipeline=twice"
    response = await through_async.post(target.replace(" ", "%20"))
    assert hits(response) == ["0", "1"]
    assert async_backend.calls[0].target == f"/{index_name}/_async_search?{KEPT}"
    assert async_backend.calls[0].data["query"] == {"query_string": {"query": "n:[0 TO 3]"}}
    # No later response has to know of a query pipeline, so this id is the backend's.
    assert response.data["id"] in async_backend.searches
    body = "source=%7B%22size%22%3A2%7D&source_content_type=application/json"
    url = f"/{index_name}/_async_search?{body}&pipeline=twice"
    assert len(hits(await through_async.post(url))) == 4


async def test_a_search_without_pipelines_is_untouched(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """Byte for byte both ways, its id the backend's own."""
    await marked(through_async, index_name)
    body = b'{ "size":1,"query" : {"match_all":{}} }'
    response = await through_async.post(f"/{index_name}/_async_search?pipeline=_none&{KEPT}", body)
    assert async_backend.calls[0].body == body
    assert async_backend.calls[0].target == f"/{index_name}/_async_search?{KEPT}"
    (search_id,) = async_backend.searches
    assert response.data["id"] == search_id
    later = await through_async.get(f"/_async_search/{search_id}?a&&b=%2f")
    assert async_backend.calls[-1].target == f"/_async_search/{search_id}?a&&b=%2f"
    assert "Querymill-Pipelines" not in later.headers
    assert (await through_async.delete(f"/_async_search/{search_id}")).status == 200


async def test_a_refused_search_never_begins(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """By a UDF or an unknown pipeline."""
    await prepared(through_async, index_name)
    await through_async.define("no", "query", "def query(r, c):\n    reject('not today', 422)\n")
    target = f"/{index_name}/_async_search?pipeline="
    assert (await through_async.post(f"{target}no", {})).error["reason"].endswith(": not today")
    assert (await through_async.post(f"{target}missing", {})).status == 404
    assert async_backend.calls == []


async def test_a_point_in_time_is_searched_with_the_pipelines_of_its_indices(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """The backend gets its own id of it, the client never does."""
    await marked(through_async, index_name)
    pit = (await through_async.post(f"/{index_name}/_search/point_in_time?keep_alive=1m")).data[
        "pit_id"
    ]
    body = {"pit": {"id": pit, "keep_alive": "1m"}}
    first = await through_async.post(f"/_async_search?{RUNNING}", body)
    assert async_backend.calls[0].data["pit"]["id"] == pit.split(".", 3)[3]
    for response in (first, await through_async.get(f"/_async_search/{first.data['id']}")):
        assert response.data["response"]["marked"] == "yes"
        assert response.data["response"]["pit_id"] == pit


async def test_responses_come_in_the_form_the_client_wants(
    through_async: Client, index_name: str
) -> None:
    """Filtered, indented, in YAML; not in SMILE, which cannot be written."""
    await marked(through_async, index_name)
    target = f"/{index_name}/_async_search?{RUNNING}&filter_path=id,response.marked"
    first = await through_async.post(target)
    assert first.data == {"id": first.data["id"], "response": {"marked": "yes"}}
    later = f"/_async_search/{first.data['id']}"
    filtered = await through_async.get(f"{later}?filter_path=response.wanted,is_running&pretty")
    assert filtered.data == {"is_running": False, "response": {"wanted": None}}
    assert filtered.body.startswith(b"{\n")
    in_yaml = await through_async.get(f"{later}?format=yaml")
    assert yaml.safe_load(in_yaml.body)["response"]["marked"] == "yes"
    assert (await through_async.get(f"{later}?format=smile")).status == 406


async def test_a_search_that_the_backend_refuses_begins_as_the_client_wrote_it(
    through_async: Client, index_name: str
) -> None:
    """With a Warning; under `on_error: fail` it is an error, and the client's own fault a 400."""
    await prepared(through_async, index_name)
    source = "def query(r, c):\n    return {**r, 'query': {'matchx': {}}}\n"
    await through_async.define("bad", "query", source)
    await through_async.put_pipeline("strict", "query", "bad", on_error="fail")
    target = f"/{index_name}/_async_search?pipeline="
    response = await through_async.post(f"{target}bad", {"size": 2})
    assert len(response.data["response"]["hits"]["hits"]) == 2
    assert "degraded: stage [bad] failed (refused)" in response.headers["Warning"]
    strict = await through_async.post(f"{target}strict", {"size": 2})
    assert (strict.status, strict.error["kind"]) == (500, "refused")
    wrong = await through_async.post(f"{target}strict", {"query": {"nonsense": {}}})
    assert (wrong.status, "nonsense" in wrong.error["reason"]) == (400, True)


async def test_a_search_names_its_pipelines_in_every_way(
    through_async: Client, async_backend: AsyncBackend, index_name: str
) -> None:
    """As a plain search does; the backend sees none of it."""
    await prepared(through_async, index_name)
    await through_async.define("mark", "result", MARK)
    target = f"/{index_name}/_async_search"
    body = {"size": 1, "search_pipeline": "mark"}
    responses = [
        await through_async.post(target, body),
        await through_async.post(f"{target}?search_pipeline=mark", {"size": 1}),
        await through_async.call("POST", target, {"size": 1}, {"Querymill-Pipeline": "mark"}),
    ]
    for response in responses:
        assert response.headers["Querymill-Pipelines"] == "mark@1.0.0#1"
    assert all(b"search_pipeline" not in call.body for call in async_backend.calls)
    assert all("search_pipeline" not in call.target for call in async_backend.calls)
