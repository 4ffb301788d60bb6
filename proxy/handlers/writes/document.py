"""Writes of one document: the document as its pipelines leave it, or an error and no write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web

from pipelines.errors import DroppedError
from pipelines.payload import Payload
from proxy.backend.client import Backend
from proxy.handlers.writes.dead_letter import DeadLetters
from proxy.handlers.writes.update import Merged, Updates
from proxy.http.errors import ErrorResponse
from proxy.http.headers import Headers, request_headers
from proxy.http.query_string import QueryString
from proxy.protocol.target import Target
from proxy.server.errors import response_for
from proxy.server.exchange import Exchange
from proxy.traffic.relay import request_body
from proxy.traffic.request_body import (
    UnreadableError,
    new_body_headers,
    parse,
    read_json_body,
)
from proxy.traffic.response_format import ResponseForm
from proxy.traffic.runs import RunFailedError, Runs
from proxy.traffic.selection import Chosen
from proxy.traffic.services import Services

# How often a merging update is tried when the document changes meanwhile, unless the request says.
MERGE_TRIES = 3
# Parameters of an update that the write in its place understands.
_WRITE_PARAMETERS = ("refresh", "routing", "timeout", "wait_for_active_shards", "require_alias")


class DocumentHandler:
    """Handles `_doc`, `_create` and `_update`. Without pipelines they are relayed untouched."""

    def __init__(
        self, services: Services, updates: Updates, dead_letters: DeadLetters, backend: Backend
    ) -> None:
        self._relay = services.relay
        self._selector = services.selector
        self._executor = services.executor
        self._updates = updates
        self._dead_letters = dead_letters
        self._backend = backend
        self._max_bytes = services.max_transform_bytes
        self._visible = services.visible

    async def one(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_doc`` and ``_create``."""
        runs, chosen, query = await self._begin(exchange, target)
        headers = request_headers(exchange.raw_headers)
        document = await self._read(exchange, "document", chosen, runs)
        if document is None:
            sent = await request_body(exchange)
            return await self._send(exchange, target, runs, query, headers, sent)
        try:
            changed = await runs.run(chosen, "document", document, document_id=target.id)
        except DroppedError:
            return await self._left_out(exchange, target, runs, {})
        except RunFailedError as failure:
            body = document.text.encode()
            return await self._settled(exchange, target, runs, failure, body)
        sent = await exchange.body(self._max_bytes)
        if changed.changed:
            sent, headers = changed.text.encode(), new_body_headers(exchange)
        return await self._send(exchange, target, runs, query, headers, sent)

    async def update(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_update``: by the modes that its pipelines declare (see `updates`)."""
        runs, chosen, query = await self._begin(exchange, target)
        headers = request_headers(exchange.raw_headers)
        parsed = await self._read(exchange, "update", chosen, runs)
        if parsed is None:
            sent = await request_body(exchange)
            return await self._send(exchange, target, runs, query, headers, sent)
        self._updates.check(chosen, parsed.data, runs)
        try:
            if self._updates.merges(chosen, parsed.data):
                return await self._merge(exchange, target, runs, query, chosen, parsed.text)
            text, changed = await self._updates.rewrite(parsed.text, chosen, runs, target.id)
        except DroppedError:
            return await self._left_out(exchange, target, runs, {})
        except RunFailedError as failure:
            body = parsed.text.encode()
            return await self._settled(exchange, target, runs, failure, body)
        sent = await exchange.body(self._max_bytes)
        if changed:
            sent, headers = text.encode(), new_body_headers(exchange)
        return await self._send(exchange, target, runs, query, headers, sent)

    async def _read(
        self, exchange: Exchange, what: str, chosen: Chosen, runs: Runs
    ) -> Payload | None:
        """What the client sent; None where no pipeline is to see it, which goes on as it came."""
        if not chosen:
            return None
        try:
            body = await read_json_body(exchange, self._max_bytes)
            # Without a body there is no document: the backend says so itself.
            return await parse(body, what) if body else None
        except UnreadableError as error:
            runs.unread(chosen, error)
            return None

    async def _begin(self, exchange: Exchange, target: Target) -> tuple[Runs, Chosen, QueryString]:
        runs = Runs.of(
            exchange,
            self._executor,
            index=target.index,
            visible=self._visible,
        )
        asked = target.query.get("pipeline")
        warnings: list[str] = []
        header = self._selector.names.by_header(exchange)
        chosen, rest = await self._selector.for_document(target.index, asked, header, warnings)
        runs.warnings.extend(warnings)
        return runs, chosen, pipeline_left(target.query, asked, rest)

    async def _send(
        self,
        exchange: Exchange,
        target: Target,
        runs: Runs,
        query: QueryString,
        headers: Headers,
        body: Any,
    ) -> web.StreamResponse:
        with await self._relay.send(
            exchange, target=query.after(target.path), headers=headers, body=body
        ) as response:
            for name, value in runs.response_headers():
                response.add(name, value)
            return await self._relay.respond(exchange, response)

    async def _left_out(
        self, exchange: Exchange, target: Target, runs: Runs, reported: dict[str, Any]
    ) -> web.StreamResponse:
        form = await ResponseForm.of(exchange, target.query, self._relay)
        if form.format == "smile":
            form = replace(form, format="json")
        body = orjson.dumps({**noop(target.index, target.id), **reported})
        written, fields = await form.write(exchange, body, 200)
        return exchange.respond_json(
            200, written, Headers([*fields.items(), *runs.response_headers()])
        )

    async def _settled(
        self, exchange: Exchange, target: Target, runs: Runs, failure: RunFailedError, body: bytes
    ) -> web.StreamResponse:
        reported = await self._dead_letters.settle(
            failure,
            index=target.index,
            document_id=target.id,
            document=body,
            credentials=exchange.credentials,
        )
        return await self._left_out(exchange, target, runs, reported)

    async def _merge(
        self,
        exchange: Exchange,
        target: Target,
        runs: Runs,
        query: QueryString,
        chosen: Chosen,
        text: str,
    ) -> web.StreamResponse:
        """Read, merge, run, and write back if the document is still the one that was read."""
        tries = _tries(query)
        assert target.id is not None
        while True:
            tries -= 1
            merged = await self._updates.merge(
                target.index,
                target.id,
                text,
                chosen,
                runs,
                routing=query.get("routing"),
                credentials=exchange.credentials,
            )
            if merged.kind == "missing":
                body = await exchange.body(self._max_bytes)
                headers = request_headers(exchange.raw_headers)
                return await self._send(exchange, target, runs, query, headers, body)
            if merged.kind == "noop":
                return await self._left_out(exchange, target, runs, merged.stamp)
            response = await self._backend.call(
                "PUT",
                _write_target(target, query, merged),
                merged.source.encode(),
                headers=exchange.credentials,
            )
            if response.status == 409 and tries > 0 and "if_seq_no" not in query.names():
                continue
            fields = Headers(runs.response_headers())
            return exchange.respond_json(response.status, response.body, fields)


def _tries(query: QueryString) -> int:
    given = query.get("retry_on_conflict") or ""
    return int(given) + 1 if given.isdecimal() and len(given) < 4 else MERGE_TRIES


def _write_target(target: Target, query: QueryString, merged: Merged) -> str:
    kind = "_create" if merged.kind == "create" else "_doc"
    kept = QueryString("")
    for name in _WRITE_PARAMETERS:
        if (value := query.get(name)) is not None:
            kept = kept.with_parameter(name, value)
    if merged.kind == "index":
        seq_no, term = query.get("if_seq_no"), query.get("if_primary_term")
        kept = kept.with_parameter("if_seq_no", seq_no or str(merged.seq_no))
        kept = kept.with_parameter("if_primary_term", term or str(merged.primary_term))
    index, doc_id = quote(target.index, safe=""), quote(target.id or "", safe="")
    return kept.after(f"/{index}/{kind}/{doc_id}")


def pipeline_left(query: QueryString, asked: str | None, rest: str | None) -> QueryString:
    """The query string with `pipeline` set to what is the backend's to run, if that changed."""
    if asked is None or rest == asked:
        return query
    query = query.without({"pipeline"})
    return query.with_parameter("pipeline", rest) if rest is not None else query


def noop(index: str, document_id: object) -> dict[str, Any]:
    """The response to a document that is left out, as the backend's own pipelines get it."""
    return {
        "_index": index,
        "_id": document_id if document_id is not None else "auto-generated",
        "_version": -3,
        "result": "noop",
        "_shards": {"total": 0, "successful": 0, "failed": 0},
    }


def item_error(index: str, document_id: object, response: ErrorResponse) -> dict[str, Any]:
    """The response to an item of a bulk that failed."""
    return {
        "_index": index,
        "_id": document_id,
        "status": response.status,
        "error": {"type": response.type, "reason": response.reason, **response.extra},
    }


def item_response(error: Exception, request_id: str) -> ErrorResponse:
    """`response_for` an item of a bulk: a 500 only where sending the item again may help."""
    if isinstance(error, RunFailedError) and (status := error.item_status) < 500:
        # The log has the run.
        return ErrorResponse(status, error.type, error.reason, extra=error.extra)
    return response_for(error, request_id)
