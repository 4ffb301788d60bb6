"""Indices, and the settings that attach pipelines to them."""

from __future__ import annotations

from typing import Any

from tests.client import Client

QUERY = "index.query.default_pipeline"
RESULT = "index.result.default_pipeline"
FINAL = "index.query.final_pipeline"
CUT = "def query(request, context):\n    return {{**request, 'size': {size}}}\n"
MARK = "def result(response, context):\n    return {**response, 'marked': True}\n"


async def indices(proxy: Client, *names: str) -> None:
    for name in names:
        await proxy.index(name, {str(n): {"n": n} for n in range(5)})


async def put(proxy: Client, target: str, settings: dict[str, Any]) -> None:
    response = await proxy.put(target, settings)
    assert response.status == 200, response.body


async def found(proxy: Client, target: str) -> int:
    return len((await proxy.get(f"/{target}/_search")).ids)
