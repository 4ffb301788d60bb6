"""Pipelines of ours that the body of a search names."""

from __future__ import annotations

from typing import Final

from proxy.bodies import BodyError, is_json
from proxy.exchange import Exchange
from proxy.formats import format_of
from proxy.naming import SEARCH_PIPELINE, Asked, Names
from proxy.query_string import QueryString
from proxy.search_request import body_in_url
from proxy.transform import inflated, read_json_body

_WORD: Final = SEARCH_PIPELINE.encode()


async def named_in_body(
    names: Names,
    exchange: Exchange,
    query: QueryString,
    opened: bytes | None,
    asked: Asked | None,
    limit: int,
) -> tuple[Asked | None, bytes | None]:
    """What a search names in all, and the body to send in place of the client's, if any.

    `asked` is what its URL or its header names, `opened` a body that was put in its place already.
    A body above `limit` bytes is left to the backend.
    """
    text = opened
    if text is None and exchange.has_body:
        if not await _mentions(exchange, limit):
            return asked, None
        text = await read_json_body(exchange, limit)
    elif text is None:
        text = body_in_url(query)
    if not text or _WORD not in text:
        return asked, opened
    try:
        given = text.decode()
        named, left = names.in_body(given)
    except ValueError:
        # Not JSON: the backend's to refuse.
        return asked, opened
    if named is not None and (asked is None or asked.by_header):
        asked = named
    return asked, opened if left == given else left.encode()


async def _mentions(exchange: Exchange, limit: int) -> bool:
    """Whether a body has the word in it; one that cannot be read here has not."""
    kind = exchange.headers.get("Content-Type", "")
    readable = is_json(kind) or format_of(kind) in ("yaml", "cbor")
    if not readable or (exchange.length is not None and exchange.length > limit):
        return False
    raw = exchange.at_hand() or await exchange.body(exchange.max_body)
    if len(raw) > limit:
        return False
    if "Content-Encoding" not in exchange.headers:
        return _WORD in raw
    try:
        return _WORD in await inflated(exchange, limit)
    except BodyError:
        return False
