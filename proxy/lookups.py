"""Documents that a query fetches by itself, from whatever index it names.

`terms`, `geo_shape`, `more_like_this` and `percolate` take what they look for from a stored
document. No query or result pipeline of that document's index runs then, so it would get past the
final ones, and the store could be asked about.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import orjson

from pipelines.context import Phase
from proxy.backend import BackendRefusedError
from proxy.bodies import BodyError
from proxy.errors import ErrorAnswer
from proxy.exchange import Exchange
from proxy.formats import FormatError, format_of, to_json
from proxy.guard import check_broken, check_names, objects_in
from proxy.search_request import body_in_url
from proxy.selection import Selector
from proxy.target import Operation, Target
from proxy.templates import Templates
from proxy.transform import inflated, is_plain_json

_QUERIES: Final = frozenset(
    {
        Operation.SEARCH,
        Operation.MSEARCH,
        Operation.SEARCH_TEMPLATE,
        Operation.MSEARCH_TEMPLATE,
        Operation.ASYNC_SEARCH,
        Operation.COUNT,
        Operation.EXPLAIN,
        Operation.VALIDATE,
        Operation.BY_QUERY,
    }
)
_TEMPLATES: Final = frozenset({Operation.SEARCH_TEMPLATE, Operation.MSEARCH_TEMPLATE})
_A_TEMPLATE: Final = frozenset({"id", "source"})
_READ: Final[tuple[Phase, ...]] = ("query", "result")
# An object that names an index and one of these says where a document is.
_WHERE: Final = frozenset({"id", "_id", "path"})
_STORE_SIGN: Final = re.compile(rb'querymill|\\u|"<|\x00')
_ANY_SIGN: Final = re.compile(rb'querymill|\\u|"<|\x00|ndex')


class Lookups:
    """Refuses (403) queries that look things up in the store or in an index with final pipelines.

    `max_body` is the largest body that is read for it, in bytes.
    """

    def __init__(self, selector: Selector, templates: Templates, *, max_body: int) -> None:
        self._selector = selector
        self._templates = templates
        self._max_body = max_body

    def concerns(self, exchange: Exchange, target: Target) -> bool:
        """Whether the request can hold a query."""
        return target.operation in _QUERIES and (exchange.has_body or "source" in target.query.raw)

    def is_clear(self, exchange: Exchange, target: Target) -> bool:
        """Whether one look at a body that is here shows that nothing is looked up."""
        if target.operation in _TEMPLATES or not is_plain_json(exchange):
            return False
        body = exchange.at_hand()
        return body is not None and self._signs.search(body) is None

    @property
    def _signs(self) -> re.Pattern[bytes]:
        return _ANY_SIGN if self._selector.guarded(*_READ) else _STORE_SIGN

    async def check(self, exchange: Exchange, target: Target) -> None:
        """Raise `ErrorAnswer` for such a query; what cannot be read is the backend's to refuse."""
        guarded, signs = self._selector.guarded(*_READ), self._signs
        body = await self._body(exchange, target)
        if guarded and target.operation in _TEMPLATES:
            body = await self._rendered(exchange, body)
        if signs.search(body) is None:
            return
        names = list(dict.fromkeys(_looked_up(body, strict=guarded)))
        check_names(names)
        if guarded and names:
            what = f"{exchange.method} {target.path} with a lookup in [{','.join(names)}]"
            await self._selector.check_bypass(tuple(names), _READ, what)

    async def _body(self, exchange: Exchange, target: Target) -> bytes:
        """The body as JSON, as far as it can be read."""
        if not exchange.has_body:
            return body_in_url(target.query) or b""
        try:
            body = await inflated(exchange, self._max_body)
        except BodyError:
            return b""
        format = format_of(exchange.headers.get("Content-Type", ""))
        if format not in ("yaml", "cbor") or not body:
            return body
        try:
            return await asyncio.to_thread(to_json, body, format)
        except FormatError as error:
            if b"querymill" in body or self._selector.guarded(*_READ):
                raise ErrorAnswer(400, "parse_exception", str(error)) from error
            return b""

    async def _rendered(self, exchange: Exchange, body: bytes) -> bytes:
        """What the templates of a search, or of all searches in a body, come to."""
        whole = _parsed(body)
        texts = [body] if whole is not None else [line for line in body.split(b"\n") if line]
        made = []
        for text in texts:
            value = _parsed(text)
            if isinstance(value, dict) and not _A_TEMPLATE.isdisjoint(value):
                # One that cannot be rendered is the backend's to refuse.
                with suppress(BackendRefusedError):
                    text = (await self._templates.render(text.decode(), exchange)).encode()
            made.append(text)
        return b"\n".join(made)


def _looked_up(body: bytes, *, strict: bool) -> Iterator[str]:
    for value in _values(body, strict=strict):
        for each in objects_in(value):
            if not _WHERE.isdisjoint(each):
                named = (each.get("index"), each.get("_index"))
                yield from (name for name in named if isinstance(name, str))


def _values(body: bytes, *, strict: bool) -> Iterator[Any]:
    """The JSON in a body, or in its lines; with `strict` what is none is refused."""
    if (whole := _parsed(body)) is not None:
        yield whole
        return
    for line in body.split(b"\n"):
        if line.strip():
            value = _parsed(line)
            if value is None:
                check_broken(line)
                if strict:
                    # The backend reads more than JSON, such as comments.
                    reason = "the body is not valid JSON, and could look up protected documents"
                    raise ErrorAnswer(400, "parse_exception", reason)
            yield value


def _parsed(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
