"""Finding out what the backend is."""

from __future__ import annotations

import asyncio

import pytest

from proxy.backend.product import BackendInfo, Product, product_of
from proxy.http.headers import Headers
from proxy.upstream.client import Upstream
from tests.proxy.wire import Message, ScriptedBackend, Wire, http_response

NAMED = Headers({"X-Elastic-Product": "Elasticsearch"})
OPENSEARCH = b'{"version": {"distribution": "opensearch", "number": "3.8.0"}}'


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (200, Headers(), OPENSEARCH, Product("opensearch", "3.8.0")),
        (200, NAMED, b'{"version": {"number": "9.5.0"}}', Product("elasticsearch", "9.5.0")),
        (200, Headers(), b'{"version": {"number": "7.10.2"}}', Product("elasticsearch", "7.10.2")),
        (401, Headers(), b"Unauthorized", Product("opensearch", "")),
        (401, NAMED, b"{}", Product("elasticsearch", "")),
        (405, NAMED, b"{}", Product("elasticsearch", "")),
        (200, Headers(), b"not json", Product("opensearch", "")),
        (200, Headers(), b"[]", Product("opensearch", "")),
        (200, Headers(), b'{"version": 3}', Product("opensearch", "")),
        (503, Headers(), b"", None),
        (503, NAMED, b"", Product("elasticsearch", "")),
    ],
)
def test_product_of(status: int, headers: Headers, body: bytes, expected: Product | None) -> None:
    """The product is read from the root's response, or from the header that refusals carry too."""
    assert product_of(status, headers, body) == expected


def upstream_to(backend: ScriptedBackend) -> Upstream:
    """An upstream to the scripted backend."""
    return Upstream([backend.url], connect_timeout=2, idle_timeout=5, connections=4)


async def test_many_ask_once(backend: ScriptedBackend) -> None:
    """Calls at the same time share one look at the backend."""
    backend.reply = http_response(OPENSEARCH)
    async with upstream_to(backend) as upstream:
        info = BackendInfo(upstream)
        products = await asyncio.gather(*(info.product() for _ in range(5)))
        assert set(products) == {Product("opensearch", "3.8.0")}
        assert await info.is_opensearch()
    assert backend.targets == ["/"]


async def test_unknown_until_it_responds(backend: ScriptedBackend) -> None:
    """A backend that fails is unknown; what is known is kept when a later look fails."""

    async def drop(message: Message, wire: Wire) -> None:
        wire.reset()

    async with upstream_to(backend) as upstream:
        info = BackendInfo(upstream)
        backend.reply = drop
        assert await info.product() == Product("unknown", "")
        assert await info.product() == Product("unknown", "")
        assert len(backend.received) == 1
        backend.reply = http_response(OPENSEARCH)
        info.forget()
        assert await info.is_opensearch()
        backend.reply = http_response(b"", "503 Service Unavailable")
        info.forget()
        assert await info.is_opensearch()
