"""The proxy put together: what is opened in which order, and closed in the opposite one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

from proxy.backend_info import BackendInfo
from proxy.relay import Relay
from proxy.server import ProxyServer
from proxy.settings import Settings
from proxy.upstream import Upstream


async def serve(settings: Settings, ready: Callable[[ProxyServer], None]) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is in flight; `ready` is told once listening.

    Raises ListenError. Runs in the main thread, whose signal handlers it takes.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(
            Upstream(
                settings.backend,
                connect_timeout=settings.backend_connect_timeout,
                idle_timeout=settings.backend_timeout,
                connections=settings.backend_connections,
            )
        )
        relay = Relay(upstream, BackendInfo(upstream), compat=settings.compat == "auto")
        server = await stack.enter_async_context(ProxyServer(settings, traffic=relay))
        ready(server)
        await stopped.wait()
