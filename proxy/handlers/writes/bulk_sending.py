"""Sends what is left of a bulk to the backend, and its response with our items to the client."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from proxy.http.errors import ErrorResponse
from proxy.http.headers import Headers, request_headers
from proxy.http.query_string import QueryString
from proxy.protocol.bodies.bulk_body import BulkItem, merge_response, write_bulk
from proxy.protocol.bodies.no_requests import NO_REQUESTS
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.relay import Relay
from proxy.traffic.request_body import new_body_headers
from proxy.traffic.response_format import ResponseForm
from proxy.traffic.runs import Runs

# More items are put together off the event loop.
WRITE_INLINE: Final = 5_000


class BulkSending:
    """Sends bulks of at most `max_bytes`."""

    def __init__(self, relay: Relay, *, max_bytes: int) -> None:
        self._relay = relay
        self._max_bytes = max_bytes

    async def __call__(
        self,
        exchange: Exchange,
        target: Target,
        query: QueryString,
        items: list[BulkItem],
        done: list[BulkItem],
        runs: Runs,
    ) -> web.StreamResponse:
        ours = any(item.local is not None or item.renamed for item in done)
        sent: bytes = await exchange.body(self._max_bytes)
        headers = request_headers(exchange.raw_headers)
        if any(new is not old for new, old in zip(done, items, strict=True)):
            sent, headers = await _written(done), new_body_headers(exchange)
        if not ours:
            with await self._relay.send(
                exchange, target=query.after(target.path), headers=headers, body=sent
            ) as response:
                for name, value in runs.response_headers():
                    response.add(name, value)
                return await self._relay.respond(exchange, response)
        form = await ResponseForm.of(exchange, query, self._relay)
        form.check()
        # Items are put in by their place, which a filter would lose.
        asked, headers = form.ask(query, headers)
        if not sent:
            # Nothing but the URL is left for the backend to say something of.
            with await self._relay.send(
                exchange, target=asked.after(target.path), headers=headers, body=b"\n"
            ) as response:
                raw = await response.read()
                if NO_REQUESTS not in raw:
                    return await form.respond(exchange, response, raw, runs.response_headers())
            alone = merge_response(done, '{"took":0,"errors":false,"items":[]}')
            body, given = await form.write(exchange, alone, 200)
            fields = Headers([*runs.response_headers(), *given.items()])
            return exchange.respond_json(200, body, fields)
        with await self._relay.send(
            exchange, target=asked.after(target.path), headers=headers, body=sent
        ) as response:
            raw = await response.read()
            merged: str | bytes = raw
            if response.status == 200:
                merged = await asyncio.to_thread(_merged, done, raw)
            return await form.respond(exchange, response, merged, runs.response_headers())


async def _written(items: list[BulkItem]) -> bytes:
    if len(items) > WRITE_INLINE:
        return await asyncio.to_thread(write_bulk, items)
    return write_bulk(items)


def _merged(items: list[BulkItem], raw: bytes) -> str:
    """The backend's response with our items in their places; what it said of the others stays."""
    try:
        return merge_response(items, raw.decode(errors="replace"))
    except ValueError as error:
        reason = f"the backend's response to the bulk cannot be understood: {error}"
        raise ErrorResponse(500, "proxy_exception", reason) from error
