"""Documents read by id: result pipelines that apply to `get` see them as the hits of a search."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any, Final

import orjson
from aiohttp import web

from pipelines.errors import PipelineError
from pipelines.execution.plan import CompiledPipeline
from pipelines.jsontext.json_text import write
from pipelines.jsontext.slices import Slice, elements, member, members, replaced
from proxy.http.errors import ErrorResponse
from proxy.http.headers import request_headers
from proxy.http.limits import PARSE_INLINE
from proxy.http.media_type import is_json
from proxy.protocol.target import Operation, Target
from proxy.server.errors import response_for
from proxy.server.exchange import Exchange
from proxy.tasks import for_each
from proxy.traffic.relay import request_body
from proxy.traffic.request_body import UnreadableError, located, parse_response
from proxy.traffic.response_format import ResponseForm
from proxy.traffic.runs import Runs
from proxy.traffic.selection import Chosen, bypass_refused
from proxy.traffic.services import Services
from proxy.upstream.client import UpstreamResponse

_AROUND: Final = (
    b'{"took":0,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},'
    b'"hits":{"total":{"value":1,"relation":"eq"},"max_score":null,"hits":[%b]}}'
)
_REQUEST = '{"query":{"match_all":{}}}'


class GetHandler:
    """Handles `GET _doc`, `_source` and `_mget`. Without such pipelines they are relayed."""

    def __init__(self, services: Services) -> None:
        self._relay = services.relay
        self._selector = services.selector
        self._executor = services.executor
        self._visible = services.visible
        self._at_once = services.items_at_once

    async def one(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """One document, or its source; a document that a pipeline takes out is not found."""
        chosen = await self._chosen(target.names, exchange, target)
        query = target.query.without({"pipeline"})
        if not chosen:
            body = await request_body(exchange)
            with await self._relay.send(
                exchange, target=query.after(target.path), body=body
            ) as response:
                return await self._relay.respond(exchange, response)
        bare = target.operation is Operation.GET_SOURCE
        form = await ResponseForm.of(exchange, query, self._relay)
        if bare:
            # The backend gives a source whole, whatever its `filter_path`.
            form = replace(form, filters=None)
        form.check()
        query, headers = form.ask(query, request_headers(exchange.raw_headers))
        runs = self._runs(exchange, target.index)
        with await self._relay.send(
            # A HEAD says what the GET would, and that is what pipelines make of the document.
            exchange,
            target=query.after(target.path),
            headers=headers,
            retry=True,
            method="GET",
        ) as response:
            readable = is_json(response.headers.get("Content-Type", ""))
            if response.status == 200 and not readable:
                runs.skipped(chosen, "the document does not come as JSON")
            if response.status != 200 or not readable:
                return await self._unread(exchange, response, form)
            raw = await response.read()
            text = raw.decode(errors="surrogateescape")
            hit = _source_hit(target, text) if bare else text
            try:
                result = await self._run(runs, chosen, hit)
            except UnreadableError:
                if not form.is_plain:
                    return await self._again(exchange, target, runs)
                result = hit
            reported = runs.response_headers()
            if result is None:
                gone = _not_found(target, bare)
                return await form.respond(exchange, response, gone, reported, status=404)
            kept = raw if result == hit else _part(result, "_source") if bare else result
            return await form.respond(exchange, response, kept, reported)

    async def _again(self, exchange: Exchange, target: Target, runs: Runs) -> web.StreamResponse:
        """The backend's own response, in the form that the client asked for."""
        query = target.query.without({"pipeline"})
        body = await exchange.body(exchange.max_body) if exchange.has_body else None
        with await self._relay.send(
            exchange, target=query.after(target.path), body=body, retry=True
        ) as response:
            response.headers.extend(runs.response_headers())
            return await self._relay.respond(exchange, response)

    async def _unread(
        self, exchange: Exchange, response: UpstreamResponse, form: ResponseForm
    ) -> web.StreamResponse:
        """A response that no pipeline is for, or can read."""
        if form.is_plain and exchange.method != "HEAD":
            return await self._relay.respond(exchange, response)
        return await form.respond(exchange, response, await response.read())

    async def many(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_mget``: every document by the pipelines of its own index."""
        query = target.query.without({"pipeline"})
        body = await request_body(exchange)
        if not await self._may_apply(exchange, target):
            with await self._relay.send(
                exchange, target=query.after(target.path), body=body
            ) as response:
                return await self._relay.respond(exchange, response)
        form = await ResponseForm.of(exchange, query, self._relay)
        form.check()
        query, headers = form.ask(query, request_headers(exchange.raw_headers))
        with await self._relay.send(
            exchange, target=query.after(target.path), headers=headers, body=body, retry=True
        ) as response:
            readable = is_json(response.headers.get("Content-Type", ""))
            if response.status != 200 or not readable:
                return await self._unread(exchange, response, form)
            raw = await response.read()
            runs = self._runs(exchange, target.index)
            text, whole = await self._documents(raw, runs)
            changes = await self._each(exchange, target, text, whole, runs) if whole else []
            made = replaced(text, changes) if changes else raw
            if not changes and not form.is_plain and runs.warnings:
                return await self._again(exchange, target, runs)
            return await form.respond(exchange, response, made, runs.response_headers())

    async def _documents(self, raw: bytes, runs: Runs) -> tuple[str, Slice | None]:
        """A response's text and where its documents lie; None where they cannot be told apart."""
        try:
            if len(raw) > PARSE_INLINE:
                return await asyncio.to_thread(located, raw, "docs")
            return located(raw, "docs")
        except UnreadableError as error:
            if self._selector.guarded("result"):
                raise ErrorResponse(500, "pipeline_execution_exception", error.reason) from error
            runs.warnings.add(f"no pipeline ran: {error.reason}")
            return "", None

    async def _each(
        self, exchange: Exchange, target: Target, text: str, whole: Slice, runs: Runs
    ) -> list[tuple[Slice, str]]:
        changes: list[tuple[Slice, str]] = []

        async def work(part: Slice) -> None:
            document = text[part.start : part.end]
            new = await self._one_of_many(exchange, target, document, runs)
            if new != document:
                changes.append((part, new))

        parts = list(elements(text, whole.start))
        await for_each(parts, work, at_once=self._at_once, name="mget item")
        return changes

    async def _one_of_many(self, exchange: Exchange, target: Target, text: str, runs: Runs) -> str:
        # Its source may be more than a parser can hold.
        parts = {part.key: part for part in members(text)}
        found, named, identified = (parts.get(key) for key in ("found", "_index", "_id"))
        if found is None or named is None or text[found.start : found.end] != "true":
            return text
        index = str(json.loads(text[named.start : named.end]))
        doc_id = json.loads(text[identified.start : identified.end]) if identified else None
        own = self._runs(exchange, index)
        try:
            chosen = await self._chosen((index,), exchange, target)
            result = await self._run(own, chosen, text)
        except UnreadableError:
            return text
        except (ErrorResponse, PipelineError) as error:
            response = orjson.loads(response_for(error, own.request_id).body())["error"]
            return write({"_index": index, "_id": doc_id, "error": response})
        finally:
            runs.take(own)
        if result is None:
            return write({"_index": index, "_id": doc_id, "found": False})
        return result

    async def _may_apply(self, exchange: Exchange, target: Target) -> bool:
        asked, _ = self._selector.names.of(exchange, target.query)
        if asked is not None or self._selector.guarded("result"):
            return True
        return not self._selector.idle

    async def _chosen(self, names: tuple[str, ...], exchange: Exchange, target: Target) -> Chosen:
        """The result pipelines that apply to a read by id.

        Raises `ErrorResponse`: 400 for one that is named and does not apply, 403 for a final one.
        """
        asked, _ = self._selector.names.of(exchange, target.query)
        selection = await self._selector.for_search(names, asked, phases=("result",))
        chosen: list[CompiledPipeline] = []
        for pipeline in selection.result:
            if "get" in pipeline.definition.applies_to:
                chosen.append(pipeline)
            elif pipeline.final:
                raise bypass_refused(pipeline, target.path)
            elif asked is not None and not asked.by_header:
                reason = f"[{pipeline.name}] does not apply to reads by id (applies_to)"
                raise ErrorResponse(400, "illegal_argument_exception", reason)
        return tuple(chosen)

    async def _run(self, runs: Runs, chosen: Chosen, hit: str) -> str | None:
        """The hit as the pipelines leave it; None where they take it out.

        Raises `UnreadableError` where they cannot be given it, which is noted.
        """
        if not chosen:
            return hit
        try:
            hit_bytes = hit.encode(errors="surrogateescape")
            payload = await parse_response(_AROUND % hit_bytes, "document")
        except UnreadableError as error:
            runs.skipped(chosen, error.reason)
            raise
        result = await runs.run(chosen, "result", payload, request=_REQUEST)
        if not result.changed:
            return hit
        hits = member(result.text, "hits")
        inner = member(result.text, "hits", hits.start) if hits else None
        found = elements(result.text, inner.start) if inner else []
        return result.text[found[0].start : found[0].end] if found else None

    def _runs(self, exchange: Exchange, index: str) -> Runs:
        return Runs.of(exchange, self._executor, index=index, visible=self._visible)


def _source_hit(target: Target, source: str) -> str:
    head = orjson.dumps({"_index": target.index, "_id": target.id}).decode()
    return f'{head[:-1]},"_source":{source}}}'


def _part(text: str, name: str) -> str:
    part = member(text, name)
    return text[part.start : part.end] if part else "{}"


def _not_found(target: Target, bare: bool) -> str:
    """The backend's own words for a document that is not there."""
    if not bare:
        gone: dict[str, Any] = {"_index": target.index, "_id": target.id, "found": False}
        return orjson.dumps(gone).decode()
    reason = f"Document not found [{target.index}]/[{target.id}]"
    return ErrorResponse(404, "resource_not_found_exception", reason).body().decode()
