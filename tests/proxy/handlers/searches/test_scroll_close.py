"""Closing scrolls and points in time whose ids are the backend's own: nothing is rewritten."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pipelines.wasm import Runtime
from proxy.app.assembly import open_proxy
from proxy.config.settings import load
from tests.proxy.wire import Client, ScriptedBackend, request

JSON = "Content-Type: application/json"


@pytest.fixture
async def through(runtime: Runtime) -> AsyncIterator[tuple[Client, ScriptedBackend]]:
    """A connection to a whole proxy in front of a backend that records."""
    async with ScriptedBackend() as recording:
        settings = load({"backend": (recording.url,), "listen": "127.0.0.1:0"}, {})
        async with open_proxy(settings, runtime) as server:
            assert server.address is not None
            client = await Client.connect(server.address.port)
            yield client, recording
            client.close()


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/_search/scroll?", b'{"scroll_id": ["a=="]}'),
        ("/_search/scroll/a%3D%3D?", b""),
        ("/_search/scroll/a==,b%2B?pretty&&", b""),
        ("//_search/scroll/a?&human", b""),
        ("/_search/scroll?scroll_id=a%3d", b""),
        ("/_search/point_in_time?", b'{"pit_id":["a"]}\n'),
        ("/_pit?", b'{ "id": "a" }'),
    ],
)
async def test_closing_passes_the_bytes_of_the_target(
    through: tuple[Client, ScriptedBackend], target: str, body: bytes
) -> None:
    """A bare question mark and odd escapes included, and the body as it came."""
    client, recording = through
    response = await client.ask(request(target, "DELETE", body, *([JSON] if body else [])))
    assert response.status == 200
    received = next(m for m in recording.received if m.first_line.startswith(b"DELETE "))
    assert received.target == target
    assert received.body == body
