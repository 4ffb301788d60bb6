"""A search with pipelines: its request through query pipelines, its response through result ones."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from pipelines.executor import Executor
from pipelines.payload import Payload
from proxy.bodies import is_json
from proxy.cursors import Memory
from proxy.errors import ErrorAnswer
from proxy.exchange import Exchange
from proxy.headers import Headers, request_headers
from proxy.query_string import QueryString, is_true
from proxy.relay import Relay, request_body
from proxy.runs import Runs
from proxy.scroll import ScrollTraffic
from proxy.search_request import body_in_url, dump, merge_url
from proxy.selection import Selection, Selector
from proxy.target import Target
from proxy.templates import Templates
from proxy.transform import (
    inflated,
    new_body_headers,
    parse,
    read_json_body,
    visible_headers,
)
from proxy.upstream import UpstreamResponse


@dataclass(frozen=True, slots=True)
class _Search:
    """One search: its targets and pipelines, and its body where the client's id was replaced."""

    target: Target
    query: QueryString
    names: tuple[str, ...]
    selection: Selection
    opened: bytes | None
    memory: Memory | None
    templated: bool


class SearchTraffic:
    """Answers `_search` and its template. Without pipelines the request is relayed untouched."""

    def __init__(
        self,
        relay: Relay,
        selector: Selector,
        executor: Executor,
        templates: Templates,
        scroll: ScrollTraffic,
        *,
        max_bytes: int,
        visible: frozenset[str],
    ) -> None:
        self._relay = relay
        self._selector = selector
        self._executor = executor
        self._templates = templates
        self._scroll = scroll
        self._max_bytes = max_bytes
        self._visible = visible

    async def __call__(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        return await self._answer(exchange, target, templated=False)

    async def template(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_search/template``: what the template comes to is searched for as any other request."""
        return await self._answer(exchange, target, templated=True)

    async def _answer(
        self, exchange: Exchange, target: Target, *, templated: bool
    ) -> web.StreamResponse:
        asked = target.query.get("pipeline")
        opened, memory = await self._open_pit(exchange, target)
        names = memory.names if memory else target.names
        selection = await self._selector.for_search(
            names, asked, expand=target.query.get("expand_wildcards")
        )
        query = target.query if asked is None else target.query.without({"pipeline"})
        search = _Search(target, query, names, selection, opened, memory, templated)
        if not selection and memory is None and not self._carries(search):
            body = await request_body(exchange)
            async with await self._relay.send(
                exchange, target=query.after(target.path), body=body
            ) as response:
                return await self._relay.answer(exchange, response)
        return await self._run(exchange, search)

    async def _open_pit(
        self, exchange: Exchange, target: Target
    ) -> tuple[bytes | None, Memory | None]:
        """The body with the backend's own id, where a search of a point in time has ours."""
        if target.names or not exchange.has_body:
            return None, None
        body = await inflated(exchange, self._max_bytes)
        if b'"pit"' not in body:
            return None, None
        try:
            text, memory = self._scroll.open_search(body.decode())
        except ValueError:
            # Not JSON: the backend's to refuse.
            return None, None
        return (text.encode(), memory) if memory else (None, None)

    def _carries(self, search: _Search) -> bool:
        """Whether the answer's ids have to remember something."""
        goes_on = search.memory is not None or "scroll" in search.query.names()
        guarded = self._selector.guarded("query", "result")
        return goes_on and bool(search.selection.result or search.memory or guarded)

    async def _run(self, exchange: Exchange, search: _Search) -> web.StreamResponse:
        target, query, selection = search.target, search.query, search.selection
        runs = Runs(
            self._executor,
            index=",".join(search.names),
            headers=visible_headers(exchange, self._visible),
            warnings=selection.warnings,
        )
        body = await read_json_body(exchange, self._max_bytes)
        source = search.opened or body or body_in_url(query) or b"{}"
        path = target.path
        if search.templated:
            source = (await self._templates.render(source.decode(), exchange)).encode()
            path = path.removesuffix("/template")
        request, remaining = await _merged(source, query)
        rewritten = await runs.run(selection.query, "query", request)
        headers = request_headers(exchange.raw_headers)
        sent: bytes | None = await exchange.body(self._max_bytes) if exchange.has_body else None
        if rewritten.changed or search.templated or search.opened is not None:
            sent, query = rewritten.text.encode(), remaining
            headers = new_body_headers(exchange, "" if body else "application/json")
        carries = self._carries(search)
        wants_response = bool(selection.result or runs.metadata or carries)
        if wants_response:
            headers.popall("Accept-Encoding", None)
        async with await self._relay.send(
            exchange, target=query.after(path), headers=headers, body=sent, retry=True
        ) as response:
            if not wants_response or response.status != 200:
                return await self._pass(exchange, response, runs)
            if (reason := _unreadable(response)) is not None:
                runs.skipped(selection.result, reason)
                return await self._pass(exchange, response, runs)
            raw, whole = await _read_up_to(response, self._max_bytes)
            if not whole:
                reason = f"the response is larger than {self._max_bytes} bytes"
                runs.skipped(selection.result, reason)
                return await self._pass(exchange, response, runs, begun=raw)
            try:
                answered = await parse(raw, "search response")
            except ErrorAnswer as error:
                runs.skipped(selection.result, error.reason)
                return self._whole(exchange, response, runs, raw)
            result = await runs.run(selection.result, "result", answered, request=rewritten.text)
        if result.changed or runs.metadata or carries:
            text = runs.with_metadata(result.text)
            if carries:
                known = self._scroll.memory(search.names, selection, runs, rewritten.text)
                text = self._scroll.rewrap(text, search.memory or known)
            pretty = is_true(target.query.get("pretty"))
            raw = (_indented(text) if pretty else text).encode()
        return self._whole(exchange, response, runs, raw)

    def _whole(
        self, exchange: Exchange, response: UpstreamResponse, runs: Runs, body: bytes
    ) -> web.StreamResponse:
        fields = response.headers.copy()
        if "Content-Length" in fields:
            fields["Content-Length"] = str(len(body))
        _extend(fields, runs.answer_headers())
        return exchange.respond(response.status, fields, body, reason=response.reason)

    async def _pass(
        self, exchange: Exchange, response: UpstreamResponse, runs: Runs, *, begun: bytes = b""
    ) -> web.StreamResponse:
        _extend(response.headers, runs.answer_headers())
        return await self._relay.answer(exchange, response, begun=begun)


def _unreadable(response: UpstreamResponse) -> str | None:
    """Why a result pipeline cannot read this answer; None if it can."""
    content_type = response.headers.get("Content-Type", "")
    if not is_json(content_type):
        return f"the response is {content_type or 'of no known type'}, not JSON"
    if "Content-Encoding" in response.headers:
        return "the response is compressed although that was not asked for"
    return None


async def _read_up_to(response: UpstreamResponse, limit: int) -> tuple[bytes, bool]:
    """The body, and whether that is all of it: reading stops above `limit` bytes."""
    if response.length is not None and response.length > limit:
        return b"", False
    pieces: list[bytes] = []
    size = 0
    async for chunk in response.chunks():
        pieces.append(chunk)
        size += len(chunk)
        if size > limit:
            return b"".join(pieces), False
    return b"".join(pieces), True


async def _merged(source: bytes, query: QueryString) -> tuple[Payload, QueryString]:
    """The request as a payload with URL parameters in it, and the URL without them.

    Where the URL adds nothing, the client's own text is the payload, so that numbers of any size
    stay as they were written.
    """
    payload = await parse(source, "search request")
    merged, remaining = merge_url(payload.data, query)
    if merged == payload.data:
        return payload, remaining
    exact = merge_url(json.loads(source), query)[0]
    return Payload(dump(exact), merged), remaining


def _indented(text: str) -> str:
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


def _extend(headers: Headers, more: Iterable[tuple[str, str]]) -> None:
    for name, value in more:
        headers.add(name, value)
