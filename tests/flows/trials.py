"""Calls of `_execute`, and the pipelines they try."""

from __future__ import annotations

from typing import Any

from tests.client import Client

ASKED = """
def query(request, context):
    context.state["asked"] = request.get("size", 10)
    return {**request, "size": 50}

def result(response, context):
    hits = response["hits"]
    kept = hits["hits"][: context.state.get("asked", 1)]
    return {**response, "hits": {**hits, "hits": kept}, "_pipeline_metadata": {"seen": 1}}
"""
GROWS = "def query(request, context):\n    return {**request, 'size': request.get('size', 0) + 1}\n"
LABEL = (
    "def document(doc, context):\n    return {**doc, 'id': context.id, 'index': context.index}\n"
)
# So that a busy machine changes no outcome.
PATIENT = {"timeout_ms": 20_000}


def stage(udf: str, **config: Any) -> dict[str, Any]:
    return {"name": udf, "type": "python", "config": {"udf_name": udf, **config}, **PATIENT}


def query(*udfs: str, **more: Any) -> dict[str, Any]:
    return {"type": "query", "stages": [stage(udf) for udf in udfs], **more}


async def tried(proxy: Client, target: str, **body: Any) -> Any:
    response = await proxy.post(target, body)
    assert response.status == 200, response.body
    return response.data


async def refused(proxy: Client, target: str, **body: Any) -> tuple[int, str]:
    response = await proxy.post(target, body)
    return response.status, str(response.error["reason"])
