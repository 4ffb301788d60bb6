"""Every request that is not administration: what it is decides who answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import web

from proxy.backend.resolver import Resolver
from proxy.formats.convert import FormatError, format_of, to_json
from proxy.http.errors import ErrorResponse
from proxy.http.memo import remembered
from proxy.protocol.source_parameter import SOURCE
from proxy.protocol.store_guard import (
    check_body,
    check_body_of,
    check_target,
    format_can_name_store,
    named_in,
)
from proxy.protocol.target import Operation, Target, read_target
from proxy.server.admission import Admission
from proxy.server.catch_up import CatchUp
from proxy.server.errors import status_of
from proxy.server.exchange import Exchange
from proxy.traffic.body_in_url import TAKES_SOURCE, with_source
from proxy.traffic.lookups import Lookups
from proxy.traffic.relay import Relay, small_body
from proxy.traffic.request_body import inflated
from proxy.traffic.selection import Selector

Handler = Callable[[Exchange, Target], Awaitable[web.StreamResponse]]
"""What answers one kind of request."""
Changed = Callable[[Exchange, bytes], Awaitable[None]]
"""Told of the body with which aliases were changed."""

_NAMES_IN_BODY = frozenset({Operation.NAMES_IN_BODY, Operation.REINDEX, Operation.MGET})
_NO_SOURCE = frozenset({Operation.SAFE, Operation.GET_DOCUMENT, Operation.GET_SOURCE})
# What has pipelines by its targets, or by naming them, alone.
_PLAIN = frozenset({Operation.SEARCH, Operation.COUNT, Operation.GET_DOCUMENT})
# Calls that change what a name means.
_RENAMING = frozenset({"_alias", "_aliases", "_data_stream", "_rollover", "_shrink", "_split"})


@remembered
def _read_line(method: str, raw_target: str) -> tuple[Target, bool]:
    """What a request line asks for, the store left out; False with one that names the store."""
    target = read_target(method, raw_target)
    try:
        return check_target(target), True
    except ErrorResponse:
        return target, False


class Router:
    """The data plane: guards the store, then hands each request to whoever answers its kind.

    A request that finds no place in `admission` is refused before any of it is looked at.
    """

    def __init__(
        self,
        relay: Relay,
        handlers: Mapping[Operation, Handler],
        selector: Selector,
        resolver: Resolver,
        admission: Admission,
        lookups: Lookups,
        catch_up: CatchUp,
        count: Callable[[Operation, int], None],
        aliases_changed: Changed,
        *,
        max_body: int,
    ) -> None:
        """`handlers` has a handler for each operation that is more than passing on; `count` is told
        what each request was, and the status of its response.
        """
        self._relay = relay
        self._selector = selector
        self._resolver = resolver
        self._count = count
        self._admission = admission
        self._lookups = lookups
        self._catch_up = catch_up
        self._aliases_changed = aliases_changed
        self._max_body = max_body
        self._handlers: Mapping[Operation, Handler] = {
            **handlers,
            Operation.NAMES_IN_BODY: self._checked,
            Operation.REINDEX: self._checked,
            Operation.MGET: partial(self._checked_first, handlers[Operation.MGET]),
        }

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        target, allowed = _read_line(exchange.method, exchange.target)
        names = target.names
        status = 500
        admitted = False
        try:
            if exchange.length and exchange.at_hand() is None:
                # A small body that drips in takes no place while it does.
                await small_body(exchange)
            if not self._admission.enter(names):
                await self._admission.wait(names)
            admitted = True
            if self._catch_up.due():
                await self._catch_up()
            if not allowed:
                check_target(target)
            if target.narrowed:
                exchange.ask(target.line)
            if target.query.raw and target.query.get(SOURCE) is not None:
                target = await self._with_source(exchange, target)
            if target.bypasses and self._selector.guarded(*target.bypasses):
                await self._check_bypass(exchange, target)
            if not self._lookups.is_clear(exchange, target):
                await self._lookups.check(exchange, target)
            if (
                target.operation in _PLAIN
                and target.names
                and self._selector.leaves(exchange, target)
            ):
                response = await self._relay(exchange)
            else:
                response = await self._handlers.get(target.operation, self._other)(exchange, target)
            status = response.status
            if exchange.is_held_up(response):
                # A response has its place until the client took it.
                await exchange.deliver(response)
            return response
        except ConnectionError:
            # The client is gone.
            raise
        except Exception as error:
            status = status_of(error)
            raise
        finally:
            if admitted:
                self._admission.leave(names)
            self._count(target.operation, status)

    async def _with_source(self, exchange: Exchange, target: Target) -> Target:
        """The request with the body in its URL (``?source=``), where the backend reads it there."""
        if target.operation in TAKES_SOURCE:
            return await with_source(exchange, target)
        if not exchange.has_body and target.operation not in _NO_SOURCE:
            check_body((target.query.get(SOURCE) or "").encode("utf-8", "surrogatepass"))
            writes = "document" in target.phases
            if writes and await self._selector.finals(target.names, "document"):
                raise ErrorResponse(
                    400,
                    "illegal_argument_exception",
                    "a document in the URL (source) cannot be read, and final pipelines have to"
                    " read it; send a body",
                )
        return target

    async def _check_bypass(self, exchange: Exchange, target: Target) -> None:
        """Refuse what would get past a final pipeline; indices named in the body count."""
        names = target.names
        if target.operation in _NAMES_IN_BODY and exchange.has_body:
            body = await self._naming(exchange, target)
            names = tuple(await asyncio.to_thread(named_in, body)) or names
        await self._selector.check_bypass(
            names,
            target.bypasses,
            f"{exchange.method} {target.path}",
            target.query.get("expand_wildcards"),
        )

    async def _naming(self, exchange: Exchange, target: Target) -> bytes:
        """A body that names indices, as JSON: in YAML and CBOR a name has other spellings."""
        body = await inflated(exchange, self._max_body)
        format = format_of(exchange.headers.get("Content-Type", ""))
        if format not in ("yaml", "cbor") or not body:
            return body
        needed = target.segments == ("_aliases",) or self._selector.guarded(*target.bypasses)
        if not (needed or format_can_name_store(body)):
            return b""
        if format == "cbor" and body.startswith((b"{", b"[")):
            # JSON, called CBOR: there it is one string, which the backend refuses.
            return body
        try:
            return await asyncio.to_thread(to_json, body, format)
        except FormatError as error:
            if self._selector.guarded(*target.bypasses) or format_can_name_store(body):
                raise ErrorResponse(400, "parse_exception", str(error)) from error
            # The backend refuses it, in its own words.
            return b""

    async def _other(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        renaming = not _RENAMING.isdisjoint(target.segments)
        if renaming and exchange.has_body:
            return await self._checked(exchange, target)
        response = await self._relay(exchange)
        if renaming and exchange.method not in ("GET", "HEAD"):
            self._resolver.names_changed()
        return response

    async def _checked_first(
        self, handler: Handler, exchange: Exchange, target: Target
    ) -> web.StreamResponse:
        """What `handler` gives, once the body is known to name no store."""
        if exchange.has_body:
            await check_body_of(await self._naming(exchange, target))
        return await handler(exchange, target)

    async def _checked(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """Relay a request whose body names indices, none of which may be the store."""
        if not exchange.has_body:
            return await self._other(exchange, target)
        naming = await self._naming(exchange, target)
        await check_body_of(naming)
        with await self._relay.send(exchange, body=await exchange.body(self._max_body)) as response:
            sent = await self._relay.respond(exchange, response)
        if not _RENAMING.isdisjoint(target.segments):
            self._resolver.names_changed()
        if target.segments == ("_aliases",) and sent.status == 200:
            await self._aliases_changed(exchange, naming)
        return sent
