"""Pipelines of ours that the body of a search names."""

from __future__ import annotations

from typing import Final

from proxy.formats.convert import format_of
from proxy.http.encoding import BodyError
from proxy.http.media_type import is_json
from proxy.protocol.bodies.lenient_json import as_json, may_hold
from proxy.server.exchange import Exchange
from proxy.traffic.naming import SEARCH_PIPELINE, Asked, Names
from proxy.traffic.request_body import UnreadableError, inflated, read_json_body

_WORD: Final = SEARCH_PIPELINE.encode()


async def named_in_body(
    names: Names,
    exchange: Exchange,
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
        try:
            text = await read_json_body(exchange, limit)
        except UnreadableError:
            return asked, None
    if not text or not may_hold(text, _WORD):
        return asked, opened
    try:
        given = as_json(text)
        named, left = names.in_body(given)
    except ValueError:
        # Not JSON: the backend's to refuse.
        return asked, opened
    if named is not None and (asked is None or asked.by_header):
        asked = named
    return asked, opened if left == given else left.encode(errors="surrogateescape")


async def _mentions(exchange: Exchange, limit: int) -> bool:
    """Whether a body has the word in it; one that cannot be read here has not."""
    if exchange.facts.is_plain_json and (raw := exchange.at_hand()) is not None:
        # What most clients send: JSON as it is, all of it here.
        return len(raw) <= limit and may_hold(raw, _WORD)
    kind = exchange.headers.get("Content-Type", "")
    readable = is_json(kind) or format_of(kind) in ("yaml", "cbor")
    if not readable or (exchange.length is not None and exchange.length > limit):
        return False
    raw = exchange.at_hand() or await exchange.body(exchange.max_body)
    if len(raw) > limit:
        return False
    try:
        body = (
            raw if "Content-Encoding" not in exchange.headers else await inflated(exchange, limit)
        )
    except BodyError:
        return False
    # YAML and CBOR can write a word in pieces, too.
    other = not is_json(kind) and (b"\\" in body or b"\x7f" in body)
    return other or may_hold(body, _WORD)
