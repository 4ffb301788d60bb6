"""What the ids of scrolls, points in time and asynchronous searches remember of their search."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import orjson

from pipelines.jsontext.slices import Slice, member, replaced
from pipelines.registry import Registry
from proxy.formats.convert import format_of
from proxy.http.errors import ErrorResponse
from proxy.protocol.bodies.lenient_json import may_hold
from proxy.protocol.given_ids import GivenIds
from proxy.protocol.limits import CURSOR_MAX
from proxy.protocol.resume_id import PREFIX, Cursors, Memory
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.request_body import inflated, read_json_body
from proxy.traffic.runs import Runs
from proxy.traffic.selection import Chosen, Selector

Render = Callable[[bytes, Exchange], Awaitable[str]]
ID_MEMBERS: Final = ("scroll_id", "pit_id", "id")
"""The members and parameters that hold ids, by the spelling of either backend."""


class Continuation:
    """Makes ids remember what later calls of a search have to know, and reads them again."""

    def __init__(
        self, selector: Selector, registry: Registry, cursors: Cursors, given: GivenIds
    ) -> None:
        self._selector = selector
        self._registry = registry
        self._cursors = cursors
        self._given = given

    def memory(self, names: tuple[str, ...], chosen: Chosen, runs: Runs, request: str) -> Memory:
        """What later pages of a search have to know."""
        memory = Memory(
            names=names,
            result=tuple((p.name, p.definition.version) for p in chosen),
            final=tuple(p.name for p in chosen if p.final),
            state=dict(runs.state),
            request=request,
        )
        return self.fitted(memory, CURSOR_MAX, runs, "pages")

    def fitted(self, memory: Memory, limit: int, runs: Runs, what: str) -> Memory:
        """What an id of at most `limit` characters can remember; the client is told of the rest.

        Raises `ErrorResponse` (413) where a final pipeline would miss it.
        """
        fitting, left_out = self._cursors.fitted(memory, limit)
        for part in left_out:
            reason = f"the {part} of this search is too large to be kept in its id"
            if memory.final:
                hint = f"; the final pipeline [{memory.final[0]}] needs it, use a plain _search"
                raise ErrorResponse(413, "content_too_long_exception", reason + hint)
            runs.warnings.add(f"{reason}; pipelines do not see it on later {what}")
        return fitting

    def rewrap(self, text: str, memory: Memory) -> str:
        """A response with the ids in it wrapped."""
        changes: list[tuple[Slice, str]] = []
        for name in ("_scroll_id", *ID_MEMBERS):
            part = member(text, name)
            if part is None:
                continue
            value = orjson.loads(text[part.start : part.end])
            if isinstance(value, str) and not value.startswith(PREFIX):
                wrapped = self._cursors.wrap(value, memory)
                changes.append((part, orjson.dumps(wrapped).decode()))
        return replaced(text, changes)

    async def opened(
        self, exchange: Exchange, target: Target, limit: int, render: Render | None = None
    ) -> tuple[bytes | None, Memory | None]:
        """A search's body with the backend's own id, and what the client's remembered.

        `render` makes a search of a template.

        None where it is no search of a point in time that was opened here. Raises `ErrorResponse`
        as `open_search` does.
        """
        if target.names or not exchange.has_body:
            return None, None
        body = await inflated(exchange, limit)
        if not is_text(exchange) and b"pit" in body:
            try:
                body = await read_json_body(exchange, limit)
            except ErrorResponse:
                if PREFIX.encode() in body:
                    raise
                # Without an id of ours it is the backend's to refuse.
                return None, None
        if render is not None and PREFIX.encode() in body:
            body = (await render(body, exchange)).encode()
        if not may_hold(body, b'"pit"'):
            return None, None
        try:
            text, memory = self.open_search(body.decode())
        except ValueError:
            # Not JSON: the backend's to refuse.
            return None, None
        return (text.encode(), memory) if memory else (None, None)

    def open_search(self, text: str) -> tuple[str, Memory | None]:
        """A search request with the backend's own id under ``pit``, and what its id remembered.

        Raises `ErrorResponse` (403) for an id not of ours where a final pipeline could be missed.
        """
        pit = member(text, "pit")
        part = member(text, "id", pit.start) if pit else None
        if part is None:
            return text, None
        value = orjson.loads(text[part.start : part.end])
        if not isinstance(value, str):
            return text, None
        backend_id, memory = self._cursors.unwrap(value)
        if memory is None:
            if self._selector.guarded("query", "result"):
                raise _unknown_id("a search of a point in time")
            return text, None
        self._given.keep(backend_id, memory)
        return replaced(text, [(part, orjson.dumps(backend_id).decode())]), memory

    def remembered(self, memory: Memory, runs: Runs) -> Chosen:
        """The pipelines a search was begun with. A final one that is gone ends the search."""
        chosen = []
        for name, version in memory.result:
            pipeline = self._registry.find(name)
            if pipeline is None:
                if name in memory.final:
                    reason = f"the final pipeline [{name}] of this search is not there any more"
                    raise ErrorResponse(500, "pipeline_execution_exception", reason)
                runs.warnings.add(f"pipeline [{name}@{version}] did not run: it was deleted")
                continue
            if pipeline.definition.version != version:
                now = pipeline.definition.version
                runs.warnings.add(
                    f"pipeline [{name}] was {version} when the search began, is {now}"
                )
            chosen.append(replace(pipeline, final=name in memory.final))
        return tuple(chosen)

    def refuse_unknown(self, target: Target) -> None:
        """Raise `ErrorResponse` (403) where an id not of ours could get past a final pipeline."""
        if self._selector.guarded("query", "result"):
            raise _unknown_id(target.path)


def is_text(exchange: Exchange) -> bool:
    """Whether the body is JSON, or an id alone, and no other format of the backend's."""
    return format_of(exchange.headers.get("Content-Type", "")) in (None, "json")


def _unknown_id(what: str) -> ErrorResponse:
    reason = (
        f"[{what}] carries an id that was not given out by this proxy, and could get past a final"
        " pipeline; begin the search anew through the proxy"
    )
    return ErrorResponse(403, "security_exception", reason)
