"""What one call of `_execute` may take: each limit under, at and over its setting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.client import Client, Response
from tests.conftest import StartProxy, connect

SAME = "def query(request, context):\n    return request\n"
PATIENT = {"timeout_ms": 20_000}


def query(*udfs: str) -> dict[str, Any]:
    stages = [
        {"name": udf, "type": "python", "config": {"udf_name": udf}, **PATIENT} for udf in udfs
    ]
    return {"type": "query", "stages": stages, "timeout_ms": 60_000}


@pytest.fixture
async def small_limits(start_proxy: StartProxy) -> AsyncIterator[Client]:
    """A proxy of small limits, with one stored pipeline."""
    server = await start_proxy(
        execute_max_bytes=4096,
        execute_max_answer=2000,
        execute_max_inputs=3,
        execute_max_pipelines=2,
        execute_max_udfs=1,
    )
    async with connect(server) as client:
        await client.put_udf("same", SAME)
        await client.put("/_pipeline/p", query("same"))
        yield client


async def tried(client: Client, **body: Any) -> Response:
    return await client.post("/_pipeline/_execute", body)


@pytest.mark.parametrize(("count", "status"), [(0, 400), (1, 200), (2, 200), (3, 200), (4, 400)])
async def test_inputs(small_limits: Client, count: int, status: int) -> None:
    """`execute_max_inputs`; one at least."""
    response = await tried(small_limits, pipeline=query("same"), inputs=[{"size": 1}] * count)
    assert response.status == status
    if status == 400:
        said = f"inputs: has {count} payloads; 1 to 3 are allowed (execute_max_inputs)"
        assert response.error["reason"] == said
    else:
        assert response.data["count"] == count


@pytest.mark.parametrize(("count", "status"), [(0, 400), (1, 200), (2, 200), (3, 400)])
async def test_pipelines(small_limits: Client, count: int, status: int) -> None:
    """`execute_max_pipelines`; one at least."""
    response = await tried(small_limits, pipelines=["p"] * count, input={})
    assert response.status == status
    if status == 400:
        said = f"pipelines: has {count} pipelines; 1 to 2 are allowed (execute_max_pipelines)"
        assert response.error["reason"] == said


@pytest.mark.parametrize(("count", "status"), [(0, 200), (1, 200), (2, 400)])
async def test_udfs(small_limits: Client, count: int, status: int) -> None:
    """`execute_max_udfs`."""
    names = ["same", "other"][:count]
    response = await tried(
        small_limits, pipelines=["p"], input={}, udfs={n: {"source": SAME} for n in names}
    )
    assert response.status == status
    if status == 400:
        said = "udfs: has 2 UDFs; 1 are allowed (execute_max_udfs)"
        assert response.error["reason"] == said


async def test_no_udfs_at_all(start_proxy: StartProxy) -> None:
    """With 0, code that is stored nowhere is never run."""
    async with connect(await start_proxy(execute_max_udfs=0)) as client:
        await client.put_udf("same", SAME)
        assert (await tried(client, pipeline=query("same"), input={})).status == 200
        given = {"same": {"source": SAME}}
        response = await tried(client, pipeline=query("same"), input={}, udfs=given)
        assert (response.status, "0 are allowed" in response.error["reason"]) == (400, True)


@pytest.mark.parametrize("target", ["/_pipeline/_execute", "/_pipeline/p/_execute"])
@pytest.mark.parametrize(("size", "status"), [(4095, 200), (4096, 200), (4097, 413)])
async def test_body(small_limits: Client, target: str, size: int, status: int) -> None:
    """`execute_max_bytes`."""
    body: dict[str, Any] = {"input": {"x": ""}}
    if target == "/_pipeline/_execute":
        body["pipelines"] = ["p"]
    text = orjson.dumps(body)
    text += b" " * (size - len(text))
    response = await small_limits.post(target, text)
    assert response.status == status
    if status == 413:
        assert "larger than the limit of 4096 bytes" in response.error["reason"]


@pytest.mark.parametrize(("size", "status"), [(1999, 200), (2000, 200), (2001, 413)])
async def test_response(small_limits: Client, size: int, status: int) -> None:
    """`execute_max_answer`: payloads of all inputs together; with `verbose`, those of stages."""
    empty = len('{"x":""}')
    inputs = [{"x": "x" * (1000 - empty)}, {"x": "x" * (size - 1000 - empty)}]
    response = await tried(small_limits, pipelines=["p"], inputs=inputs)
    assert response.status == status
    if status == 413:
        said = (
            "the response is larger than 2000 characters (execute_max_answer); give fewer [inputs]"
        )
        assert response.error["reason"].startswith(said)
    verbose = await small_limits.post(
        "/_pipeline/_execute?verbose=true", {"pipelines": ["p"], "inputs": inputs}
    )
    assert verbose.status == 413


async def test_time(start_proxy: StartProxy) -> None:
    """`execute_timeout`: what is left of it when it is over fails, also of later inputs."""
    source = (
        "import time\ndef query(request, context):\n"
        "    end = time.time() + request['seconds']\n"
        "    while time.time() < end: pass\n    return request\n"
    )
    async with connect(await start_proxy(execute_timeout=1.5)) as client:
        await client.put_udf("works", source)
        kept = query("works")
        over = await tried(
            client, pipeline=kept, inputs=[{"seconds": 0}, {"seconds": 20}, {"seconds": 0}]
        )
        outcomes = [run["outcome"] for run in over.data["results"]]
        assert outcomes == ["done", "degraded", "degraded"]
        assert over.data["results"][1]["stages"][0]["error"]["kind"] == "timeout"
    async with connect(await start_proxy(execute_timeout=600)) as client:
        under = await tried(client, pipeline=kept, inputs=[{"seconds": 2}, {"seconds": 0}])
        assert [run["outcome"] for run in under.data["results"]] == ["done", "done"]


async def test_the_defaults(start_proxy: StartProxy) -> None:
    """100 inputs, 20 pipelines, 20 UDFs, 16 MB in and 64 MB out."""
    async with connect(await start_proxy()) as client:
        await client.put_udf("same", SAME)
        await client.put("/_pipeline/p", query("same"))
        for count, status in ((100, 200), (101, 400)):
            assert (await tried(client, pipelines=["p"], inputs=[{}] * count)).status == status
        for count, status in ((20, 200), (21, 400)):
            assert (await tried(client, pipelines=["p"] * count, input={})).status == status
        large = "def query(r, c): return {'x': 'x' * 9_000_000}"
        given = {"same": {"source": large}}
        for count, status in ((7, 200), (8, 413)):
            response = await tried(client, pipelines=["p"], inputs=[{}] * count, udfs=given)
            assert response.status == status
