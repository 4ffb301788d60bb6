"""Pages of a search that goes on: result pipelines run on each, as they did on the first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote

import orjson
from aiohttp import web

from pipelines.execution.executor import Executor
from pipelines.jsontext.slices import Slice, member, replaced
from pipelines.registry import Registry
from proxy.formats.convert import format_of
from proxy.http.errors import ErrorResponse
from proxy.http.headers import request_headers
from proxy.http.media_type import is_json
from proxy.protocol.given_ids import GivenIds
from proxy.protocol.lenient_json import may_hold
from proxy.protocol.resume_id import CURSOR_MAX, PREFIX, Cursors, Memory
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.relay import Relay, request_body
from proxy.traffic.request_body import (
    UnreadableError,
    inflated,
    new_body_headers,
    parse_response,
    read_json_body,
)
from proxy.traffic.response_format import ResponseForm
from proxy.traffic.runs import Runs
from proxy.traffic.selection import Chosen, Selection, Selector

BODY_MAX = 16 * 1024 * 1024
RESPONSE_MAX = 100 * 1024 * 1024
Render = Callable[[bytes, Exchange], Awaitable[str]]
# The members and parameters that hold ids, by the spelling of either backend.
ID_MEMBERS = ("scroll_id", "pit_id", "id")


class ScrollHandler:
    """Handles `_search/scroll`, and tells of searches what their ids remember."""

    def __init__(
        self,
        relay: Relay,
        selector: Selector,
        executor: Executor,
        registry: Registry,
        cursors: Cursors,
        given: GivenIds,
        *,
        visible: frozenset[str],
    ) -> None:
        self._relay = relay
        self._selector = selector
        self._executor = executor
        self._registry = registry
        self._cursors = cursors
        self._given = given
        self._visible = visible

    async def page(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_search/scroll``: the next page."""
        client_id, inner, body = await self._read(exchange, target)
        backend_id, memory = self._cursors.unwrap(client_id) if client_id else ("", None)
        if memory is None:
            self.refuse_unknown(target)
            return await self._pass(exchange, target)
        form = await ResponseForm.of(exchange, target.query, self._relay)
        form.check()
        headers = new_body_headers(exchange) if body else request_headers(exchange.raw_headers)
        query, headers = form.ask(target.query, headers)
        whole = replace(target, query=query)
        sent_target, sent_body = self._with_id(whole, body, inner, backend_id)
        runs = Runs.of(
            exchange,
            self._executor,
            index=",".join(memory.names),
            visible=self._visible,
        )
        runs.state = dict(memory.state)
        chosen = self.remembered(memory, runs)
        with await self._relay.send(
            exchange, target=sent_target, headers=headers, body=sent_body
        ) as response:
            readable = is_json(response.headers.get("Content-Type", ""))
            if response.status != 200 or not readable:
                if response.status == 200:
                    runs.skipped(chosen, "the page is not answered as JSON")
                if form.is_plain:
                    return await self._relay.respond(exchange, response)
                return await form.respond(exchange, response, await response.read(RESPONSE_MAX))
            raw = await response.read(RESPONSE_MAX)
            text, read = raw.decode(errors="surrogateescape"), True
            try:
                payload = await parse_response(raw, "page")
                result = await runs.run(chosen, "result", payload, request=memory.request)
                text = result.text
            except UnreadableError as error:
                runs.skipped(chosen, error.reason)
                read = False
            text = runs.with_metadata(text)
            kept = replace(memory, state=runs.state)
            with suppress(ValueError):
                # Where its parts cannot be told apart, the next page has no pipelines.
                text = self.rewrap(text, self.fitted(kept, CURSOR_MAX, runs, "pages"))
            page = text if read else text.encode(errors="surrogateescape")
            return await form.respond(exchange, response, page, runs.response_headers())

    # For the first page, which is a search

    def memory(
        self, names: tuple[str, ...], selection: Selection, runs: Runs, request: str
    ) -> Memory:
        """What later pages of a search have to know."""
        memory = Memory(
            names=names,
            result=tuple((p.name, p.definition.version) for p in selection.result),
            final=tuple(p.name for p in selection.result if p.final),
            state=dict(runs.state),
            request=request,
        )
        return self.fitted(memory, CURSOR_MAX, runs, "pages")

    def fitted(self, memory: Memory, limit: int, runs: Runs, what: str) -> Memory:
        """What an id of at most `limit` characters can remember; the client is told of the rest.

        Raises `ErrorResponse` (413) where a final pipeline would miss it.
        """
        fitting, left_out = self._cursors.fitted(memory, limit)
        for part in left_out:
            reason = f"the {part} of this search is too large to be kept in its id"
            if memory.final:
                hint = f"; the final pipeline [{memory.final[0]}] needs it, use a plain _search"
                raise ErrorResponse(413, "content_too_long_exception", reason + hint)
            runs.warnings.add(f"{reason}; pipelines do not see it on later {what}")
        return fitting

    def rewrap(self, text: str, memory: Memory) -> str:
        """A response with the ids in it wrapped."""
        changes: list[tuple[Slice, str]] = []
        for name in ("_scroll_id", *ID_MEMBERS):
            part = member(text, name)
            if part is None:
                continue
            value = orjson.loads(text[part.start : part.end])
            if isinstance(value, str) and not value.startswith(PREFIX):
                wrapped = self._cursors.wrap(value, memory)
                changes.append((part, orjson.dumps(wrapped).decode()))
        return replaced(text, changes)

    async def opened(
        self, exchange: Exchange, target: Target, limit: int, render: Render | None = None
    ) -> tuple[bytes | None, Memory | None]:
        """A search's body with the backend's own id, and what the client's remembered.

        `render` makes a search of a template.

        None where it is no search of a point in time that was opened here. Raises `ErrorResponse`
        as `open_search` does.
        """
        if target.names or not exchange.has_body:
            return None, None
        body = await inflated(exchange, limit)
        if not is_text(exchange) and b"pit" in body:
            try:
                body = await read_json_body(exchange, limit)
            except ErrorResponse:
                if PREFIX.encode() in body:
                    raise
                # Without an id of ours it is the backend's to refuse.
                return None, None
        if render is not None and PREFIX.encode() in body:
            body = (await render(body, exchange)).encode()
        if not may_hold(body, b'"pit"'):
            return None, None
        try:
            text, memory = self.open_search(body.decode())
        except ValueError:
            # Not JSON: the backend's to refuse.
            return None, None
        return (text.encode(), memory) if memory else (None, None)

    def open_search(self, text: str) -> tuple[str, Memory | None]:
        """A search request with the backend's own id under ``pit``, and what its id remembered.

        Raises `ErrorResponse` (403) for an id not of ours where a final pipeline could be missed.
        """
        pit = member(text, "pit")
        part = member(text, "id", pit.start) if pit else None
        if part is None:
            return text, None
        value = orjson.loads(text[part.start : part.end])
        if not isinstance(value, str):
            return text, None
        backend_id, memory = self._cursors.unwrap(value)
        if memory is None:
            if self._selector.guarded("query", "result"):
                raise _unknown_id("a search of a point in time")
            return text, None
        self._given.keep(backend_id, memory)
        return replaced(text, [(part, orjson.dumps(backend_id).decode())]), memory

    def remembered(self, memory: Memory, runs: Runs) -> Chosen:
        """The pipelines a search was begun with. A final one that is gone ends the search."""
        chosen = []
        for name, version in memory.result:
            pipeline = self._registry.find(name)
            if pipeline is None:
                if name in memory.final:
                    reason = f"the final pipeline [{name}] of this search is not there any more"
                    raise ErrorResponse(500, "pipeline_execution_exception", reason)
                runs.warnings.add(f"pipeline [{name}@{version}] did not run: it was deleted")
                continue
            if pipeline.definition.version != version:
                now = pipeline.definition.version
                runs.warnings.add(
                    f"pipeline [{name}] was {version} when the search began, is {now}"
                )
            chosen.append(replace(pipeline, final=name in memory.final))
        return tuple(chosen)

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

    def refuse_unknown(self, target: Target) -> None:
        """Raise `ErrorResponse` (403) where an id not of ours could get past a final pipeline."""
        if self._selector.guarded("query", "result"):
            raise _unknown_id(target.path)

    async def _pass(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        body = await request_body(exchange)
        with await self._relay.send(exchange, body=body) as response:
            return await self._relay.respond(exchange, response)


async def _readable(exchange: Exchange) -> str:
    """The body as text; in other formats than JSON, as JSON.

    Raises `ErrorResponse` where an id of ours comes with one that cannot be read: 406 for SMILE,
    400 for one that is broken.
    """
    body = await inflated(exchange, BODY_MAX)
    if not is_text(exchange):
        try:
            body = await read_json_body(exchange, BODY_MAX)
        except ErrorResponse:
            if PREFIX in exchange.target or PREFIX.encode() in body:
                raise
    return body.decode("utf-8", "replace")


def is_text(exchange: Exchange) -> bool:
    """Whether the body is JSON, or an id alone, and no other format of the backend's."""
    return format_of(exchange.headers.get("Content-Type", "")) in (None, "json")


def _unknown_id(what: str) -> ErrorResponse:
    reason = (
        f"[{what}] carries an id that was not given out by this proxy, and could get past a final"
        " pipeline; begin the search anew through the proxy"
    )
    return ErrorResponse(403, "security_exception", reason)
