"""`_msearch` with pipelines: every item on its own; one bad item fails alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from aiohttp import web

from pipelines.errors import PipelineError
from pipelines.jsontext.json_text import write
from pipelines.jsontext.slices import member, replaced
from proxy.formats.convert import has_lines
from proxy.handlers.searches.msearch_reading import MsearchReading, names_in_lines, responses_in
from proxy.handlers.searches.msearch_refusals import MsearchRefusals
from proxy.handlers.searches.msearch_work import Responses, Work, failure_of, needs_work, together
from proxy.http.errors import ErrorResponse
from proxy.http.headers import Headers, request_headers
from proxy.http.limits import PARSE_INLINE
from proxy.protocol.bodies.lenient_json import is_whole, may_hold
from proxy.protocol.bodies.msearch_body import MsearchItem, MsearchSyntaxError, write_msearch
from proxy.protocol.bodies.no_requests import NO_REQUESTS
from proxy.protocol.limits import NAMES_MAX
from proxy.protocol.resume_id import PREFIX, Memory
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.continuation import Continuation
from proxy.traffic.naming import SEARCH_PIPELINE, Asked
from proxy.traffic.request_body import (
    UnreadableError,
    inflated,
    new_body_headers,
    parse,
    parse_response,
    read_json_body,
)
from proxy.traffic.response_format import ResponseForm
from proxy.traffic.runs import Runs
from proxy.traffic.search_run import SearchRun, run_together
from proxy.traffic.selection import READ, Selection
from proxy.traffic.services import Services
from proxy.traffic.templates import Templates

_EMPTY = b'{"took":0,"responses":[]}'


class MsearchHandler:
    """Handles `_msearch` and `_msearch/template`. Without pipelines they are relayed untouched."""

    def __init__(
        self, services: Services, templates: Templates, continuation: Continuation
    ) -> None:
        self._relay = services.relay
        self._reading = MsearchReading(services.relay)
        self._selector = services.selector
        self._executor = services.executor
        self._templates = templates
        self._continuation = continuation
        self._max_bytes = services.max_request_bytes
        self._visible = services.visible
        self._at_once = services.items_at_once

    async def __call__(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        asked, query = self._selector.names.of(exchange, target.query, searches=True)
        target = replace(target, query=query)
        body = await inflated(exchange, self._max_bytes)
        if not body or (asked is None and not self._concerns(body)):
            return await self._untouched(exchange, target, body)
        try:
            lines = await read_json_body(exchange, self._max_bytes, lines=True)
            items, kept_out = await self._reading.items(lines, target)
        except UnreadableError as error:
            return await self._unread(exchange, target, asked, body, error)
        except MsearchSyntaxError as error:
            await self._check_finals(target, body, str(error))
            items, kept_out = [], []
        if not items:
            # The backend refuses it, in its own words.
            return await self._untouched(exchange, target, body)
        templated = target.segments[-1] == "template"
        works = [await self._prepare(item, exchange, target, asked, templated) for item in kept_out]
        for item, work in zip(items, works, strict=True):
            work.touched = work.touched or work.item.header != item.header
        asked_for = await run_together(
            works,
            lambda work: self._rewrite(work, exchange, templated),
            lambda: self._ask(exchange, target, works, templated),
            self._result,
            at_once=self._at_once,
        )
        return await self._respond(exchange, asked_for, works)

    def _concerns(self, body: bytes) -> bool:
        """Whether pipelines, or ids of ours, can have a part in a body."""
        if not self._selector.idle or PREFIX.encode() in body:
            return True
        # Both words that name pipelines end with it.
        return self._selector.has_pipelines and may_hold(body, b"pipeline")

    async def _untouched(
        self, exchange: Exchange, target: Target, body: bytes, reported: Runs | None = None
    ) -> web.StreamResponse:
        """The backend's response to a request that goes on as it came, but for the store."""
        narrowed = await self._reading.without_store(body, exchange, target)
        raw = await exchange.body(self._max_bytes) if exchange.has_body else None
        headers = None if narrowed is None else new_body_headers(exchange)
        with await self._relay.send(
            exchange, target=target.line, headers=headers, body=narrowed or raw
        ) as response:
            if reported is not None:
                response.headers.extend(reported.response_headers())
            return await self._relay.respond(exchange, response)

    async def _unread(
        self,
        exchange: Exchange,
        target: Target,
        asked: Asked | None,
        body: bytes,
        error: UnreadableError,
    ) -> web.StreamResponse:
        """A body in a format in which its searches cannot be told apart: no pipeline runs."""
        names, lines = target.names, has_lines(exchange.headers.get("Content-Type", ""))
        if await self._selector.finals_may_run(names, body, READ, lines=lines):
            reason = f"{error.reason}; final pipelines have to read it"
            raise ErrorResponse(error.status, error.type, reason)
        runs = Runs.of(exchange, self._executor, index=target.index, visible=self._visible)
        if asked is not None or await self._selector.may_run(names, body, READ):
            runs.warnings.add(f"no pipeline ran: {error.reason}")
        return await self._untouched(exchange, target, body, runs)

    async def _check_finals(self, target: Target, body: bytes, reason: str) -> None:
        """Raise `ErrorResponse` where unreadable lines could miss a final pipeline."""
        for phase in READ:
            if not self._selector.guarded(phase):
                continue
            names = await asyncio.to_thread(names_in_lines, body, target.names)
            if len(names) > NAMES_MAX or await self._selector.finals(names, phase, "all"):
                reason += "; final pipelines have to read it"
                raise ErrorResponse(400, "illegal_argument_exception", reason)

    async def _prepare(
        self,
        item: MsearchItem,
        exchange: Exchange,
        target: Target,
        asked: Asked | None,
        templated: bool,
    ) -> Work:
        opened, memory, failure, rendered = item, None, None, False
        try:
            if templated and not item.names and PREFIX.encode() in item.body:
                text = await self._templates.render(item.body, exchange)
                opened, rendered = item.with_body(text), True
            opened, memory = self._opened(opened)
        except (ErrorResponse, PipelineError, UnicodeDecodeError) as error:
            failure = failure_of(error, exchange.request_id)
        if item.pipeline is not None:
            asked = Asked(item.pipeline)
        named, opened = self._named_in_body(opened)
        if named is not None and item.pipeline is None:
            asked = named
        names = memory.names if memory else item.names or target.names
        runs = Runs.of(
            exchange,
            self._executor,
            index=",".join(names),
            visible=self._visible,
        )
        work = Work(opened, Selection(), runs, failure=failure, memory=memory)
        work.touched = opened is not item
        work.rendered = rendered
        try:
            if not item.is_nowhere:
                work.selection = await self._selector.for_search(
                    tuple(filter(is_whole, names)),
                    asked,
                    expand=item.expand or target.query.get("expand_wildcards"),
                )
            if item.unread:
                chosen = (*work.selection.query, *work.selection.result)
                runs.unread(chosen, UnreadableError(item.unread))
                work.selection = Selection(warnings=work.selection.warnings)
        except (ErrorResponse, PipelineError) as error:
            work.failure = work.failure or failure_of(error, exchange.request_id)
        runs.warnings.extend(work.selection.warnings)
        if item.pipeline is not None:
            work.item, work.touched = work.item.without_pipeline(), True
        return work

    def _named_in_body(self, item: MsearchItem) -> tuple[Asked | None, MsearchItem]:
        """The pipelines of ours that an item's body names, and the item without them."""
        if not may_hold(item.body, SEARCH_PIPELINE.encode()):
            return None, item
        try:
            given = item.body.decode()
            asked, left = self._selector.names.in_body(given)
        except ValueError:
            # Not JSON: the backend's to refuse.
            return None, item
        return asked, item if left == given else item.with_body(left)

    def _opened(self, item: MsearchItem) -> tuple[MsearchItem, Memory | None]:
        """The item with the backend's own id of a point in time that was opened here."""
        if item.names or not may_hold(item.body, b'"pit"'):
            return item, None
        try:
            text, memory = self._continuation.open_search(item.body.decode())
        except ValueError:
            # Not JSON: the backend's to refuse.
            return item, None
        return (item.with_body(text), memory) if memory else (item, None)

    async def _rewrite(self, work: Work, exchange: Exchange, templated: bool) -> None:
        """Run the query pipelines of an item; a template is rendered before that."""
        selection = work.selection
        if work.failure is not None or not (selection.query or selection.result or templated):
            return
        try:
            body = work.item.body
            if templated and not work.rendered:
                body = (await self._templates.render(body, exchange)).encode()
                work.item, work.touched = work.item.with_body(body.decode()), True
            request = await parse(body, f"search in line {work.item.line + 1}")
            work.search = SearchRun(selection.query, selection.result, request)
            work.sent = await work.search.before(work.runs)
        except UnreadableError as error:
            self._pass_item(work, error, exchange, templated)
            return
        except (ErrorResponse, PipelineError) as error:
            work.failure = failure_of(error, exchange.request_id)
            return
        if work.sent.changed:
            work.item, work.touched = work.item.with_body(work.sent.text), True

    def _pass_item(
        self, work: Work, error: UnreadableError, exchange: Exchange, templated: bool
    ) -> None:
        """Let a search go on as it came, which its query pipelines cannot be given."""
        try:
            if templated:
                # In place of the template there is nothing to be sent.
                raise error.refused or error
            work.runs.unread(work.selection.query, error)
        except ErrorResponse as response:
            work.failure = failure_of(response, exchange.request_id)

    async def _ask(
        self, exchange: Exchange, target: Target, works: list[Work], templated: bool
    ) -> Responses:
        """Put the searches to the backend; those that it refuses for a pipeline once more."""
        for work in works:
            if work.failure is not None or work.alone is not None:
                work.item = replace(work.item, local=work.failure or {})
        items = [work.item for work in works]
        sent = await exchange.body(self._max_bytes)
        headers = request_headers(exchange.raw_headers)
        touched = any(work.touched or work.item.local is not None for work in works)
        if touched:
            sent, headers = write_msearch(items), new_body_headers(exchange)
        query = target.query
        path = target.path.removesuffix("/template") if templated else target.path
        wanted = any(w.failure or w.memory or w.selection.result or w.runs.metadata for w in works)
        wanted = wanted or any(work.alone is not None for work in works)
        form = await ResponseForm.of(exchange, query, self._relay)
        changed = any(work.runs.changed for work in works) and form.format != "smile"
        if not (wanted or changed or templated):
            response = await self._relay.send(
                exchange, target=query.after(path), headers=headers, body=sent, retry=True
            )
            return Responses(response)
        form.check()
        query, headers = form.ask(query, headers)
        # Where no search is left, nothing but the URL is for the backend to say something of.
        with await self._relay.send(
            exchange, target=query.after(path), headers=headers, body=sent or b"\n", retry=True
        ) as response:
            raw = await response.read()
            if not sent:
                if NO_REQUESTS in raw:
                    return await self._told_apart(Responses(None, form, _EMPTY), works)
                return Responses(response, form, raw)
            refusals = MsearchRefusals(
                self._relay, exchange, query.after(path), headers, self._at_once
            )
            again, raw = await refusals.fall_back(works, response, raw, templated=templated)
            if not again and templated and response.status == 400:
                again = await refusals.single_out(works)
            if not again:
                asked = Responses(response, form, raw)
                if response.status == 200 and needs_work(works):
                    return await self._told_apart(asked, works)
                return asked
        return await self._ask(exchange, target, works, templated)

    async def _told_apart(self, asked: Responses, works: list[Work]) -> Responses:
        """The responses, one by one; what cannot be told apart is noted, and stays as it is."""
        assert asked.raw is not None
        try:
            if len(asked.raw) > PARSE_INLINE:
                text, whole, parts = await asyncio.to_thread(responses_in, asked.raw)
            else:
                text, whole, parts = responses_in(asked.raw)
        except UnreadableError as error:
            for work in works:
                work.runs.skipped(work.selection.result, error.reason)
            return asked
        asked.text, asked.whole = text, whole
        remaining = iter([text[s.start : s.end] for s in parts])
        for work in works:
            # One that was sent again by itself has a response in the first place as well.
            given = next(remaining) if work.item.local is None else ""
            work.finished = write(work.failure) if work.failure else work.alone or given
        return asked

    async def _result(self, asked: Responses, work: Work) -> None:
        """Run the result pipelines of one search, if it came to a response."""
        if asked.whole is None or work.failure is not None:
            return
        text = work.finished
        status = member(text, "status")
        if status is not None and text[status.start : status.end] != "200":
            return
        try:
            if work.selection.result:
                text = await self._transformed(text, work)
        except (ErrorResponse, PipelineError) as error:
            work.finished = write(failure_of(error, work.runs.request_id))
            return
        text = work.runs.with_metadata(text)
        work.finished = self._continuation.rewrap(text, work.memory) if work.memory else text

    async def _transformed(self, text: str, work: Work) -> str:
        try:
            payload = await parse_response(text.encode(), "search response")
        except UnreadableError as error:
            work.runs.skipped(work.selection.result, error.reason)
            return text
        return (await work.search.after(work.runs, payload, work.sent)).text

    async def _respond(
        self, exchange: Exchange, asked: Responses, works: list[Work]
    ) -> web.StreamResponse:
        reported = together(works).response_headers()
        if asked.form is None or asked.raw is None:
            assert asked.response is not None
            with asked.response as response:
                response.headers.extend(reported)
                return await self._relay.respond(exchange, response)
        made: str | bytes = asked.raw
        if asked.whole is not None:
            responses = f"[{','.join(work.finished for work in works)}]"
            finished = replaced(asked.text, [(asked.whole, responses)])
            made = asked.raw if finished == asked.text else finished
        if asked.response is not None:
            return await asked.form.respond(exchange, asked.response, made, reported)
        body, given = await asked.form.write(exchange, made, 200)
        return exchange.respond_json(200, body, Headers([*reported, *given.items()]))
