"""`_bulk` with document pipelines: item by item; order and count of the response stay."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from pipelines.context import Phase
from pipelines.errors import DroppedError, PipelineError
from pipelines.execution.batch import Batches
from pipelines.payload import Payload
from proxy.formats.convert import has_lines
from proxy.handlers.writes.bulk_batches import BulkBatches
from proxy.handlers.writes.bulk_sending import BulkSending
from proxy.handlers.writes.dead_letter import DeadLetters
from proxy.handlers.writes.document import item_error, item_response, noop, pipeline_left
from proxy.handlers.writes.update import Updates
from proxy.http.errors import ErrorResponse
from proxy.http.limits import PARSE_INLINE
from proxy.protocol.bodies.bulk_body import (
    BulkGroup,
    BulkItem,
    BulkSyntaxError,
    grouped,
    read_bulk,
)
from proxy.protocol.bulk_unread import check_store, indices_in, names_pipeline
from proxy.protocol.limits import NAMES_MAX
from proxy.protocol.store_guard import check_names
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.tasks import for_each
from proxy.traffic.naming import Asked
from proxy.traffic.request_body import (
    UnreadableError,
    inflated,
    parse_now,
    read_json_body,
    visible_headers,
)
from proxy.traffic.runs import RunFailedError, Runs
from proxy.traffic.selection import Chosen
from proxy.traffic.services import Services
from proxy.upstream.errors import UpstreamError


@dataclass(frozen=True, slots=True)
class _Bulk:
    """The items of a request, and those that get the same pipelines (see `grouped`)."""

    items: list[BulkItem]
    groups: dict[tuple[str, str | None], BulkGroup]

    @classmethod
    def read(cls, body: bytes, index: str) -> _Bulk:
        """Raises `BulkSyntaxError`, and `ErrorResponse` where an item names the store."""
        items = read_bulk(body)
        check_names({name for item in items if isinstance(name := item.meta.get("_index"), str)})
        for item in items:
            if item.unread:
                check_names(indices_in(item.header))
        return cls(items, grouped(items, index))


class BulkHandler:
    """Handles `_bulk`. Without document pipelines anywhere it is relayed untouched."""

    def __init__(
        self, services: Services, batches: Batches, updates: Updates, dead_letters: DeadLetters
    ) -> None:
        self._relay = services.relay
        self._sending = BulkSending(services.relay, max_bytes=services.max_request_bytes)
        self._selector = services.selector
        self._executor = services.executor
        self._batches = BulkBatches(batches, max_bytes=services.max_transform_bytes)
        self._updates = updates
        self._dead_letters = dead_letters
        self._max_bytes = services.max_transform_bytes
        self._max_bulk_bytes = services.max_request_bytes
        self._at_once = services.items_at_once
        self._visible = services.visible

    async def __call__(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        asked = target.query.get("pipeline")
        header = self._selector.names.by_header(exchange)
        body = await inflated(exchange, self._max_bulk_bytes)
        if not body or not await self._concerns(asked, header, body):
            return await self._untouched(exchange, body)
        try:
            body = await read_json_body(exchange, self._max_bulk_bytes, lines=True)
            bulk = await asyncio.to_thread(_Bulk.read, body, target.index)
        except UnreadableError as error:
            return await self._unread(exchange, target, header, body, error)
        except BulkSyntaxError as error:
            return await self._broken(exchange, target, header, body, str(error))
        runs = self._runs(exchange, target.index)
        done = await self._run_items(bulk, exchange, target, header, runs)
        query = target.query
        if asked is not None:
            query = pipeline_left(query, asked, self._selector.not_ours(asked))
        return await self._sending(exchange, target, query, bulk.items, done, runs)

    async def _concerns(self, asked: str | None, header: Asked | None, body: bytes) -> bool:
        """Whether a document could have a pipeline; an item can name one itself."""
        if self._selector.writes_have_pipelines(asked, header):
            return True
        if not self._selector.has_document_pipelines:
            return False
        if len(body) <= PARSE_INLINE:
            return names_pipeline(body)
        return await asyncio.to_thread(names_pipeline, body)

    async def _untouched(self, exchange: Exchange, body: bytes) -> web.StreamResponse:
        # Looked through all the same: an item could name the store.
        await asyncio.to_thread(check_store, body, exchange.headers.get("Content-Type", ""))
        raw = await exchange.body(self._max_bulk_bytes) if exchange.has_body else None
        with await self._relay.send(exchange, body=raw) as response:
            return await self._relay.respond(exchange, response)

    async def _unread(
        self,
        exchange: Exchange,
        target: Target,
        header: Asked | None,
        body: bytes,
        error: UnreadableError,
    ) -> web.StreamResponse:
        """A body in a format in which its items cannot be told apart: none of them is processed."""
        phases: tuple[Phase, ...] = ("document",)
        names, lines = target.names, has_lines(exchange.headers.get("Content-Type", ""))
        if await self._selector.finals_may_run(names, body, phases, lines=lines):
            reason = f"{error.reason}; final pipelines have to read it"
            raise ErrorResponse(error.status, error.type, reason)
        return await self._as_it_came(exchange, target, header, body, error.reason)

    async def _broken(
        self, exchange: Exchange, target: Target, header: Asked | None, body: bytes, reason: str
    ) -> web.StreamResponse:
        """A body whose actions cannot be read: the backend refuses it, in its own words."""
        if self._selector.guarded("document"):
            # What stands before the broken action may be under way when the backend comes to it.
            names = await asyncio.to_thread(indices_in, body, target.names)
            if len(names) > NAMES_MAX or await self._selector.finals(names, "document"):
                reason += "; final pipelines have to read it"
                raise ErrorResponse(400, "illegal_argument_exception", reason)
        return await self._as_it_came(exchange, target, header, body, reason)

    async def _as_it_came(
        self, exchange: Exchange, target: Target, header: Asked | None, body: bytes, reason: str
    ) -> web.StreamResponse:
        """The response to a body that no pipeline is given, which is told where one would be."""
        await asyncio.to_thread(check_store, body, exchange.headers.get("Content-Type", ""))
        runs = self._runs(exchange, target.index)
        query, asked = target.query, target.query.get("pipeline")
        ours = None if asked is None else self._selector.names.split(asked)[0]
        named = ours is not None or header is not None
        if named or await self._selector.may_run(target.names, body, ("document",)):
            runs.warnings.add(f"no pipeline ran: {reason}")
        if asked is not None:
            query = pipeline_left(query, asked, self._selector.not_ours(asked))
        return await self._sending(exchange, target, query, [], [], runs)

    async def _run_items(
        self,
        bulk: _Bulk,
        exchange: Exchange,
        target: Target,
        header: Asked | None,
        runs: Runs,
    ) -> list[BulkItem]:
        done = list(bulk.items)
        headers = visible_headers(exchange, self._visible)
        alone: list[tuple[int, str, Chosen]] = []
        for index, members, chosen in await self._choose(
            bulk, done, target.query.get("pipeline"), header, runs
        ):
            left = await self._batches.run(
                done, members.whole, chosen, index=index, headers=headers, runs=runs
            )
            alone += [(place, index, chosen) for place in (*left, *members.updates)]

        async def run(item: tuple[int, str, Chosen]) -> None:
            place, index, chosen = item
            done[place] = await self._run_item(done[place], index, chosen, exchange, runs)

        await for_each(alone, run, at_once=self._at_once, name="bulk item")
        return done

    async def _choose(
        self,
        bulk: _Bulk,
        done: list[BulkItem],
        asked: str | None,
        header: Asked | None,
        runs: Runs,
    ) -> list[tuple[str, BulkGroup, Chosen]]:
        """The groups that get pipelines, with their index; items for which none can be chosen are
        answered.
        """
        found: dict[tuple[str, str | None], Chosen] = dict.fromkeys(bulk.groups, ())

        async def choose(group: tuple[tuple[str, str | None], BulkGroup]) -> None:
            (index, own), members = group
            places = members.places
            try:
                warnings: list[str] = []
                chosen, rest = await self._selector.for_document(
                    index, asked if own is None else own, header, warnings
                )
                runs.warnings.extend(warnings)
                found[index, own] = chosen
                if own is not None and rest != own:
                    for place in places:
                        done[place] = done[place].without_pipeline(rest)
                for place in members.unread:
                    done[place] = await self._left_out(done[place], index, chosen, runs)
            except (ErrorResponse, PipelineError, UpstreamError) as error:
                response = item_response(error, runs.request_id)
                for place in places:
                    item = done[place]
                    done[place] = item.with_response(item_error(index, item.id, response))

        await for_each(bulk.groups.items(), choose, at_once=self._at_once, name="bulk group")
        return [(key[0], bulk.groups[key], chosen) for key, chosen in found.items() if chosen]

    async def _left_out(self, item: BulkItem, index: str, chosen: Chosen, runs: Runs) -> BulkItem:
        """An item that no pipeline can be given: it goes on as it came, or final ones refuse it."""
        if self._selector.guarded("document"):
            # However its action is read, it is for none of the indices that stand in it.
            names = indices_in(item.header)
            more = await self._selector.finals(names, "document") if names else ()
            chosen += tuple(pipeline for pipeline in more if pipeline not in chosen)
        try:
            runs.unread(chosen, UnreadableError(item.unread))
        except ErrorResponse as error:
            return item.with_response(item_error(index, item.id, error))
        return item

    async def _run_item(
        self, item: BulkItem, index: str, chosen: Chosen, exchange: Exchange, all_runs: Runs
    ) -> BulkItem:
        runs = self._runs(exchange, index)
        try:
            return await self._process(item, index, chosen, runs, exchange)
        except DroppedError:
            return item.with_response({**noop(index, item.id), "status": 200})
        except RunFailedError as failure:
            return await self._settled(item, index, failure, exchange)
        except (ErrorResponse, PipelineError, UpstreamError) as error:
            response = item_response(error, exchange.request_id)
            return item.with_response(item_error(index, item.id, response))
        finally:
            all_runs.take(runs)

    async def _process(
        self, item: BulkItem, index: str, chosen: Chosen, runs: Runs, exchange: Exchange
    ) -> BulkItem:
        try:
            document = _parse(item, self._max_bytes)
        except UnreadableError as error:
            runs.unread(chosen, error)
            return item
        if item.action != "update":
            changed = await runs.run(chosen, "document", document, document_id=item.id)
            return item.with_source(changed.text) if changed.changed else item
        self._updates.check(chosen, document.data, runs)
        if not self._updates.merges(chosen, document.data):
            text, rewritten = await self._updates.rewrite(document.text, chosen, runs, item.id)
            return item.with_source(text) if rewritten else item
        routing = item.meta.get("routing")
        merged = await self._updates.merge(
            index,
            item.id or "",
            document.text,
            chosen,
            runs,
            routing=str(routing) if routing is not None else None,
            credentials=exchange.credentials,
        )
        if merged.kind == "missing":
            return item
        if merged.kind == "noop":
            reported = {**merged.stamp, "status": 200}
            return item.with_response({**noop(index, item.id), **reported})
        return item.as_write(merged.kind, merged.source, merged.seq_no, merged.primary_term)

    async def _settled(
        self, item: BulkItem, index: str, failure: RunFailedError, exchange: Exchange
    ) -> BulkItem:
        try:
            reported = await self._dead_letters.settle(
                failure,
                index=index,
                document_id=item.id,
                document=item.source or b"",
                credentials=exchange.credentials,
            )
        except (ErrorResponse, UpstreamError) as error:
            response = item_response(error, exchange.request_id)
            return item.with_response(item_error(index, item.id, response))
        return item.with_response({**noop(index, item.id), **reported, "status": 200})

    def _runs(self, exchange: Exchange, index: str) -> Runs:
        return Runs.of(exchange, self._executor, index=index, visible=self._visible)


def _parse(item: BulkItem, limit: int) -> Payload:
    source: Any = item.source or b""
    if len(source) > limit:
        reason = f"line {item.line + 1}: the document is larger than {limit} bytes"
        raise ErrorResponse(413, "content_too_long_exception", reason)
    return parse_now(source.rstrip(b"\r"), f"document in line {item.line + 1}")
