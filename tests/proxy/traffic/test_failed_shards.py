"""What the beginning of a response tells of failed shards, from a scripted backend."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from proxy.traffic.failed_shards import FailedShards, failed_shards, failed_shards_of
from proxy.upstream.client import UpstreamRequest
from tests.proxy.conftest import OpenUpstream
from tests.proxy.wire import ScriptedBackend, http_response


def failing(type: str = "parse_exception", failed: int = 1) -> dict[str, Any]:
    shards: dict[str, Any] = {"total": 3, "successful": 3 - failed, "skipped": 0, "failed": failed}
    if failed:
        shards["failures"] = [{"shard": 0, "index": "i", "reason": {"type": type, "reason": "x"}}]
    return {"took": 1, "timed_out": False, "_shards": shards, "hits": {"hits": []}}


IN_FORM = "Content-Type: application/json; charset=UTF-8"
FOUND = FailedShards(1, 3, "parse_exception")
LATE = {"_scroll_id": "x" * 30_000, **failing()}
TOO_LATE = {"_scroll_id": "x" * 300_000, **failing()}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (failing(), FOUND),
        (failing("query_shard_exception", 2), FailedShards(2, 3, "query_shard_exception")),
        (failing(failed=0), None),
        (LATE, FOUND),
        ({**failing(), "_shards": {"total": 3, "failed": 1}}, FailedShards(1, 3, "unknown")),
        ({"hits": {"hits": [{"_source": {"failed": 1}}]}}, None),
        ({"_shards": 7}, None),
        ({"_shards": {}}, None),
        ({}, None),
        ([], None),
        *(
            (failing(type), None)
            for type in (
                "rejected_execution_exception",
                "es_rejected_execution_exception",
                "circuit_breaking_exception",
                "timeout_exception",
                "node_disconnected_exception",
                "connect_transport_exception",
                "no_shard_available_action_exception",
                "search_context_missing_exception",
                "task_cancelled_exception",
                "index_closed_exception",
            )
        ),
    ],
)
@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_read_and_unread_responses(
    backend: ScriptedBackend,
    open_upstream: OpenUpstream,
    data: Any,
    found: FailedShards | None,
    spaced: bool,
    coding: str,
) -> None:
    """The same is found in both, however it is written; and all of it is still there to be read."""
    assert failed_shards_of(data) == found
    text = json.dumps(data, indent=2 if spaced else None).encode()
    fields = [IN_FORM, "Content-Encoding: gzip"] if coding else [IN_FORM]
    body = gzip.compress(text) if coding else text
    backend.reply = http_response(body, "200 OK", *fields)
    upstream = await open_upstream()
    with await upstream.send(UpstreamRequest(method="GET", target="/")) as response:
        assert await failed_shards(response) == found
        assert await response.read(10**7) == body
    with await upstream.send(UpstreamRequest(method="GET", target="/")) as response:
        await failed_shards(response)
        assert b"".join([chunk async for chunk in response.chunks()]) == body


@pytest.mark.parametrize(
    ("reply", "fields"),
    [
        (json.dumps(TOO_LATE).encode(), [IN_FORM]),
        (b"---\n_shards:\n  failed: 1\n", ["Content-Type: application/yaml"]),
        (json.dumps(failing()).encode(), []),
        (b"not gzip", [IN_FORM, "Content-Encoding: gzip"]),
        (b"xx", [IN_FORM, "Content-Encoding: br"]),
        (b"", [IN_FORM]),
        (b'{"_shards', [IN_FORM]),
        (b'{"_shards":' * 50_000, [IN_FORM]),
    ],
)
async def test_what_is_not_reported(
    backend: ScriptedBackend, open_upstream: OpenUpstream, reply: bytes, fields: list[str]
) -> None:
    """Is taken for none, and goes on as it is."""
    backend.reply = http_response(reply, "200 OK", *fields)
    upstream = await open_upstream()
    with await upstream.send(UpstreamRequest(method="GET", target="/")) as response:
        assert await failed_shards(response) is None
        assert await response.read(10**7) == reply
