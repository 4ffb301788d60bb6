"""Fixtures for the proxy: uvloop, a scripted backend, and a proxy in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
import uvloop
from blockbuster import blockbuster_ctx
from structlog.testing import capture_logs
from structlog.typing import EventDict

from proxy.backend.product import BackendInfo
from proxy.config.backend_settings import BackendSettings
from proxy.config.settings import load
from proxy.server.exchange import Handler
from proxy.server.server import ProxyServer
from proxy.traffic.relay import Relay
from proxy.upstream.client import Upstream, UpstreamRequest
from proxy.upstream.request_head import HeadLimits
from tests.proxy.wire import Client, ScriptedBackend, http_response

OPENSEARCH = b'{"version": {"distribution": "opensearch", "number": "3.8.0"}}'


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests here on the event loop the proxy runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def unblocked() -> Iterator[None]:
    """Fail a test when `proxy` blocks the event loop."""
    with blockbuster_ctx("proxy"):
        yield


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """The log lines of the test."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def backend(unblocked: None) -> AsyncIterator[ScriptedBackend]:
    """A backend that records and does as it is told."""
    async with ScriptedBackend() as backend:
        yield backend


@dataclass
class Proxy:
    """A running proxy, and a way to open connections to it."""

    server: ProxyServer
    upstream: Upstream
    relay: Relay
    clients: list[Client]

    @property
    def port(self) -> int:
        assert self.server.address is not None
        return self.server.address.port

    async def client(self, port: int | None = None) -> Client:
        client = await Client.connect(port or self.port)
        self.clients.append(client)
        return client


StartBare = Callable[..., Awaitable[Proxy]]


@pytest.fixture
async def start_bare(backend: ScriptedBackend, logged: list[EventDict]) -> AsyncIterator[StartBare]:
    """Start a proxy with some settings; it is stopped at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(
            traffic: Handler | None = None, admin: Handler | None = None, **values: object
        ) -> Proxy:
            given = {"backend": (backend.url,), "listen": "127.0.0.1:0", **values}
            settings = load(given, {})
            upstream = Upstream(
                settings.backend,
                connect_timeout=settings.backend_connect_timeout,
                idle_timeout=settings.backend_timeout,
                connections=settings.backend_connections,
                authority=settings.backend_ca,
                kept_timeout=settings.backend_kept_timeout,
                limits=HeadLimits(
                    line=settings.backend_max_line, fields=settings.backend_max_header
                ),
            )
            await stack.enter_async_context(upstream)
            relay = Relay(upstream, BackendInfo(upstream), compat=settings.compat == "auto")
            server = ProxyServer(settings, traffic=traffic or relay, admin=admin)
            await stack.enter_async_context(server)
            proxy = Proxy(server, upstream, relay, [])

            def hang_up() -> None:
                for client in proxy.clients:
                    client.close()

            stack.callback(hang_up)
            return proxy

        yield start


@pytest.fixture
async def bare(start_bare: StartBare) -> Proxy:
    """A proxy with default settings in front of the scripted backend."""
    return await start_bare()


@pytest.fixture
async def client(bare: Proxy) -> Client:
    """A connection to the proxy."""
    return await bare.client()


OpenUpstream = Callable[..., Awaitable[Upstream]]


@pytest.fixture
async def open_upstream(
    backend: ScriptedBackend, logged: list[EventDict]
) -> AsyncIterator[OpenUpstream]:
    """Open an upstream to the scripted backend, or to others; closed at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(
            *urls: str, connections: int = 4, idle_timeout: float = 30.0, **options: Any
        ) -> Upstream:
            default = BackendSettings()
            limits = HeadLimits(line=default.backend_max_line, fields=default.backend_max_header)
            options.setdefault("limits", limits)
            upstream = Upstream(
                urls or (backend.url,),
                connect_timeout=2.0,
                idle_timeout=idle_timeout,
                connections=connections,
                **options,
            )
            return await stack.enter_async_context(upstream)

        yield start


@pytest.fixture
def opensearch_like(backend: ScriptedBackend) -> ScriptedBackend:
    """A backend that says it is OpenSearch."""
    backend.replies["/"] = http_response(OPENSEARCH)
    backend.reply = http_response(b"{}", "200 OK", "content-type: application/json")
    return backend


async def get(upstream: Upstream, target: str = "/", *, retry: bool = False) -> bytes:
    """The body of a GET."""
    request = UpstreamRequest(method="GET", target=target, retry=retry)
    with await upstream.send(request) as response:
        return await response.read(10_000)
