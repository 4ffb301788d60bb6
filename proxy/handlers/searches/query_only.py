"""Endpoints that take a query and nothing more: count, explain, validate, and by query."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from pipelines.definitions.attachment import NONE
from pipelines.jsontext.slices import member, replaced, without_member
from pipelines.payload import Payload
from proxy.http.query_string import QueryString
from proxy.protocol.search_params import merge_query
from proxy.protocol.target import Operation, Target
from proxy.server.exchange import Exchange
from proxy.traffic.naming import Asked
from proxy.traffic.refusals import Attempt
from proxy.traffic.relay import request_body
from proxy.traffic.request_body import UnreadableError, new_body_headers, parse, read_json_body
from proxy.traffic.runs import Runs
from proxy.traffic.selection import Chosen, Selection
from proxy.traffic.services import Services
from proxy.upstream.client import UpstreamResponse


class QueryOnlyHandler:
    """Runs query pipelines on requests whose only part for them is the query clause."""

    def __init__(self, services: Services) -> None:
        self._relay = services.relay
        self._selector = services.selector
        self._executor = services.executor
        self._max_bytes = services.max_transform_bytes
        self._visible = services.visible

    async def __call__(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        asked, query = self._asked(exchange, target)
        selection = await self._selector.for_search(
            target.names,
            asked,
            expand=target.query.get("expand_wildcards"),
            phases=("query",),
        )
        if not selection:
            body = await request_body(exchange)
            with await self._relay.send(
                exchange, target=query.after(target.path), body=body
            ) as response:
                return await self._relay.respond(exchange, response)
        return await self._run(exchange, target, query, selection)

    def _asked(self, exchange: Exchange, target: Target) -> tuple[Asked | None, QueryString]:
        """The pipelines to run, and the query string that goes on.

        What changes documents by query gets defaults never: a rewritten query could delete or
        update others than were meant. `_update_by_query` has a ``pipeline`` of the backend's own.
        """
        names = self._selector.names
        if target.operation is not Operation.BY_QUERY:
            return names.of(exchange, target.query)
        text, query, rest = target.query.get("pipeline"), target.query, None
        ours = None
        if text is not None:
            ours, rest = names.split(text)
            query = query.without({"pipeline"})
        if rest is not None:
            query = query.with_parameter("pipeline", rest)
        if ours is not None:
            return Asked(ours), query
        header = None if rest == NONE else names.by_header(exchange)
        return header or Asked(NONE), query

    async def _run(
        self, exchange: Exchange, target: Target, query: QueryString, selection: Selection
    ) -> web.StreamResponse:
        runs = Runs.of(
            exchange,
            self._executor,
            index=target.index,
            visible=self._visible,
            warnings=selection.warnings,
        )
        by_query = target.operation is Operation.BY_QUERY
        chosen = _strict(selection.query) if by_query else selection.query
        body = b""
        try:
            body = await read_json_body(exchange, self._max_bytes)
            parsed = await parse(body or b"{}", "request")
        except UnreadableError as error:
            runs.unread(chosen, error)
            chosen = ()
            parsed = Payload("{}", {})
        source, given = parsed.text, parsed.data
        is_read = by_query or not body
        merged, remaining = merge_query(given, query) if is_read else (given, query)
        clause = Payload.parse(_clause(source, given, merged))
        sent = await exchange.body(self._max_bytes) if exchange.has_body else None

        async def send(request: Payload) -> UpstreamResponse:
            if not request.changed:
                return await self._relay.send(exchange, target=query.after(target.path), body=sent)
            return await self._relay.send(
                exchange,
                target=remaining.after(target.path),
                headers=new_body_headers(exchange, "" if body else "application/json"),
                body=_with_query(source, request.text).encode(),
            )

        async def probe(request: str) -> UpstreamResponse:
            text = _with_query(source, request)
            path, left = target.path, remaining
            if by_query:
                # Nothing is written to see whether it would be refused.
                text, left = request, QueryString("")
                path = f"{path.rpartition('/')[0]}/_validate/query"
            return await self._relay.send(
                exchange,
                target=left.after(path),
                headers=new_body_headers(exchange, "application/json"),
                body=text.encode(),
            )

        judged = target.operation in (Operation.VALIDATE, Operation.BY_QUERY)
        try:
            rewritten = await runs.run(chosen, "query", clause)
            if "query" not in rewritten.data and "query" not in clause.data:
                # Nothing of what changed is for the backend, to which no query means no query.
                runs.accepted()
                rewritten = clause
            response, _ = await Attempt(
                pipelines=chosen,
                original=clause,
                rewritten=rewritten,
                send=send,
                probe=probe,
                looked_at=frozenset({200, 400}) if judged else frozenset({400}),
                refuses=_is_invalid,
            ).respond(runs)
        finally:
            runs.accepted()
        with response:
            for name, value in runs.response_headers():
                response.add(name, value)
            return await self._relay.respond(exchange, response)


def _strict(pipelines: Chosen) -> Chosen:
    """Pipelines of a call that changes documents: without one, it could mean others."""
    return tuple(replace(pipeline, final=True) for pipeline in pipelines)


def _is_invalid(response: Any) -> bool:
    """Whether `_validate/query` says that the query is not valid."""
    return isinstance(response, dict) and response.get("valid") is False


def _clause(source: str, given: dict[str, Any], merged: dict[str, Any]) -> str:
    """The part a query pipeline may see, with the client's own text where it gave one."""
    if "query" not in merged:
        return "{}"
    found = member(source, "query") if merged.get("query") is given.get("query") else None
    text = source[found.start : found.end] if found else orjson.dumps(merged["query"]).decode()
    return f'{{"query":{text}}}'


def _with_query(source: str, rewritten: str) -> str:
    """The request with another query; all else that a pipeline put beside it is left out."""
    new = member(rewritten, "query")
    if new is None:
        # What a call without a query means is the backend's to say: all documents, or a mistake.
        return without_member(source, "query")
    query = rewritten[new.start : new.end]
    old = member(source, "query")
    if old is not None:
        return replaced(source, [(old, query)])
    rest = source.strip()[1:].lstrip()
    return f'{{"query":{query}{"" if rest.startswith("}") else ","}{rest}'
