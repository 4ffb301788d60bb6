"""A search with pipelines: query pipelines on its request, result pipelines on its response."""

from __future__ import annotations

from aiohttp import web

from pipelines.payload import Payload
from proxy.handlers.searches.search_asking import Asking
from proxy.http.query_string import QueryString
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.continuation import Continuation
from proxy.traffic.named_body import named_in_body
from proxy.traffic.relay import request_body
from proxy.traffic.request_body import UnreadableError, read_json_body
from proxy.traffic.runs import Runs
from proxy.traffic.search_payload import merged_request, templated_request
from proxy.traffic.search_run import SearchRun
from proxy.traffic.selection import Selection
from proxy.traffic.services import Services
from proxy.traffic.templates import Templates


class SearchHandler:
    """Handles `_search` and its template. Without pipelines the request is relayed untouched."""

    def __init__(
        self, services: Services, templates: Templates, continuation: Continuation
    ) -> None:
        self._relay = services.relay
        self._selector = services.selector
        self._executor = services.executor
        self._templates = templates
        self._continuation = continuation
        self._max_bytes = services.max_transform_bytes
        self._visible = services.visible

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
            opened, memory = await self._continuation.opened(
                exchange, target, self._max_bytes, render
            )
        if not templated and self._selector.has_pipelines:
            asked, opened = await named_in_body(
                self._selector.names, exchange, opened, asked, self._max_bytes
            )
        names = memory.names if memory else target.names
        expand = target.query.get("expand_wildcards")
        selection = self._selector.known(names, expand) if asked is None else None
        if selection is None:
            selection = await self._selector.for_search(names, asked, expand=expand)
        goes_on = self._goes_on(query)
        if not selection and opened is None and not goes_on:
            body = exchange.at_hand() or await request_body(exchange)
            with await self._relay.send(
                exchange,
                target=None if query is target.query else query.after(target.path),
                body=body,
            ) as response:
                return await self._relay.respond(exchange, response)
        asking = self._asking(exchange, target, query, names, selection, templated=templated)
        asking.opened = opened
        asking.memory = memory
        asking.carries = goes_on or memory is not None
        asking.search = await self._search(asking, selection)
        found = await asking.search.run(asking.runs, asking.ask)
        with found.response:
            return await asking.respond(found)

    def _goes_on(self, query: QueryString) -> bool:
        """Whether a scroll begins whose pages could have to run a final pipeline."""
        if not query.raw:
            return False
        return self._selector.guarded("query", "result") and "scroll" in query.names()

    def _asking(
        self,
        exchange: Exchange,
        target: Target,
        query: QueryString,
        names: tuple[str, ...],
        selection: Selection,
        *,
        templated: bool,
    ) -> Asking:
        runs = Runs.of(
            exchange,
            self._executor,
            index=",".join(names),
            visible=self._visible,
            warnings=selection.warnings,
        )
        return Asking(
            self._relay,
            self._continuation,
            self._max_bytes,
            exchange,
            target,
            query,
            names,
            runs,
            templated=templated,
        )

    async def _search(self, asking: Asking, selection: Selection) -> SearchRun:
        """The search as pipelines see it."""
        exchange = asking.exchange
        if selection.result and "scroll" in asking.query.names():
            asking.carries = True
        if exchange.has_body:
            asking.sent = await exchange.body(self._max_bytes)
        try:
            request = await self._request(asking)
        except UnreadableError as error:
            if asking.sent or exchange.source is not None:
                # A template call without a template is nothing that a pipeline could miss.
                asking.runs.unread(selection.query, error)
            asking.unread = True
            return SearchRun((), selection.result, Payload("{}", {}))
        return SearchRun(selection.query, selection.result, request)

    async def _request(self, asking: Asking) -> Payload:
        """The request with what the URL says. Raises `UnreadableError`."""
        exchange, opened = asking.exchange, asking.opened
        body = await read_json_body(exchange, self._max_bytes)
        source = opened or body or b"{}"
        if asking.templated and opened is None:
            source = (await self._templates.render(source, exchange)).encode()
        if asking.templated:
            request, remaining = await templated_request(source, asking.query)
        else:
            request, remaining = await merged_request(source, asking.query)
        asking.remaining, asking.is_read = remaining, bool(body)
        return request
