"""Responses that a pipeline read on the real OpenSearch, in the coding the client takes."""

from __future__ import annotations

import gzip
import json
from typing import Any

import aiohttp
import pytest

from tests.client import Client

IDENTITY = "def result(response, context):\n    return response\n"
MARK = (
    "def result(response, context):\n"
    "    response['hits']['hits'].reverse()\n"
    "    response['marked'] = True\n"
    "    return response\n"
)


async def raw(client: Client, target: str, accept: str) -> tuple[Any, bytes]:
    """Headers and body of a response, its coding left on."""
    async with client.session.get("/") as any_response:
        base = any_response.url.origin()
    async with (
        aiohttp.ClientSession(base, auto_decompress=False) as session,
        session.get(target, headers={"Accept-Encoding": accept}) as response,
    ):
        return response.headers, await response.read()


@pytest.mark.parametrize(
    ("accept", "packed"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("identity", False)],
)
async def test_responses_are_compressed_again(
    proxy: Client, index_name: str, accept: str, packed: bool
) -> None:
    """What was read is given in the coding the client takes, with the length of what is sent."""
    await proxy.index(index_name, {str(n): {"title": "lamp " * 50} for n in range(20)})
    for name, source in (("identity", IDENTITY), ("mark", MARK)):
        await proxy.define(name, "result", source)
        url = f"/{index_name}/_search?size=20&pipeline={name}"
        headers, body = await raw(proxy, url, accept)
        assert (headers.get("Content-Encoding") == "gzip") is packed
        assert (headers.get("Vary") == "Accept-Encoding") is packed
        assert int(headers["Content-Length"]) == len(body)
        assert len(json.loads(gzip.decompress(body) if packed else body)["hits"]["hits"]) == 20


async def test_small_responses_stay_plain(proxy: Client, index_name: str) -> None:
    """Compressing a few hundred bytes would cost more than it saves."""
    await proxy.index(index_name, {"1": {"title": "lamp"}})
    await proxy.define("results", "result", MARK)
    headers, body = await raw(proxy, f"/{index_name}/_search?pipeline=results", "gzip")
    assert "Content-Encoding" not in headers
    assert json.loads(body)["marked"] is True
