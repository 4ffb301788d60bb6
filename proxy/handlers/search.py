"""A search with pipelines: query pipelines on its request, result pipelines on its response."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from aiohttp import web

from pipelines.execution.executor import Executor
from pipelines.jsontext.slices import with_member
from pipelines.payload import Payload
from proxy.handlers.scroll import ScrollHandler
from proxy.http.headers import Headers, request_headers
from proxy.http.query_string import QueryString
from proxy.protocol.resume_id import Memory
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.named_body import named_in_body
from proxy.traffic.refusals import Attempt
from proxy.traffic.relay import Relay, request_body
from proxy.traffic.request_body import (
    UnreadableError,
    new_body_headers,
    parse_response,
    read_json_body,
)
from proxy.traffic.response_format import ResponseForm
from proxy.traffic.runs import Runs
from proxy.traffic.search_payload import (
    merged_request,
    read_up_to,
    templated_request,
    unreadable,
)
from proxy.traffic.selection import Selection, Selector
from proxy.traffic.templates import Templates
from proxy.upstream.client import UpstreamResponse


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


@dataclass(frozen=True, slots=True)
class _Asked:
    """The request that goes to the backend; without `headers` with those of the client."""

    path: str
    query: QueryString
    headers: Headers | None
    body: bytes | None

    def in_form(self, form: ResponseForm, exchange: Exchange) -> _Asked:
        if form.is_asked_for:
            return self
        headers = self.headers or request_headers(exchange.raw_headers)
        query, headers = form.ask(self.query, headers)
        return replace(self, query=query, headers=headers)


@dataclass(frozen=True, slots=True)
class _Asking:
    """How the search of an exchange is sent.

    `remaining` are the URL's parameters that are not in the request, `sent` is the client's body;
    `is_read` says that it could be read and is not empty, `unread` that no pipeline can be given
    it, so that it goes on as it came.
    """

    exchange: Exchange
    search: _Search
    remaining: QueryString
    sent: bytes | None
    is_read: bool
    unread: bool = False

    @property
    def path(self) -> str:
        path = self.search.target.path
        rendered = self.search.templated and not self.unread
        return path.removesuffix("/template") if rendered else path

    def asked(self, request: Payload) -> _Asked:
        """A request, as the client's own bytes where nothing in it was changed."""
        search = self.search
        if self.unread:
            opened = search.opened
            headers = None if opened is None else new_body_headers(self.exchange)
            return _Asked(self.path, search.query, headers, opened or self.sent)
        if not (request.changed or search.templated or search.opened is not None):
            return _Asked(self.path, search.query, None, self.sent)
        return self._of(request.text, self.remaining)

    def probing(self, text: str) -> _Asked:
        """A request that is sent to see whether it is refused."""
        return self._of(text, self.remaining.without({"scroll"}))

    def _of(self, text: str, query: QueryString) -> _Asked:
        headers: Headers | None = None
        if not (self.is_read and self.exchange.facts.is_plain_json):
            headers = new_body_headers(self.exchange, "" if self.is_read else "application/json")
        return _Asked(self.path, query, headers, text.encode())


class SearchHandler:
    """Handles `_search` and its template. Without pipelines the request is relayed untouched."""

    def __init__(
        self,
        relay: Relay,
        selector: Selector,
        executor: Executor,
        templates: Templates,
        scroll: ScrollHandler,
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

    async def template(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_search/template``: what the template comes to is searched for as any other request."""
        return await self(exchange, target, templated=True)

    async def __call__(
        self, exchange: Exchange, target: Target, *, templated: bool = False
    ) -> web.StreamResponse:
        asked, query = self._selector.names.of(exchange, target.query, searches=True)
        opened = memory = None
        if not target.names and exchange.has_body:
            render = self._templates.render if templated else None
            opened, memory = await self._scroll.opened(exchange, target, self._max_bytes, render)
        if not templated and self._selector.has_pipelines:
            asked, opened = await named_in_body(
                self._selector.names, exchange, opened, asked, self._max_bytes
            )
        names = memory.names if memory else target.names
        expand = target.query.get("expand_wildcards")
        selection = self._selector.known(names, expand) if asked is None else None
        if selection is None:
            selection = await self._selector.for_search(names, asked, expand=expand)
        if not selection and opened is None and not self._goes_on(query):
            body = exchange.at_hand() or await request_body(exchange)
            with await self._relay.send(
                exchange,
                target=None if query is target.query else query.after(target.path),
                body=body,
            ) as response:
                return await self._relay.respond(exchange, response)
        search = _Search(target, query, names, selection, opened, memory, templated)
        return await self._run(exchange, search)

    def _goes_on(self, query: QueryString) -> bool:
        """Whether a scroll begins whose pages could have to run a final pipeline."""
        if not query.raw:
            return False
        return self._selector.guarded("query", "result") and "scroll" in query.names()

    def _carries(self, search: _Search) -> bool:
        """Whether the response's ids have to remember something."""
        if search.memory is not None:
            return True
        begins = bool(search.selection.result) and "scroll" in search.query.names()
        return begins or self._goes_on(search.query)

    async def _run(self, exchange: Exchange, search: _Search) -> web.StreamResponse:
        query, selection = search.query, search.selection
        runs = Runs.of(
            exchange,
            self._executor,
            index=",".join(search.names),
            visible=self._visible,
            warnings=selection.warnings,
        )
        sent = await exchange.body(self._max_bytes) if exchange.has_body else None
        try:
            request, asking = await self._asking(exchange, search, sent)
        except UnreadableError as error:
            if sent or exchange.source is not None:
                # A template call without a template is nothing that a pipeline could miss.
                runs.unread(selection.query, error)
            selection = replace(selection, query=())
            search = replace(search, selection=selection)
            request = Payload("{}", {})
            asking = _Asking(exchange, search, query, sent, is_read=False, unread=True)
        try:
            rewritten = await runs.run(selection.query, "query", request)
            unread = not (selection.result or runs.metadata or self._carries(search))
            if unread and not search.templated:
                return await self._pass_on(asking, runs, request, rewritten)
            return await self._read(asking, runs, request, rewritten)
        finally:
            runs.accepted()

    async def _asking(
        self, exchange: Exchange, search: _Search, sent: bytes | None
    ) -> tuple[Payload, _Asking]:
        """The request as pipelines see it. Raises `UnreadableError`."""
        body = await read_json_body(exchange, self._max_bytes)
        source = search.opened or body or b"{}"
        if search.templated and search.opened is None:
            source = (await self._templates.render(source, exchange)).encode()
        if search.templated:
            request, remaining = await templated_request(source, search.query)
        else:
            request, remaining = await merged_request(source, search.query)
        return request, _Asking(exchange, search, remaining, sent, is_read=bool(body))

    async def _pass_on(
        self, asking: _Asking, runs: Runs, request: Payload, rewritten: Payload
    ) -> web.StreamResponse:
        """The backend's response, unread."""
        attempt = self._attempt(asking, request, rewritten, asking.asked)
        response, _ = await attempt.respond(runs)
        with response:
            return await self._pass(asking.exchange, response, runs)

    async def _read(
        self, asking: _Asking, runs: Runs, request: Payload, rewritten: Payload
    ) -> web.StreamResponse:
        """The response, read and written again in the form the client wants it in."""
        exchange, search = asking.exchange, asking.search
        form = await ResponseForm.of(exchange, asking.asked(rewritten).query, self._relay)
        if form.format == "smile" and not (search.selection.result or self._carries(search)):
            runs.warnings.add("_pipeline_metadata was left out: the answer is SMILE")
            return await self._pass_on(asking, runs, request, rewritten)
        form.check()
        attempt = self._attempt(
            asking, request, rewritten, lambda p: asking.asked(p).in_form(form, exchange)
        )
        response, accepted = await attempt.respond(runs)
        with response:
            if response.status != 200 and form.is_plain:
                return await self._pass(exchange, response, runs)
            reason = unreadable(response)
            raw, whole = b"", False
            if reason is None:
                raw, whole = await read_up_to(response, self._max_bytes)
            if whole:
                body: str | bytes = raw
                read = True
                if response.status == 200:
                    body, read = await self._result(search, runs, raw, accepted.text)
                if read or form.is_plain:
                    return await form.respond(exchange, response, body, runs.response_headers())
            else:
                runs.skipped(
                    search.selection.result,
                    reason or f"the response is larger than {self._max_bytes} bytes",
                )
                if form.is_plain:
                    return await self._pass(exchange, response, runs, begun=raw)
        # The form is the backend's to give, then.
        with await self._send(exchange, asking.asked(accepted)) as response:
            return await self._pass(exchange, response, runs)

    def _attempt(
        self,
        asking: _Asking,
        request: Payload,
        rewritten: Payload,
        asked: Callable[[Payload], _Asked],
    ) -> Attempt:
        exchange = asking.exchange
        return Attempt(
            pipelines=asking.search.selection.query,
            original=request,
            rewritten=rewritten,
            send=lambda payload: self._send(exchange, asked(payload)),
            probe=lambda text: self._send(exchange, asking.probing(text)),
        )

    async def _result(
        self, search: _Search, runs: Runs, raw: bytes, request: str
    ) -> tuple[str | bytes, bool]:
        """The response after its pipelines, and whether they could read it.

        The very bytes where none changed it.
        """
        chosen, changed, read = search.selection.result, False, True
        carries = self._carries(search)
        try:
            accepted = await parse_response(raw, "search response")
        except UnreadableError as error:
            runs.skipped(chosen, error.reason)
            text, read = raw.decode(errors="surrogateescape"), False
        else:
            result = await runs.run(chosen, "result", accepted, request=request)
            text, changed = result.text, result.changed
        if not (changed or runs.metadata or carries or search.templated):
            return raw, read
        text = runs.with_metadata(text)
        with suppress(ValueError):
            # Where its parts cannot be told apart, it goes on without them.
            if search.templated:
                text = with_member(text, "status", "200")
            if carries:
                known = search.memory
                if known is None:
                    known = self._scroll.memory(search.names, search.selection, runs, request)
                text = self._scroll.rewrap(text, known)
        return (text if read else text.encode(errors="surrogateescape")), read

    async def _send(self, exchange: Exchange, asked: _Asked) -> UpstreamResponse:
        return await self._relay.send(
            exchange,
            target=asked.query.after(asked.path),
            headers=asked.headers,
            body=asked.body,
            retry=True,
        )

    async def _pass(
        self, exchange: Exchange, response: UpstreamResponse, runs: Runs, *, begun: bytes = b""
    ) -> web.StreamResponse:
        for name, value in runs.response_headers():
            response.add(name, value)
        return await self._relay.respond(exchange, response, begun=begun)
