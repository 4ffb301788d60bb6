"""``/_querymill/``: health and metrics."""

from __future__ import annotations

import asyncio

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from proxy import __version__
from proxy.admin import AdminCall
from proxy.control.definitions import Definitions
from proxy.telemetry.metrics import exposition
from proxy.telemetry.snapshot import Gather


class OperationsCalls:
    """Whether the proxy lives, whether it can serve, and its figures for Prometheus."""

    def __init__(self, definitions: Definitions, gather: Gather) -> None:
        self._definitions = definitions
        self._gather = gather

    async def livez(self, call: AdminCall) -> web.StreamResponse:
        """200 as long as the process answers."""
        return call.respond({"status": "alive", "version": __version__})

    async def readyz(self, call: AdminCall) -> web.StreamResponse:
        """200 once definitions are loaded; 503 with the reason until then."""
        if self._definitions.ready.is_set():
            # A store that cannot be read any more is told, but what is known goes on running.
            return call.respond({"status": "ready", "warning": self._definitions.warning or None})
        return call.respond({"status": "starting", "reason": self._definitions.problem}, 503)

    async def metrics(self, call: AdminCall) -> web.StreamResponse:
        """The figures of all workers, as Prometheus reads them."""
        body = await asyncio.to_thread(exposition, await self._gather())
        return call.exchange.respond(200, {"Content-Type": CONTENT_TYPE_LATEST}, body)
