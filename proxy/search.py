"""A search with pipelines: its request through query pipelines, its response through result ones."""

from __future__ import annotations

import json
from collections.abc import Iterable

import orjson
from aiohttp import web

from pipelines.executor import Executor
from pipelines.payload import Payload
from proxy.bodies import is_json
from proxy.errors import ErrorAnswer
from proxy.exchange import Exchange
from proxy.headers import Headers, request_headers
from proxy.query_string import QueryString, is_true
from proxy.relay import Relay, request_body
from proxy.runs import Runs
from proxy.search_request import body_in_url, dump, merge_url
from proxy.selection import Selection, Selector
from proxy.target import Target
from proxy.templates import Templates
from proxy.transform import new_body_headers, parse, read_json_body, visible_headers
from proxy.upstream import UpstreamResponse


class SearchTraffic:
    """Answers `_search` and its template. Without pipelines the request is relayed untouched."""

    def __init__(
        self,
        relay: Relay,
        selector: Selector,
        executor: Executor,
        templates: Templates,
        *,
        max_bytes: int,
        visible: frozenset[str],
    ) -> None:
        self._relay = relay
        self._selector = selector
        self._executor = executor
        self._templates = templates
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
        selection = await self._selector.for_search(
            target.names, asked, expand=target.query.get("expand_wildcards")
        )
        query = target.query if asked is None else target.query.without({"pipeline"})
        if not selection:
            body = await request_body(exchange)
            async with await self._relay.send(
                exchange, target=query.after(target.path), body=body
            ) as response:
                return await self._relay.answer(exchange, response)
        return await self._run(exchange, target, query, selection, templated)

    async def _run(
        self,
        exchange: Exchange,
        target: Target,
        query: QueryString,
        selection: Selection,
        templated: bool,
    ) -> web.StreamResponse:
        runs = Runs(
            self._executor,
            index=target.index,
            headers=visible_headers(exchange, self._visible),
            warnings=selection.warnings,
        )
        body = await read_json_body(exchange, self._max_bytes)
        source = body or body_in_url(query) or b"{}"
        path = target.path
        if templated:
            source = (await self._templates.render(source.decode(), exchange)).encode()
            path = path.removesuffix("/template")
        request, remaining = await _merged(source, query)
        rewritten = await runs.run(selection.query, "query", request)
        headers = request_headers(exchange.raw_headers)
        sent: bytes | None = await exchange.body(self._max_bytes) if exchange.has_body else None
        if rewritten.changed or templated:
            sent, query = rewritten.text.encode(), remaining
            headers = new_body_headers(exchange, "" if body else "application/json")
        wants_response = bool(selection.result or runs.metadata)
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
        if result.changed or runs.metadata:
            pretty = is_true(target.query.get("pretty"))
            raw = _response_text(result, runs, pretty).encode()
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


def _response_text(result: Payload, runs: Runs, pretty: bool) -> str:
    text = result.text
    if runs.metadata:
        metadata = orjson.dumps(runs.metadata).decode()
        rest = text.lstrip()[1:].lstrip()
        comma = "" if rest.startswith("}") else ","
        text = f'{{"_pipeline_metadata":{metadata}{comma}{rest}'
    if pretty:
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    return text


def _extend(headers: Headers, more: Iterable[tuple[str, str]]) -> None:
    for name, value in more:
        headers.add(name, value)
