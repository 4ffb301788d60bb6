"""Pages of a search that goes on: result pipelines run on each, as they did on the first."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import quote

import orjson
from aiohttp import web

from pipelines.jsontext.slices import Slice, member, replaced
from pipelines.payload import Payload
from proxy.http.errors import ErrorResponse
from proxy.http.headers import request_headers
from proxy.http.media_type import is_json
from proxy.protocol.limits import CURSOR_MAX
from proxy.protocol.resume_id import PREFIX, Cursors
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.continuation import Continuation, is_text
from proxy.traffic.limits import SMALL_BODY_MAX
from proxy.traffic.relay import request_body
from proxy.traffic.request_body import (
    UnreadableError,
    inflated,
    new_body_headers,
    parse_response,
    read_json_body,
)
from proxy.traffic.response_format import ResponseForm
from proxy.traffic.runs import Runs
from proxy.traffic.search_run import Found, SearchRun
from proxy.traffic.selection import Chosen
from proxy.traffic.services import Services
from proxy.upstream.response import UpstreamResponse


@dataclass(slots=True, kw_only=True)
class Page(Found):
    """A page: `raw` is its body, None where the backend returned none."""

    response: UpstreamResponse
    raw: bytes | None = None

    def release(self) -> None:
        self.response.release()


class ScrollHandler:
    """Handles `_search/scroll`."""

    def __init__(self, services: Services, cursors: Cursors, continuation: Continuation) -> None:
        self._relay = services.relay
        self._executor = services.executor
        self._cursors = cursors
        self._continuation = continuation
        self._visible = services.visible

    async def page(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_search/scroll``: the next page."""
        client_id, inner, body = await self._read(exchange, target)
        backend_id, memory = self._cursors.unwrap(client_id) if client_id else ("", None)
        if memory is None:
            self._continuation.refuse_unknown(target)
            return await self._pass(exchange)
        form = await ResponseForm.of(exchange, target.query, self._relay)
        form.check()
        headers = new_body_headers(exchange) if body else request_headers(exchange.raw_headers)
        query, headers = form.ask(target.query, headers)
        sent = self._with_id(replace(target, query=query), body, inner, backend_id)
        runs = Runs.of(
            exchange, self._executor, index=",".join(memory.names), visible=self._visible
        )
        runs.state = dict(memory.state)
        chosen = self._continuation.remembered(memory, runs)
        begun = Payload(memory.request, {})

        async def ask(request: Payload) -> Page:
            response = await self._relay.send(
                exchange, target=sent[0], headers=headers, body=sent[1]
            )
            page = Page(request, response=response)
            try:
                return await self._read_page(page, runs, chosen)
            except BaseException:
                page.release()
                raise

        page = await SearchRun((), chosen, begun).run(runs, ask)
        with page.response as response:
            if page.raw is None:
                if form.is_plain:
                    return await self._relay.respond(exchange, response)
                return await form.respond(exchange, response, await response.read())
            text = page.raw.decode(errors="surrogateescape")
            if page.payload is not None:
                text = page.payload.text
            text = runs.with_metadata(text)
            kept = replace(memory, state=dict(runs.state))
            with suppress(ValueError):
                # Where its parts cannot be told apart, the next page has no pipelines.
                fitted = self._continuation.fitted(kept, CURSOR_MAX, runs, "pages")
                text = self._continuation.rewrap(text, fitted)
            told = page.payload is not None
            whole = text if told else text.encode(errors="surrogateescape")
            return await form.respond(exchange, response, whole, runs.response_headers())

    async def _read_page(self, page: Page, runs: Runs, chosen: Chosen) -> Page:
        """The page with its body, if it is one; what no pipeline can read is noted."""
        response = page.response
        readable = is_json(response.headers.get("Content-Type", ""))
        if response.status != 200 or not readable:
            if response.status == 200:
                runs.skipped(chosen, "the page does not come as JSON")
            return page
        page.raw = await response.read()
        try:
            page.payload = await parse_response(page.raw, "page")
        except UnreadableError as error:
            runs.skipped(chosen, error.reason)
        return page

    async def _read(
        self, exchange: Exchange, target: Target
    ) -> tuple[str | None, Slice | None, str]:
        """The scroll id, where it lies in the body (if it does), and the body as text.

        As for the backend, an id in the body goes before one in the path or in the query string.
        """
        elsewhere = target.id if target.id is not None else target.query.get("scroll_id")
        body = await _readable(exchange)
        if body.lstrip().startswith("{"):
            try:
                part = member(body, "scroll_id")
                value = orjson.loads(body[part.start : part.end]) if part else None
            except ValueError:
                return None, None, body
            if part is None:
                return elsewhere, None, body
            return (value, part, body) if isinstance(value, str) else (None, None, body)
        if body.strip():
            start = len(body) - len(body.lstrip())
            return body.strip(), Slice(start, start + len(body.strip())), body
        return elsewhere, None, body

    def _with_id(
        self, target: Target, body: str, part: Slice | None, backend_id: str
    ) -> tuple[str, bytes | None]:
        """The request with the backend's id where the client's was."""
        if part is not None:
            quoted = orjson.dumps(backend_id).decode() if body[part.start] == '"' else backend_id
            return target.query.after(target.path), replaced(body, [(part, quoted)]).encode()
        if target.id is not None:
            path = target.path.rpartition("/")[0] + "/" + quote(backend_id, safe="=")
            return target.query.after(path), body.encode() or None
        query = target.query.without({"scroll_id"}).with_parameter("scroll_id", backend_id)
        return query.after(target.path), body.encode() or None

    async def _pass(self, exchange: Exchange) -> web.StreamResponse:
        body = await request_body(exchange)
        with await self._relay.send(exchange, body=body) as response:
            return await self._relay.respond(exchange, response)


async def _readable(exchange: Exchange) -> str:
    """The body as text; in other formats than JSON, as JSON.

    Raises `ErrorResponse` where an id of ours comes with one that cannot be read: 406 for SMILE,
    400 for one that is broken.
    """
    body = await inflated(exchange, SMALL_BODY_MAX)
    if not is_text(exchange):
        try:
            body = await read_json_body(exchange, SMALL_BODY_MAX)
        except ErrorResponse:
            if PREFIX in exchange.target or PREFIX.encode() in body:
                raise
    return body.decode("utf-8", "replace")
