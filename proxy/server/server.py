"""The HTTP server: listens, tells administration from traffic, and turns errors into responses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final, Self

import structlog
from aiohttp import http_parser, web

from proxy.config.settings import Address, Settings
from proxy.http.errors import ErrorResponse
from proxy.server.catch_up import CatchUp
from proxy.server.connection import ClientServer, ends_with
from proxy.server.errors import response_for
from proxy.server.exchange import Exchange, Handler, refusal
from proxy.server.listener import Listener, ListenError, listen_on
from proxy.workers.context import Place

_log = structlog.get_logger("proxy.server.server")

ADMIN_SEGMENTS: Final = frozenset({"_pipeline", "_udf", "_querymill"})
_HEALTH: Final = "/_querymill/"
# What has to be asked where the traffic goes, for that is what it says.
_PROBES: Final = frozenset({"/_querymill/livez", "/_querymill/readyz"})

# TRACE would show a client's credentials, and the proxy is no tunnel.
_REFUSED_METHODS: Final = frozenset({"TRACE", "CONNECT"})
# How long the rest of an unwanted body is read, so that the client gets to see the response.
_LINGER_SECONDS: Final = 2.0
# Time for a last response to leave the socket, after its handler is done.
_FLUSH_SECONDS: Final = 2.0
_CUT_SECONDS: Final = 0.1


_Route = Callable[[str, bool], Handler]
"""From a request's path, and whether that is administration, to who answers it."""


class ProxyServer:
    """Serves clients from `start` to `stop`; `traffic` and `admin` answer what it receives.

    With `settings.admin_listen` administration has a listener of its own, and the main one
    answers 404 to it, but for the two calls that ask for health. `listeners` are sockets that
    listen already, in the same order; they stay open for the other processes that share them.
    `catch_up` runs before administration is answered. `address` and `admin_address` are where it
    really listens, once started.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        traffic: Handler,
        admin: Handler | None = None,
        catch_up: CatchUp | None = None,
        place: Place | None = None,
    ) -> None:
        self.settings = settings
        self._traffic = traffic
        self._admin = admin
        self._catch_up = catch_up
        self._place = place or Place()
        self._stack = AsyncExitStack()
        self._clients: list[ClientServer] = []
        self._listeners: list[Listener] = []
        self._stopping = False
        self._in_flight = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.address: Address | None = None
        self.admin_address: Address | None = None

    async def start(self) -> None:
        """Listen. Raises ListenError."""
        if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
            raise ListenError(
                "aiohttp runs without its compiled parser, which is the one that is safe to face "
                "clients with; unset AIOHTTP_NO_EXTENSIONS or install a wheel of aiohttp"
            )
        self._stack.push_async_callback(self._drain)
        try:
            main = self._traffic_only if self.settings.admin_listen else self._both
            self.address = await self._listen(self.settings.listen, main, 0)
            if self.settings.admin_listen is not None:
                self.admin_address = await self._listen(
                    self.settings.admin_listen, self._admin_only, 1
                )
        except BaseException:
            await self._stack.aclose()
            raise

    async def retire(self, seconds: float) -> None:
        """Accept no more, and end each connection with its next response; give that `seconds`.

        For when others serve in its place: closing an idle connection could lose the request that
        is just on its way.
        """
        self._stopping = True
        for opened in self._listeners:
            opened.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for clients in self._clients:
                    await clients.empty()

    async def stop(self) -> None:
        """Stop listening, let the requests in flight finish in `shutdown_timeout`, cut the rest."""
        self._stopping = True
        await self._stack.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def _listen(self, address: Address, route: _Route, number: int) -> Address:
        clients = ClientServer(
            partial(self._handle, route),
            share=self._place.share,
            header_timeout=self.settings.header_timeout,
            patience=self.settings,
            keepalive_timeout=self.settings.keepalive_timeout,
            access_log=None,
            lingering_time=_LINGER_SECONDS,
        )
        if self._place.listeners:
            listener = self._place.listeners[number]
        else:
            listener = listen_on(address)
            self._stack.callback(listener.close)
        self._clients.append(clients)
        opened = Listener(listener, clients, self._place.share)
        self._listeners.append(opened)
        self._stack.callback(opened.close)
        return Address(address.host, listener.getsockname()[1])

    async def _drain(self) -> None:
        for clients in self._clients:
            clients.close_idle()
        patience = _FLUSH_SECONDS
        try:
            async with asyncio.timeout(self.settings.shutdown_timeout):
                await self._quiet.wait()
        except TimeoutError:
            _log.warning("requests cut off at shutdown", count=self._in_flight)
            patience = _CUT_SECONDS
        for clients in self._clients:
            await clients.shutdown(patience)

    async def _handle(self, route: _Route, request: web.BaseRequest) -> web.StreamResponse:
        self._in_flight += 1
        self._quiet.clear()
        exchange: Exchange | None = None
        try:
            exchange = Exchange(
                request,
                max_body=self.settings.max_request_bytes,
                patience=self.settings,
                closing=self._ends_with,
            )
            if exchange.facts.has_via:
                self._check_loop(exchange)
            if exchange.method in _REFUSED_METHODS:
                reason = f"{exchange.method} is not allowed"
                raise ErrorResponse(405, "method_not_allowed_exception", reason, close=True)
            admin = is_admin(exchange.raw_path)
            if (
                # Traffic is admitted first, and sees to it itself.
                admin
                and self._catch_up is not None
                and self._catch_up.due()
                # Health is not of definitions, and has to be told when the store is slow.
                and not exchange.raw_path.startswith(_HEALTH)
            ):
                await self._catch_up()
            return await route(exchange.raw_path, admin)(exchange)
        except Exception as exc:
            if exchange is None:
                return refusal(response_for(exc))
            if exchange.response is not None:
                # The head is out: the only way left to tell the client is to break off.
                if not isinstance(exc, ConnectionError):
                    response_for(exc, _reported_id(exchange))
                exchange.abort()
                return exchange.response
            return exchange.fail(response_for(exc, _reported_id(exchange)))
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._quiet.set()

    def _ends_with(self, request: web.BaseRequest) -> bool:
        """Whether a connection has to end with the response to this request."""
        return self._stopping or ends_with(request)

    def _check_loop(self, exchange: Exchange) -> None:
        """Refuse what this proxy itself sent to its backend (RFC 9110, 7.6.3)."""
        name = self._place.name
        if any(name in each for each in exchange.headers.getall("Via")):
            raise ErrorResponse(
                508,
                "loop_detected_exception",
                "the request went to the backend and came back to this proxy; the setting backend "
                "has to name the nodes of the cluster, and nothing that leads to the proxy",
            )

    def _both(self, raw_path: str, admin: bool) -> Handler:
        return self._admin if admin and self._admin is not None else self._traffic

    def _traffic_only(self, raw_path: str, admin: bool) -> Handler:
        if self._admin is not None and raw_path.partition("?")[0] in _PROBES:
            return self._admin
        if admin:
            raise _not_here("administration has an address of its own (admin_listen)")
        return self._traffic

    def _admin_only(self, raw_path: str, admin: bool) -> Handler:
        if self._admin is None or not admin:
            raise _not_here("this address serves administration only (admin_listen)")
        return self._admin


def is_admin(raw_path: str) -> bool:
    """Whether the proxy answers this path itself."""
    if not raw_path.startswith("/_"):
        return False
    parts = raw_path.split("/", 2)
    return len(parts) > 1 and not parts[0] and parts[1] in ADMIN_SEGMENTS


def _reported_id(exchange: Exchange) -> str:
    return exchange.request_id if exchange.reports_id else ""


def _not_here(why: str) -> ErrorResponse:
    return ErrorResponse(404, "resource_not_found_exception", f"nothing is served here: {why}")
