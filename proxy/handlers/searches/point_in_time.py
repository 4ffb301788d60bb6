"""Points in time and scrolls are opened and closed: clients see the ids they were given, and the
backend sees its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web

from pipelines.jsontext.slices import Slice, elements, member, replaced
from proxy.http.errors import ErrorResponse
from proxy.http.headers import Headers, request_headers
from proxy.http.media_type import is_json
from proxy.protocol.given_ids import GivenIds
from proxy.protocol.resume_id import PREFIX, Cursors, Memory
from proxy.protocol.target import Operation, Target
from proxy.server.exchange import Exchange
from proxy.traffic.continuation import ID_MEMBERS, Continuation, is_text
from proxy.traffic.limits import SMALL_BODY_MAX
from proxy.traffic.relay import request_body
from proxy.traffic.request_body import inflated, new_body_headers, read_json_body
from proxy.traffic.response_format import ResponseForm
from proxy.traffic.services import Services


class PointInTimeHandler:
    """Handles the calls that open, close and list points in time, and those that close scrolls."""

    def __init__(
        self, services: Services, continuation: Continuation, cursors: Cursors, given: GivenIds
    ) -> None:
        self._relay = services.relay
        self._selector = services.selector
        self._continuation = continuation
        self._cursors = cursors
        self._given = given

    async def open(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """Open a point in time; its id remembers the indices it is on."""
        body = await request_body(exchange)
        if self._selector.idle:
            with await self._relay.send(exchange, body=body) as response:
                return await self._relay.respond(exchange, response)
        form = await ResponseForm.of(exchange, target.query, self._relay)
        form.check()
        query, headers = form.ask(target.query, request_headers(exchange.raw_headers))
        with await self._relay.send(
            exchange, target=query.after(target.path), headers=headers, body=body
        ) as response:
            if not is_json(response.headers.get("Content-Type", "")):
                return await self._relay.respond(exchange, response)
            raw = await response.read()
            if response.status != 200:
                return await form.respond(exchange, response, raw)
            memory = Memory(names=target.names)
            text = raw.decode()
            for name in ("pit_id", "id"):
                if isinstance(backend_id := _value(text, member(text, name)), str):
                    self._given.keep(backend_id, memory)
            return await form.respond(exchange, response, self._continuation.rewrap(text, memory))

    async def close(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """Close scrolls or points in time, or list segments of the latter."""
        asked: dict[str, str] = {}
        path, query = target.path, target.query
        if target.id is not None and PREFIX in target.id:
            own = quote(self._own_ids(target.id, asked), safe=",=")
            path = path.rstrip("/").rpartition("/")[0] + "/" + own
        value = query.get("scroll_id") or ""
        if PREFIX in value:
            own = self._own_ids(value, asked)
            query = query.without({"scroll_id"}).with_parameter("scroll_id", own)
        sent = await exchange.body(SMALL_BODY_MAX) if exchange.has_body else None
        headers = request_headers(exchange.raw_headers)
        if (text := await _readable(exchange)) is not None:
            before = len(asked)
            unwrapped = self._unwrapped(text, asked)
            if len(asked) > before:
                accepted = headers.get("Accept")
                sent, headers = unwrapped.encode(), new_body_headers(exchange)
                if target.operation is Operation.PIT_SEGMENTS:
                    # A table, whatever the format of the request.
                    headers.popall("Accept", None)
                    headers.extend({"Accept": accepted} if accepted else {})
        goal = replace(target, path=path, query=query)
        carries_ids = bool(asked) and target.operation is Operation.CLOSE_PIT
        find = asked.get if carries_ids else None
        return await self._ask(exchange, goal, headers, sent, find)

    async def all(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """List or close all points in time, of whoever opened them."""
        sent = await exchange.body(SMALL_BODY_MAX) if exchange.has_body else None
        headers = request_headers(exchange.raw_headers)
        find = self._given.find if self._given else None
        return await self._ask(exchange, target, headers, sent, find)

    async def _ask(
        self,
        exchange: Exchange,
        target: Target,
        headers: Headers,
        body: bytes | None,
        find: Callable[[str], str | None] | None,
    ) -> web.StreamResponse:
        """Send a request; `find` gives the client's id of one in the response, if it has one."""
        form = replace(await ResponseForm.of(exchange, target.query, self._relay), filters=None)
        if find is None or form.format == "smile":
            # Where nothing was changed, the request goes on as it came.
            changed = target.query.after(target.path)
            with await self._relay.send(
                exchange, target=changed, headers=headers, body=body
            ) as response:
                return await self._relay.respond(exchange, response)
        query, headers = form.ask(target.query, headers)
        with await self._relay.send(
            exchange, target=query.after(target.path), headers=headers, body=body
        ) as response:
            raw = await response.read()
            if response.status == 200 and is_json(response.headers.get("Content-Type", "")):
                raw = _with_ids(raw.decode(), find).encode()
            if form.is_plain and not form.gzip:
                return exchange.relay(response.status, response.fields, raw, reason=response.reason)
            return await form.respond(exchange, response, raw)

    def _own_ids(self, ids: str, asked: dict[str, str]) -> str:
        """The backend's ids of a list; `asked` gets the client's for each that is ours."""
        return ",".join(self._own_id(part.strip(), asked) for part in ids.split(","))

    def _own_id(self, client_id: str, asked: dict[str, str]) -> str:
        backend_id, memory = self._cursors.unwrap(client_id)
        if memory is not None:
            asked[backend_id] = client_id
        return backend_id

    def _unwrapped(self, body: str, asked: dict[str, str]) -> str:
        """The body with the backend's own ids; one that is broken is the backend's to refuse."""
        if not body.lstrip().startswith("{"):
            return self._own_ids(body, asked)
        try:
            changes = self._ids_in(body, asked)
        except ValueError:
            return body
        return replaced(body, changes)

    def _ids_in(self, body: str, asked: dict[str, str]) -> list[tuple[Slice, str]]:
        changes: list[tuple[Slice, str]] = []
        for name in ID_MEMBERS:
            whole = member(body, name)
            if whole is None:
                continue
            parts = elements(body, whole.start) if body[whole.start] == "[" else [whole]
            for part in parts:
                value = _value(body, part)
                if isinstance(value, str):
                    own = self._own_id(value, asked)
                    changes.append((part, orjson.dumps(own).decode()))
        return changes


def _with_ids(text: str, find: Callable[[str], str | None]) -> str:
    """A response that names points in time, with the ids that clients have for them."""
    pits = member(text, "pits")
    changes: list[tuple[Slice, str]] = []
    for pit in elements(text, pits.start) if pits else ():
        part = member(text, "pit_id", pit.start)
        backend_id = _value(text, part)
        if part is not None and isinstance(backend_id, str) and (known := find(backend_id)):
            changes.append((part, orjson.dumps(known).decode()))
    return replaced(text, changes)


def _value(text: str, part: Slice | None) -> Any:
    return orjson.loads(text[part.start : part.end]) if part else None


async def _readable(exchange: Exchange) -> str | None:
    """The body as text, YAML and CBOR as JSON, where there may be an id of ours in it; else None.

    Raises `ErrorResponse` where one is in a body that cannot be read: 406 for SMILE, 400 for one
    that is broken.
    """
    if not exchange.has_body:
        return None
    body = await inflated(exchange, SMALL_BODY_MAX)
    ours = PREFIX.encode() in body
    if is_text(exchange):
        # In JSON any letter may be written as its number.
        return body.decode("utf-8", "replace") if ours or b"\\u" in body else None
    try:
        return (await read_json_body(exchange, SMALL_BODY_MAX)).decode("utf-8", "replace")
    except ErrorResponse:
        if ours:
            raise
        return None
