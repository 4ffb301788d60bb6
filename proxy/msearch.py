"""`_msearch` with pipelines: every item on its own; one bad item fails alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from pipelines.errors import PipelineError
from pipelines.executor import Executor
from pipelines.json_text import write
from pipelines.payload import Payload
from proxy.answer_form import AnswerForm
from proxy.bodies import is_json
from proxy.cursors import PREFIX, Memory
from proxy.dialect import may_be_read
from proxy.errors import ErrorAnswer, answer_for
from proxy.exchange import Exchange
from proxy.headers import Headers, request_headers
from proxy.msearch_body import MsearchItem, MsearchSyntaxError, write_msearch
from proxy.msearch_reading import MsearchReading, answers_in
from proxy.msearch_work import Work, each, is_refused, judged_items, needs_work, together
from proxy.naming import SEARCH_PIPELINE, Asked
from proxy.refusals import Attempt
from proxy.relay import Relay
from proxy.runs import Runs
from proxy.scroll import ScrollTraffic
from proxy.selection import Chosen, Selection, Selector
from proxy.spans import elements, member, replaced
from proxy.target import Target
from proxy.templates import Templates
from proxy.transform import (
    PARSE_INLINE,
    UnreadableError,
    inflated,
    new_body_headers,
    parse,
    parse_answer,
    read_json_body,
)
from proxy.upstream import UpstreamResponse
from proxy.upstream_errors import UpstreamError

_EMPTY = '{"took":0,"responses":[]}'
ANSWER_MAX = 200 * 1024 * 1024


class MsearchTraffic:
    """Answers `_msearch` and `_msearch/template`. Without pipelines they are relayed untouched."""

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
        self._reading = MsearchReading(relay)
        self._selector = selector
        self._executor = executor
        self._templates = templates
        self._scroll = scroll
        self._max_bytes = max_bytes
        self._visible = visible

    async def __call__(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        asked, query = self._selector.names.of(exchange, target.query, searches=True)
        target = replace(target, query=query)
        body = await inflated(exchange, self._max_bytes)
        untouched = asked is None and self._selector.idle and b'"pipeline"' not in body
        named = self._selector.has_pipelines and SEARCH_PIPELINE.encode() in body
        untouched = untouched and not named
        untouched = untouched and PREFIX.encode() not in body
        if untouched or not body:
            narrowed = await self._reading.without_store(body, exchange, target)
            return await self._send_untouched(exchange, narrowed)
        body = await read_json_body(exchange, self._max_bytes, lines=True)
        try:
            items, kept_out = await self._reading.items(body, target)
        except MsearchSyntaxError as error:
            items, kept_out = [], []
            self._leave_out(str(error))
        if not items:
            # The backend refuses it, in its own words.
            return await self._send_untouched(exchange, None)
        templated = target.segments[-1] == "template"
        works = [await self._prepare(item, exchange, target, asked, templated) for item in kept_out]
        for item, work in zip(items, works, strict=True):
            work.touched = work.touched or work.item.header != item.header
        await each(works, lambda work: self._rewrite(work, exchange, templated))
        try:
            return await self._send(exchange, target, works, templated)
        finally:
            for work in works:
                work.runs.accepted()

    def _leave_out(self, reason: str) -> None:
        """Raise `ErrorAnswer` (400) where what cannot be read could get past a final pipeline."""
        if self._selector.guarded("query", "result"):
            reason += "; final pipelines have to read it"
            raise ErrorAnswer(400, "illegal_argument_exception", reason)

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
            if item.unread:
                self._leave_out(item.unread)
            if templated and not item.names and PREFIX.encode() in item.body:
                text = await self._templates.render(item.body, exchange)
                opened, rendered = item.with_body(text), True
            opened, memory = self._opened(opened)
        except (ErrorAnswer, PipelineError, UnicodeDecodeError) as error:
            failure = _failure(error, exchange.request_id)
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
        if item.unread:
            # Nobody knows what it is on; the backend refuses them all for it.
            work.failure = failure
            return work
        try:
            work.selection = await self._selector.for_search(
                names,
                asked,
                expand=item.expand or target.query.get("expand_wildcards"),
            )
        except (ErrorAnswer, PipelineError) as error:
            work.failure = work.failure or _failure(error, exchange.request_id)
        runs.warnings.extend(work.selection.warnings)
        if item.pipeline is not None:
            work.item, work.touched = work.item.without_pipeline(), True
        return work

    def _named_in_body(self, item: MsearchItem) -> tuple[Asked | None, MsearchItem]:
        """The pipelines of ours that an item's body names, and the item without them."""
        if SEARCH_PIPELINE.encode() not in item.body:
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
        if item.names or b'"pit"' not in item.body:
            return item, None
        try:
            text, memory = self._scroll.open_search(item.body.decode())
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
            work.request = await parse(body, f"search in line {work.item.line + 1}")
            work.sent = await work.runs.run(selection.query, "query", work.request)
        except UnreadableError as error:
            self._pass_item(work, error, exchange, templated)
            return
        except (ErrorAnswer, PipelineError) as error:
            work.failure = _failure(error, exchange.request_id)
            return
        if work.sent.changed:
            work.item, work.touched = work.item.with_body(work.sent.text), True

    def _pass_item(
        self, work: Work, error: UnreadableError, exchange: Exchange, templated: bool
    ) -> None:
        """Let a search go on as it came, which its query pipelines cannot be given."""
        try:
            if templated or not may_be_read(work.item.body):
                # In place of the template there is nothing to be sent, and for what is broken the
                # backend would refuse the others too.
                raise error.refused or error
            work.runs.unread(work.selection.query, error)
        except ErrorAnswer as answer:
            work.failure = _failure(answer, exchange.request_id)

    async def _send(
        self, exchange: Exchange, target: Target, works: list[Work], templated: bool
    ) -> web.StreamResponse:
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
        form = await AnswerForm.of(exchange, query, self._relay)
        changed = any(work.runs.changed for work in works) and form.format != "smile"
        if not (wanted or changed or templated):
            with await self._relay.send(
                exchange, target=query.after(path), headers=headers, body=sent, retry=True
            ) as response:
                response.headers.extend(together(works).answer_headers())
                return await self._relay.answer(exchange, response)
        form.check()
        if not sent:
            local = await self._finish(_EMPTY.encode(), works)
            body, given = await form.write(exchange, local, 200)
            fields = Headers([*together(works).answer_headers(), *given.items()])
            return exchange.respond_json(200, body, fields)
        query, headers = form.ask(query, headers)
        with await self._relay.send(
            exchange, target=query.after(path), headers=headers, body=sent, retry=True
        ) as response:
            raw = await response.read(ANSWER_MAX)
            again = await self._fall_back(
                exchange, query.after(path), headers, works, response, raw
            )
            if not again and templated and response.status == 400:
                again = await self._single_out(exchange, query.after(path), headers, works)
            if not again:
                made: str | bytes = raw
                if response.status == 200 and needs_work(works):
                    made = await self._finish(raw, works)
                told = together(works).answer_headers()
                return await form.respond(exchange, response, made, told)
        return await self._send(exchange, target, works, templated)

    async def _fall_back(
        self,
        exchange: Exchange,
        target: str,
        headers: Headers,
        works: list[Work],
        response: UpstreamResponse,
        raw: bytes,
    ) -> bool:
        """Send again, each by itself, what query pipelines changed and the backend refuses.

        Gives whether the others have to be sent again too: it refused them all for one.
        """
        changed = [work for work in works if work.runs.changed]
        if response.status == 200:
            refused = await asyncio.to_thread(judged_items, raw, works) if changed else []
            changed = [work for work in changed if work in refused]
        elif response.status != 400:
            return False
        await each(changed, lambda work: self._send_alone(exchange, target, headers, work))
        return bool(changed) and response.status == 400

    async def _send_alone(
        self, exchange: Exchange, target: str, headers: Headers, work: Work
    ) -> None:
        async def send(request: Payload) -> UpstreamResponse:
            item = work.item.with_body(request.text)
            return await self._relay.send(
                exchange, target=target, headers=headers, body=write_msearch([item]), retry=True
            )

        try:
            response, work.sent = await Attempt(
                pipelines=work.selection.query,
                original=work.request,
                rewritten=work.sent,
                send=send,
                probe=lambda text: send(Payload(text, {})),
                looked_at=frozenset({200, 400}),
                refuses=is_refused,
            ).answer(work.runs)
            with response:
                text = (await response.read(ANSWER_MAX)).decode()
            whole = member(text, "responses") if response.status == 200 else None
            if whole is None:
                work.failure = orjson.loads(text)
                return
            (only,) = elements(text, whole.start)
            work.alone = text[only.start : only.end]
        except (ErrorAnswer, PipelineError, UpstreamError) as error:
            work.failure = _failure(error, exchange.request_id)

    async def _single_out(
        self, exchange: Exchange, target: str, headers: Headers, works: list[Work]
    ) -> bool:
        """Note which searches the backend refuses; whether those are some, but not all.

        It refuses a whole `_msearch` for one search it cannot read, but of templates only that one.
        """
        left = [work for work in works if work.failure is None]
        refused: list[tuple[Work, dict[str, Any]]] = []
        for work in left:
            with await self._relay.send(
                exchange,
                target=target,
                headers=headers,
                body=write_msearch([work.item]),
                retry=True,
            ) as response:
                raw = await response.read(ANSWER_MAX)
                if response.status == 400 and is_json(response.headers.get("Content-Type", "")):
                    refused.append((work, orjson.loads(raw)))
        if not refused or len(refused) == len(left):
            return False
        for work, answer in refused:
            work.failure = answer
        return True

    async def _finish(self, raw: bytes, works: list[Work]) -> str | bytes:
        """Result pipelines over the backend's answers, and our own answers in their places."""
        try:
            if len(raw) > PARSE_INLINE:
                text, whole, spans = await asyncio.to_thread(answers_in, raw)
            else:
                text, whole, spans = answers_in(raw)
        except UnreadableError as error:
            for work in works:
                work.runs.skipped(work.selection.result, error.reason)
            return raw
        remaining = iter([text[s.start : s.end] for s in spans])
        answers: list[str] = []
        for work in works:
            # One that was sent again by itself has an answer in the first place as well.
            given = next(remaining) if work.item.local is None else ""
            if work.failure is not None:
                answers.append(write(work.failure))
            else:
                answers.append(await self._result(work.alone or given, work))
        finished = replaced(text, [(whole, f"[{','.join(answers)}]")])
        return raw if finished == text else finished

    async def _result(self, text: str, work: Work) -> str:
        status = member(text, "status")
        if status is not None and text[status.start : status.end] != "200":
            return text
        chosen = work.selection.result
        try:
            if chosen:
                text = await self._transformed(text, chosen, work)
        except (ErrorAnswer, PipelineError) as error:
            return write(_failure(error, work.runs.request_id))
        text = work.runs.with_metadata(text)
        return self._scroll.rewrap(text, work.memory) if work.memory else text

    async def _transformed(self, text: str, chosen: Chosen, work: Work) -> str:
        try:
            payload = await parse_answer(text.encode(), "search response")
        except UnreadableError as error:
            work.runs.skipped(chosen, error.reason)
            return text
        result = await work.runs.run(chosen, "result", payload, request=work.sent.text)
        return result.text

    async def _send_untouched(self, exchange: Exchange, body: bytes | None) -> web.StreamResponse:
        raw = await exchange.body(self._max_bytes) if exchange.has_body else None
        headers = None if body is None else new_body_headers(exchange)
        with await self._relay.send(exchange, headers=headers, body=body or raw) as response:
            return await self._relay.answer(exchange, response)


def _failure(error: Exception, request_id: str) -> dict[str, Any]:
    """An item's answer to an error, as the backend gives it."""
    answered: dict[str, Any] = orjson.loads(answer_for(error, request_id).body())
    return answered
