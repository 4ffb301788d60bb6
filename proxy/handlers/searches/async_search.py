"""Asynchronous searches, in the spelling of either backend: their ids remember what they run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote

import orjson
from aiohttp import web

from pipelines.jsontext.slices import Slice, members, replaced
from pipelines.payload import Payload
from proxy.http.headers import request_headers
from proxy.http.limits import PARSE_INLINE
from proxy.http.media_type import is_json
from proxy.protocol.resume_id import Cursors, Memory
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.continuation import Continuation
from proxy.traffic.limits import PATH_ID_MAX
from proxy.traffic.named_body import named_in_body
from proxy.traffic.refusals import Attempt
from proxy.traffic.relay import request_body
from proxy.traffic.request_body import (
    UnreadableError,
    new_body_headers,
    parse_response,
    read_json_body,
)
from proxy.traffic.response_format import ResponseForm
from proxy.traffic.runs import Runs
from proxy.traffic.search_payload import merged_request
from proxy.traffic.search_run import Found, SearchRun
from proxy.traffic.selection import Chosen
from proxy.traffic.services import Services
from proxy.upstream.client import UpstreamResponse

# Elasticsearch tells the id in the head of its responses as well.
ID_FIELD: Final = "X-Elasticsearch-Async-Id"
# Parameters that a plain search does not have.
_OWN: Final = frozenset({"wait_for_completion_timeout", "keep_on_completion", "keep_alive"})


@dataclass(slots=True, kw_only=True)
class Begun(Found):
    """What the backend returned for an asynchronous search.

    `raw` is the body, None where nobody has to see it or it is not JSON; `text` the same where its
    parts can be told apart. `found` is where the search's own response lies in it and `inner` what
    stands there, if there is one yet; `changes` are other parts to be replaced.
    """

    response: UpstreamResponse
    raw: bytes | None = None
    text: str | None = None
    found: Slice | None = None
    inner: str = ""
    changes: list[tuple[Slice, str]] = field(default_factory=list)

    def release(self) -> None:
        self.response.release()


class AsyncSearchHandler:
    """Handles the calls of asynchronous searches. Without pipelines they are relayed untouched.

    Every response that has a ``response`` is seen by the result pipelines, partial ones too, each
    time with the state that the query pipelines left.
    """

    def __init__(self, services: Services, cursors: Cursors, continuation: Continuation) -> None:
        self._relay = services.relay
        self._selector = services.selector
        self._executor = services.executor
        self._cursors = cursors
        self._continuation = continuation
        self._max_bytes = services.max_transform_bytes
        self._visible = services.visible

    async def submit(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """Begin a search; its first response may have results already."""
        asked, query = self._selector.names.of(exchange, target.query, searches=True)
        opened, point = await self._continuation.opened(exchange, target, self._max_bytes)
        if self._selector.has_pipelines:
            asked, opened = await named_in_body(
                self._selector.names, exchange, opened, asked, self._max_bytes
            )
        names = point.names if point else target.names
        selection = await self._selector.for_search(
            names, asked, expand=target.query.get("expand_wildcards")
        )
        guarded = self._selector.guarded("query", "result")
        if not (selection or opened is not None or guarded):
            return await self._pass(exchange, query.after(target.path))
        runs = self._runs(exchange, names)
        runs.warnings.extend(selection.warnings)
        is_read = False
        try:
            body = await read_json_body(exchange, self._max_bytes)
            is_read = bool(body)
            request, remaining = await merged_request(opened or body or b"{}", query)
        except UnreadableError as error:
            runs.unread(selection.query, error)
            selection = replace(selection, query=())
            request, remaining = Payload((opened or b"{}").decode(), {}), query
        sent = await exchange.body(self._max_bytes) if exchange.has_body else None
        form = await ResponseForm.of(exchange, query, self._relay)

        async def ask(rewritten: Payload) -> Begun:
            wrapped = bool(selection.result or runs.metadata or point or guarded)
            if wrapped:
                form.check()
                # What cannot be remembered is found out before the search begins.
                memory = self._memory(names, selection.result, runs, rewritten.text)

            async def send(request: Payload) -> UpstreamResponse:
                headers, body, left = request_headers(exchange.raw_headers), sent, query
                if request.changed or opened is not None:
                    body, left = request.text.encode(), remaining
                    headers = new_body_headers(exchange, "" if is_read else "application/json")
                if wrapped:
                    left, headers = form.ask(left, headers)
                return await self._relay.send(
                    exchange, target=left.after(target.path), headers=headers, body=body
                )

            async def probe(request: str) -> UpstreamResponse:
                return await self._relay.send(
                    exchange,
                    target=remaining.without(_OWN).after(_search_path(target)),
                    headers=new_body_headers(exchange, "application/json"),
                    body=request.encode(),
                )

            attempt = Attempt(selection.query, request, rewritten, send, probe)
            response, answered = await attempt.respond(runs)
            begun = Begun(answered, response=response)
            if wrapped:
                if answered is not rewritten:
                    memory = self._memory(names, selection.result, runs, answered.text)
                await self._read(begun, runs, selection.result, memory)
            return begun

        begun = await SearchRun(selection.query, selection.result, request).run(runs, ask)
        return await self._respond(exchange, begun, form, runs)

    async def result(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """What a search has found so far, with the pipelines it was begun with."""
        backend_id, memory = self._cursors.unwrap(target.id or "")
        if memory is None:
            self._continuation.refuse_unknown(target)
            return await self._pass(exchange)
        runs = self._runs(exchange, memory.names)
        runs.state, runs.metadata = dict(memory.state), dict(memory.metadata)
        chosen = self._continuation.remembered(memory, runs)
        return await self._ask(exchange, target, backend_id, memory, runs, chosen)

    async def status(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """How far a search is: no documents, so nothing for pipelines, but an id."""
        backend_id, memory = self._cursors.unwrap(target.id or "")
        if memory is None:
            return await self._pass(exchange)
        runs = self._runs(exchange, memory.names)
        return await self._ask(exchange, target, backend_id, memory, runs, ())

    async def delete(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """End a search, or delete its results."""
        backend_id, memory = self._cursors.unwrap(target.id or "")
        return await self._pass(exchange, _target_of(target, backend_id) if memory else None)

    async def _ask(
        self,
        exchange: Exchange,
        target: Target,
        backend_id: str,
        memory: Memory,
        runs: Runs,
        chosen: Chosen,
    ) -> web.StreamResponse:
        form = await ResponseForm.of(exchange, target.query, self._relay)
        form.check()
        query, headers = form.ask(target.query, request_headers(exchange.raw_headers))
        sent = _target_of(replace(target, query=query), backend_id)

        async def ask(request: Payload) -> Begun:
            response = await self._relay.send(
                exchange, target=sent, headers=headers, body=await request_body(exchange)
            )
            begun = Begun(request, response=response)
            await self._read(begun, runs, chosen, memory)
            return begun

        begun = await SearchRun((), chosen, Payload(memory.request, {})).run(runs, ask)
        return await self._respond(exchange, begun, form, runs)

    async def _read(self, begun: Begun, runs: Runs, chosen: Chosen, memory: Memory) -> None:
        """Read what the backend returned, whatever its status: a search that failed can have
        results too. What is no response of a search is noted, and left as it is.
        """
        response = begun.response
        try:
            if own := response.headers.get(ID_FIELD):
                response.headers[ID_FIELD] = self._cursors.wrap(own, memory)
            if not is_json(response.headers.get("Content-Type", "")):
                if response.status == 200:
                    runs.skipped(chosen, "the response is not JSON")
                return
            begun.raw = await response.read()
            try:
                text = begun.raw.decode()
                parts = await _located(text)
            except ValueError as error:
                runs.skipped(chosen, f"the response is not valid JSON: {error}")
                return
            begun.text = text
            if own_id := parts.get("id"):
                begun.changes += self._wrapped(text, own_id, memory)
            found = parts.get("response")
            if found is not None and text[found.start] == "{":
                begun.found = found
                inner = await self._found(text[found.start : found.end], memory)
                begun.inner = inner
                begun.payload = await self._payload(inner, runs, chosen)
        except BaseException:
            begun.release()
            raise

    async def _respond(
        self, exchange: Exchange, begun: Begun, form: ResponseForm, runs: Runs
    ) -> web.StreamResponse:
        with begun.response as response:
            if begun.raw is None:
                response.headers.extend(runs.response_headers())
                return await self._relay.respond(exchange, response)
            if begun.text is None:
                fields = response.headers.copy()
                fields.popall("Content-Length", None)
                fields.extend(runs.response_headers())
                return exchange.respond(response.status, fields, begun.raw, reason=response.reason)
            if begun.found is not None:
                inner = begun.inner if begun.payload is None else begun.payload.text
                begun.changes.append((begun.found, runs.with_metadata(inner)))
            whole = replaced(begun.text, begun.changes)
            return await form.respond(exchange, response, whole, runs.response_headers())

    async def _found(self, text: str, memory: Memory) -> str:
        """A search response in which the id of a point in time stays ours."""
        if '"pit_id"' in text and (point := (await _located(text)).get("pit_id")):
            return replaced(text, self._wrapped(text, point, Memory(names=memory.names)))
        return text

    async def _payload(self, text: str, runs: Runs, chosen: Chosen) -> Payload | None:
        if len(text) > self._max_bytes:
            runs.skipped(chosen, f"the response is larger than {self._max_bytes} bytes")
            return None
        try:
            return await parse_response(text.encode(), "search response")
        except UnreadableError as error:
            runs.skipped(chosen, error.reason)
            return None

    def _wrapped(self, text: str, part: Slice, memory: Memory) -> list[tuple[Slice, str]]:
        value = orjson.loads(text[part.start : part.end])
        if not isinstance(value, str):
            return []
        return [(part, orjson.dumps(self._cursors.wrap(value, memory)).decode())]

    def _memory(self, names: tuple[str, ...], chosen: Chosen, runs: Runs, request: str) -> Memory:
        """What later responses have to know, as far as it fits into an id.

        Raises `ErrorResponse` (413) where it does not fit and a final pipeline would miss it.
        """
        memory = Memory(
            names=names,
            result=tuple((p.name, p.definition.version) for p in chosen),
            final=tuple(p.name for p in chosen if p.final),
            state=dict(runs.state) if chosen else {},
            request=request if chosen else "{}",
            metadata=dict(runs.metadata),
        )
        return self._continuation.fitted(memory, PATH_ID_MAX, runs, "answers")

    def _runs(self, exchange: Exchange, names: tuple[str, ...]) -> Runs:
        index = ",".join(names)
        return Runs.of(exchange, self._executor, index=index, visible=self._visible)

    async def _pass(self, exchange: Exchange, target: str | None = None) -> web.StreamResponse:
        body = await request_body(exchange)
        with await self._relay.send(exchange, target=target, body=body) as response:
            return await self._relay.respond(exchange, response)


def _search_path(target: Target) -> str:
    """The path of a plain search of the same indices."""
    path = target.path.rstrip("/").rpartition("/")[0]
    return f"{path.removesuffix('/_plugins').removesuffix('/_opendistro')}/_search"


def _target_of(target: Target, backend_id: str) -> str:
    """The request target with the backend's id where the client's was, at the end of the path."""
    path = target.path.rstrip("/").rpartition("/")[0]
    return target.query.after(f"{path}/{quote(backend_id, safe='=')}")


async def _located(text: str) -> dict[str, Slice]:
    """Where the members of a JSON object lie. Raises `ValueError` for a text that is none."""
    if len(text) > PARSE_INLINE:
        found = await asyncio.to_thread(members, text)
    else:
        found = members(text)
    return {part.key: part for part in found}
