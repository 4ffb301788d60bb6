"""Writes with document pipelines: one document at a time, or a bulk item by item."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import structlog
from aiohttp import web

from pipelines.errors import DroppedError, PipelineError
from pipelines.executor import Executor
from pipelines.payload import Payload
from proxy.bulk import BulkItem, BulkSyntaxError, merge_answer, read_bulk, write_bulk
from proxy.errors import ErrorAnswer, answer_for
from proxy.exchange import Exchange
from proxy.guard import check_body, check_names
from proxy.headers import Headers, request_headers
from proxy.query_string import QueryString
from proxy.relay import Relay, request_body
from proxy.runs import Runs
from proxy.selection import Selector
from proxy.target import Target
from proxy.transform import inflated, new_body_headers, parse, read_json_body, visible_headers

_log = structlog.get_logger("proxy.documents")

BULK_ANSWER_MAX = 200 * 1024 * 1024
# Items of one bulk that are under way at once; more would only wait for the same sandboxes.
BULK_CONCURRENCY = 8


class DocumentTraffic:
    """Answers writes of one document and `_bulk`. Without pipelines they are relayed untouched."""

    def __init__(
        self,
        relay: Relay,
        selector: Selector,
        executor: Executor,
        *,
        max_bytes: int,
        max_bulk_bytes: int,
        visible: frozenset[str],
    ) -> None:
        self._relay = relay
        self._selector = selector
        self._executor = executor
        self._max_bytes = max_bytes
        self._max_bulk_bytes = max_bulk_bytes
        self._visible = visible

    async def one(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_doc`` and ``_create``: the document as its pipelines leave it, or an error."""
        runs = self._runs(exchange, target.index)
        asked = target.query.get("pipeline")
        chosen, rest = await self._selector.for_document(target.index, asked, runs.warnings)
        query = _pipeline_left(target.query, asked, rest)
        headers = request_headers(exchange.raw_headers)
        if chosen:
            body = await read_json_body(exchange, self._max_bytes)
            document = await parse(body, "document")
            try:
                changed = await runs.run(chosen, "document", document, document_id=target.id)
            except DroppedError:
                return _dropped_answer(exchange, target, runs)
            sent: Any = await exchange.body(self._max_bytes)
            if changed.changed:
                sent, headers = changed.text.encode(), new_body_headers(exchange)
        else:
            sent = await request_body(exchange)
        async with await self._relay.send(
            exchange, target=query.after(target.path), headers=headers, body=sent
        ) as response:
            for name, value in runs.answer_headers():
                response.headers.add(name, value)
            return await self._relay.answer(exchange, response)

    async def bulk(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_bulk``: each item on its own; order and count of the answer are the request's."""
        if not self._selector.writes_have_pipelines(target.query.get("pipeline")):
            return await self._relay_bulk(exchange)
        body = await read_json_body(exchange, self._max_bulk_bytes, lines=True)
        try:
            items = await asyncio.to_thread(read_bulk, body)
        except BulkSyntaxError as error:
            raise ErrorAnswer(400, "illegal_argument_exception", str(error)) from error
        check_names(item.meta.get("_index") for item in items)
        runs = self._runs(exchange, target.index)
        done = await self._run_items(items, exchange, target, runs)
        asked = target.query.get("pipeline")
        query = target.query
        if asked is not None:
            query = _pipeline_left(query, asked, self._selector.not_ours(asked))
        return await self._send_bulk(exchange, target, query, items, done, runs)

    async def _relay_bulk(self, exchange: Exchange) -> web.StreamResponse:
        # Read whole all the same: an item could name the store.
        await asyncio.to_thread(check_body, await inflated(exchange, self._max_bulk_bytes))
        raw = await exchange.body(self._max_bulk_bytes) if exchange.has_body else None
        async with await self._relay.send(exchange, body=raw) as response:
            return await self._relay.answer(exchange, response)

    async def _run_items(
        self, items: list[BulkItem], exchange: Exchange, target: Target, runs: Runs
    ) -> list[BulkItem]:
        done = list(items)
        asked = target.query.get("pipeline")
        waiting = iter(enumerate(items))

        async def work() -> None:
            for position, item in waiting:
                if item.action in ("index", "create"):
                    done[position] = await self._run_item(item, exchange, target, asked, runs)

        async with asyncio.TaskGroup() as group:
            for number in range(min(BULK_CONCURRENCY, len(items))):
                group.create_task(work(), name=f"bulk worker {number}")
        return done

    async def _run_item(
        self, item: BulkItem, exchange: Exchange, target: Target, asked: str | None, runs: Runs
    ) -> BulkItem:
        index = str(item.meta.get("_index") or target.index)
        own = item.meta.get("pipeline")
        item_runs = self._runs(exchange, index)
        try:
            chosen, rest = await self._selector.for_document(
                index, own if isinstance(own, str) else asked, item_runs.warnings
            )
            if isinstance(own, str) and rest != own:
                item = item.without_pipeline(rest)
            if not chosen:
                return item
            document = _parse_item(item, self._max_bytes)
            own_id = item.meta.get("_id")
            document_id = str(own_id) if own_id is not None else None
            changed = await item_runs.run(chosen, "document", document, document_id=document_id)
        except DroppedError:
            return item.answered({**_noop(index, item.meta.get("_id")), "status": 200})
        except (ErrorAnswer, PipelineError) as error:
            return item.answered(_failed(index, item, answer_for(error)))
        finally:
            runs.take(item_runs)
        return item.with_source(changed.text) if changed.changed else item

    async def _send_bulk(
        self,
        exchange: Exchange,
        target: Target,
        query: QueryString,
        items: list[BulkItem],
        done: list[BulkItem],
        runs: Runs,
    ) -> web.StreamResponse:
        local = any(item.local is not None for item in done)
        sent: bytes = await exchange.body(self._max_bulk_bytes)
        headers = request_headers(exchange.raw_headers)
        if any(new is not old for new, old in zip(done, items, strict=True)):
            sent, headers = write_bulk(done), new_body_headers(exchange)
        if local and not sent:
            answer = merge_answer(done, {"took": 0, "errors": False, "items": []})
            local_fields = Headers(runs.answer_headers())
            return exchange.respond_json(200, orjson.dumps(answer), local_fields)
        if local:
            # Items are put in by their place, which a filter would lose.
            query = query.without({"filter_path"})
            headers.popall("Accept-Encoding", None)
        async with await self._relay.send(
            exchange, target=query.after(target.path), headers=headers, body=sent
        ) as response:
            for name, value in runs.answer_headers():
                response.headers.add(name, value)
            if not local or response.status != 200:
                return await self._relay.answer(exchange, response)
            raw = await response.read(BULK_ANSWER_MAX)
        try:
            merged = orjson.dumps(merge_answer(done, orjson.loads(raw)))
        except (orjson.JSONDecodeError, ValueError) as error:
            reason = f"the backend's answer to the bulk cannot be understood: {error}"
            raise ErrorAnswer(500, "proxy_exception", reason) from error
        fields = response.headers.copy()
        fields.popall("Content-Length", None)
        return exchange.respond(200, fields, merged, reason=response.reason)

    def _runs(self, exchange: Exchange, index: str) -> Runs:
        visible = visible_headers(exchange, self._visible)
        return Runs(self._executor, index=index, headers=visible)


def _pipeline_left(query: QueryString, asked: str | None, rest: str | None) -> QueryString:
    """The query string with `pipeline` set to what is the backend's to run, if that changed."""
    if asked is None or rest == asked:
        return query
    query = query.without({"pipeline"})
    return query.with_parameter("pipeline", rest) if rest is not None else query


def _parse_item(item: BulkItem, limit: int) -> Payload:
    source = item.source or b""
    if len(source) > limit:
        reason = f"line {item.line + 1}: the document is larger than {limit} bytes"
        raise ErrorAnswer(413, "content_too_long_exception", reason)
    try:
        return Payload.parse(source.rstrip(b"\r"))
    except ValueError as error:
        reason = f"line {item.line + 1}: the document cannot be used: {error}"
        raise ErrorAnswer(400, "document_parsing_exception", reason) from error


def _noop(index: str, doc_id: object) -> dict[str, Any]:
    """The answer to a document that was dropped, as the backend gives it for its own pipelines."""
    return {
        "_index": index,
        "_id": doc_id if doc_id is not None else "auto-generated",
        "_version": -3,
        "result": "noop",
        "_shards": {"total": 0, "successful": 0, "failed": 0},
    }


def _failed(index: str, item: BulkItem, answer: ErrorAnswer) -> dict[str, Any]:
    return {
        "_index": index,
        "_id": item.meta.get("_id"),
        "status": answer.status,
        "error": {"type": answer.type, "reason": answer.reason, **answer.extra},
    }


def _dropped_answer(exchange: Exchange, target: Target, runs: Runs) -> web.StreamResponse:
    body = orjson.dumps(_noop(target.index, target.id))
    return exchange.respond_json(200, body, Headers(runs.answer_headers()))
