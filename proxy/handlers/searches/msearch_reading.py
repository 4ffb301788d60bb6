"""An msearch body read as the backend at hand reads it, and kept out of the store."""

from __future__ import annotations

import asyncio
from itertools import islice

from pipelines.jsontext.slices import Slice, elements
from proxy.formats.convert import format_of
from proxy.http.errors import ErrorResponse
from proxy.http.limits import PARSE_INLINE
from proxy.protocol.bodies.lenient_json import decoded, is_whole
from proxy.protocol.bodies.msearch_body import (
    MsearchItem,
    MsearchSyntaxError,
    read_msearch,
    write_msearch,
)
from proxy.protocol.limits import NAMES_MAX
from proxy.protocol.reach import ALL, check_name, expands_hidden, narrowed, reaches_store, refusal
from proxy.protocol.store_guard import (
    can_expand,
    can_name_store,
    check_names,
    check_unread,
    names_in,
)
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.relay import Relay
from proxy.traffic.request_body import located


class MsearchReading:
    """Reads bodies for the backend of a relay, large ones off the event loop."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def items(
        self, body: bytes, target: Target
    ) -> tuple[list[MsearchItem], list[MsearchItem]]:
        """The items as they came, and without the store. Raises `MsearchSyntaxError`."""
        # An empty first line is a header only to Elasticsearch.
        skips_first = body[:1] != b"\n" or not await self._relay.is_elasticsearch()

        def read() -> tuple[list[MsearchItem], list[MsearchItem]]:
            items = read_msearch(body, skips_first=skips_first)
            return items, [_narrowed(item, target) for item in items]

        return read() if len(body) <= PARSE_INLINE else await asyncio.to_thread(read)

    async def without_store(self, body: bytes, exchange: Exchange, target: Target) -> bytes | None:
        """The body without the store, where a pattern in it reaches that; else None.

        Refuses one that names the store, however broken it is or whatever its format.
        """
        if format_of(exchange.headers.get("Content-Type", "")) not in (None, "json"):
            check_unread(body)
            return None
        hidden = expands_hidden(target.query.get("expand_wildcards"))
        if not (hidden or await _asks(body)):
            return None
        try:
            items, kept_out = await self.items(body, target)
        except MsearchSyntaxError:
            # The backend refuses it too.
            check_names(names_in(decoded(body)))
            return None
        changed = any(new is not old for new, old in zip(kept_out, items, strict=True))
        return write_msearch(kept_out) if changed else None


async def _asks(body: bytes) -> bool:
    """Whether a body has to be read to know that it keeps clear of the store."""
    if len(body) <= PARSE_INLINE:
        return can_expand(body) or can_name_store(body)
    return await asyncio.to_thread(lambda: can_expand(body) or can_name_store(body))


def _narrowed(item: MsearchItem, target: Target) -> MsearchItem:
    """The item without the store; itself where it does not reach that."""
    names = item.names or target.names or ("*",)
    hidden = expands_hidden(item.expand or target.query.get("expand_wildcards"))
    if can_name_store(item.header):
        spread = bool(item.unread) and can_expand(item.header)
        # What else the backend could take for names: the text of an object, a broken header.
        for expression in set(names_in(decoded(item.header))).difference(names):
            check_name(expression)
            if reaches_store(expression, hidden=hidden or spread):
                raise refusal(expression)
    more = narrowed(names, hidden=hidden)
    if not more:
        return item
    if {"index", "indices"} <= item.meta.keys():
        # Which of them counts is for the backend to say.
        raise refusal(",".join(item.names))
    return item.with_names([*("*" if name == ALL else name for name in names), *more])


def responses_in(raw: bytes) -> tuple[str, Slice, list[Slice]]:
    """The text of a response, where its responses lie, and each. Raises `UnreadableError`."""
    text, whole = located(raw, "responses")
    if whole is None:
        raise ErrorResponse(500, "proxy_exception", "the backend's response has no [responses]")
    return text, whole, elements(text, whole.start)


def names_in_lines(body: bytes, names: tuple[str, ...]) -> tuple[str, ...]:
    """The index expressions that lines could be on, however they are read (none: all).

    `names` are those of the URL, which are for the lines that name none.
    """
    if not names:
        return ()
    found = dict.fromkeys(islice(names_in(decoded(body)), 1000 * NAMES_MAX))
    return (*filter(is_whole, found), *names)
