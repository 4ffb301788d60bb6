"""A store that is filled to its limit, and packages as large as they may be."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.client import Client, Response
from tests.conftest import StartProxy, connect

SAME = "def query(request, context):\n    return request\n"
MIB = 1024 * 1024
PIPELINE = {
    "type": "query",
    "stages": [{"name": "s", "type": "python", "config": {"udf_name": "u", "udf_version": "1"}}],
}


def upload(size: int, version: str) -> dict[str, Any]:
    """A package whose body in the store takes about so many bytes."""
    raw = base64.b64encode(os.urandom(size * 3 // 4)).decode()
    return {"source": SAME, "version": version, "files": {"raw": {"base64": raw}}}


@pytest.fixture
async def small_store(start_proxy: StartProxy) -> AsyncIterator[Client]:
    """A proxy whose store takes 1 MB."""
    async with connect(await start_proxy(store_max_bytes="1mb")) as client:
        yield client


async def held(proxy: Client) -> int:
    return int((await proxy.get("/_querymill/store")).data["bytes"])


def refused(response: Response) -> None:
    assert response.status == 413, response.body
    assert response.error["type"] == "content_too_long_exception"
    assert "store_max_bytes" in response.error["reason"]


async def test_a_store_filled_to_its_limit_is_read_written_and_emptied(
    small_store: Client, start_proxy: StartProxy, index_name: str
) -> None:
    """What would make it larger is refused with a 413, whatever it is; all else goes on."""
    await small_store.index(index_name, {"1": {}})
    assert (await small_store.put("/_udf/u", upload(1000, "1"))).status == 200
    assert (
        await small_store.put("/_pipeline/p", {**PIPELINE, "description": "x" * 100})
    ).status == 200
    await small_store.attach(index_name, query="p")
    room = MIB - await held(small_store)
    head = len(orjson.dumps({"source": SAME, "files": {"fill": ""}, "version": "fill"}))
    filling = {"source": SAME, "version": "fill", "files": {"fill": "x" * (room - head + 1)}}
    refused(await small_store.put("/_udf/u", filling))
    filling["files"] = {"fill": "x" * (room - head)}
    assert (await small_store.put("/_udf/u", filling)).status == 200
    assert await held(small_store) == MIB
    # Nothing is taken in any more that makes it larger ...
    refused(await small_store.put("/_udf/u", upload(100, "2")))
    refused(await small_store.put("/_pipeline/q", PIPELINE))
    refused(await small_store.put("/_pipeline/p", {**PIPELINE, "description": "x" * 101}))
    refused(await small_store.put(f"/{index_name}/_settings", {"index.query.final_pipeline": "p"}))
    assert (await small_store.get("/_pipeline/q")).status == 404
    # ... and what does not is.
    assert (await small_store.put("/_udf/u", filling)).data["result"] == "noop"
    other = {**PIPELINE, "description": "y" * 100}
    assert (await small_store.put("/_pipeline/p", other)).data["result"] == "updated"
    async with connect(await start_proxy(store_max_bytes="1mb")) as another:
        assert len((await another.get("/_udf/u?version=fill")).body) > room
        assert (await another.get(f"/{index_name}/_search")).headers["Querymill-Pipelines"]
        await another.attach(index_name, query=None)
        assert (await another.delete("/_pipeline/p")).status == 200
        assert (await another.delete("/_udf/u")).data["versions"] == ["fill", "1"]
        # What the versions were is remembered.
        assert await held(another) < 500
        assert (await another.put("/_udf/u", upload(1000, "2"))).status == 200


async def test_a_store_beyond_its_limit_is_emptied(
    start_proxy: StartProxy, small_store: Client
) -> None:
    """As after the limit was lowered: it is served from, and what is deleted makes room."""
    async with connect(await start_proxy()) as large:
        for version in ("1", "2", "3"):
            assert (await large.put("/_udf/u", upload(MIB // 2, version))).status == 200
        assert (await large.put("/_pipeline/p", PIPELINE)).status == 200
    refused(await small_store.put("/_udf/v", {"source": SAME}))
    assert (await small_store.post("/_pipeline/p/_execute", {"input": {}})).data[
        "outcome"
    ] == "done"
    assert (await small_store.delete("/_udf/u?version=2")).status == 200
    refused(await small_store.put("/_udf/v", {"source": SAME}))
    assert (await small_store.delete("/_udf/u?version=3")).status == 200
    assert (await small_store.put("/_udf/v", {"source": SAME})).status == 200


async def test_many_versions_of_the_largest_package(start_proxy: StartProxy) -> None:
    """24 of 9 MB of files each are more than what is read at once: they are read in pieces."""
    async with connect(await start_proxy()) as proxy:
        for version in range(24):
            response = await proxy.put("/_udf/u", upload(12 * MIB, str(version)))
            assert response.status == 200, response.body
        assert await held(proxy) > 24 * 12 * MIB
    async with connect(await start_proxy()) as other:
        assert (await other.get("/_querymill/readyz")).data == {"status": "ready", "warning": None}
        assert len((await other.get("/_udf/u/_versions")).data["versions"]) == 24
        assert (await other.put("/_pipeline/p", PIPELINE)).status == 200
        last = await other.get("/_udf/u?version=23")
        assert len(last.body) > 12 * MIB
        assert (await other.put("/_udf/u?version=23", last.body)).data["result"] == "noop"
        assert len((await other.delete("/_udf/u?force=true")).data["versions"]) == 24
