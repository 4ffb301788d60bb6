"""Documents that a query fetches by itself, from whatever index it names.

`terms`, `geo_shape`, `more_like_this` and `percolate` take what they look for from a stored
document. No query or result pipeline of that document's index runs then, so it would get past the
final ones, and the store could be asked about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import orjson

from pipelines.context import Phase
from proxy.formats.convert import FormatError, format_of, to_json
from proxy.http.encoding import split_lines
from proxy.http.errors import ErrorResponse
from proxy.http.limits import PARSE_INLINE
from proxy.protocol.bodies.lenient_json import decoded
from proxy.protocol.bodies.members import texts_beside, texts_under
from proxy.protocol.endpoints import SEARCHES
from proxy.protocol.store_guard import can_name_store, check_names, format_can_name_store
from proxy.protocol.target import Operation, Target
from proxy.server.exchange import Exchange
from proxy.traffic.request_body import UnreadableError, inflated
from proxy.traffic.selection import Selector
from proxy.traffic.templates import Templates

_IN_LINES: Final = frozenset({Operation.MSEARCH, Operation.MSEARCH_TEMPLATE})
_TEMPLATES: Final = frozenset({Operation.SEARCH_TEMPLATE, Operation.MSEARCH_TEMPLATE})
_A_TEMPLATE: Final = frozenset({"id", "source"})
_READ: Final[tuple[Phase, ...]] = ("query", "result")
# An object that names an index and one of these says where a document is.
_WHERE: Final = frozenset({"id", "_id", "path"})
_PLACES: Final = frozenset({"index", "_index"})


class Lookups:
    """Refuses (403) queries that look things up in the store or in an index with final pipelines.

    `max_body` is the largest body that is read for it, in bytes.
    """

    def __init__(self, selector: Selector, templates: Templates, *, max_body: int) -> None:
        self._selector = selector
        self._templates = templates
        self._max_body = max_body

    def is_clear(self, exchange: Exchange, target: Target) -> bool:
        """Whether one look shows that nothing is looked up: no query, or one that cannot do it."""
        if target.operation not in SEARCHES:
            return True
        if exchange.length == 0:
            return True
        if target.operation in _TEMPLATES or not exchange.facts.is_plain_json:
            return False
        if exchange.source is not None:
            return False
        body = exchange.at_hand()
        return body is not None and len(body) <= PARSE_INLINE and not self._can_look_up(body)

    def _can_look_up(self, body: bytes) -> bool:
        """Whether a body can name the store, or, where it matters, any index."""
        return can_name_store(body) or (b"ndex" in body and self._selector.guarded(*_READ))

    async def check(self, exchange: Exchange, target: Target) -> None:
        """Raise `ErrorResponse` for such a query; the backend refuses what is unreadable."""
        guarded = self._selector.guarded(*_READ)
        body = await self._body(exchange)
        if target.operation in _TEMPLATES and (guarded or can_name_store(body)):
            body = await self._rendered(exchange, body)
        if len(body) > PARSE_INLINE:
            names = await asyncio.to_thread(self._names, body, target)
        else:
            names = self._names(body, target)
        check_names(names)
        if guarded and names:
            what = f"{exchange.method} {target.path} with a lookup in [{','.join(names)}]"
            await self._selector.check_bypass(tuple(names), _READ, what)

    def _names(self, body: bytes, target: Target) -> list[str]:
        """Where the queries of a body look things up."""
        if not self._can_look_up(body):
            return []
        # Each line can be broken in its own way.
        texts = split_lines(body) if target.operation in _IN_LINES else [body]
        return list(dict.fromkeys(name for text in texts for name in _looked_up(decoded(text))))

    async def _body(self, exchange: Exchange) -> bytes:
        """The body as JSON, as far as it can be read."""
        body = await inflated(exchange, self._max_body)
        format = format_of(exchange.headers.get("Content-Type", ""))
        if format not in ("yaml", "cbor") or not body:
            return body
        if not (format_can_name_store(body) or self._selector.guarded(*_READ)):
            return b""
        try:
            return await asyncio.to_thread(to_json, body, format)
        except FormatError as error:
            if b"ndex" in body or format_can_name_store(body):
                raise ErrorResponse(400, "parse_exception", str(error)) from error
            # It names no index, whatever the backend reads in it.
            return b""

    async def _rendered(self, exchange: Exchange, body: bytes) -> bytes:
        """What the templates of a search, or of all searches in a body, come to."""
        whole = _parsed(body)
        texts = [body] if whole is not None else [line for line in split_lines(body) if line]
        made = []
        for text in texts:
            value = _parsed(text)
            if isinstance(value, dict) and not _A_TEMPLATE.isdisjoint(value):
                # One that cannot be rendered is the backend's to refuse.
                with suppress(UnreadableError):
                    text = (await self._templates.render(text, exchange)).encode()
            made.append(text)
        return b"\n".join(made)


def _looked_up(text: str) -> Iterator[str]:
    # The first look takes a fraction of the time of the second.
    if any(texts_under(text, _PLACES)):
        yield from texts_beside(text, _PLACES, _WHERE)


def _parsed(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
