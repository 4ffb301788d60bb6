"""Bodies as a pipeline needs them: inflated within limits, split into lines, told apart by type."""

from __future__ import annotations

import gzip
import zlib
from typing import Final

from proxy.compat import plain_media_type

# JSON of search traffic shrinks 5 to 20 times; what shrinks more than this is made to explode.
MAX_RATIO: Final = 200
# Below this size a ratio says nothing: a few kilobytes of zeroes harm nobody.
RATIO_FLOOR: Final = 1024 * 1024
_STEP: Final = 256 * 1024

_JSON_TYPES: Final = frozenset({"application/json", "text/json"})
_NDJSON_TYPES: Final = frozenset({"application/x-ndjson", "application/x-jsonlines"})


class BodyError(ValueError):
    """A body cannot be used; the message says why and what to send."""


class BodyEncodingError(BodyError):
    """The Content-Encoding is none that is understood."""


class BodyTooLargeError(BodyError):
    """A body is larger than its limit, or would be once inflated."""

    def __init__(self, limit: int, what: str = "request body") -> None:
        super().__init__(f"the {what} is larger than the limit of {limit} bytes")
        self.limit = limit


def inflate(body: bytes, content_encoding: str, limit: int) -> bytes:
    """Return `body` without its Content-Encoding (``gzip``, ``identity`` or none).

    Never holds more than `limit` bytes of output. Raises BodyEncodingError, BodyTooLargeError, or
    BodyError where the bytes are no valid gzip.
    """
    coding = content_encoding.strip().lower()
    if coding in ("", "identity"):
        if len(body) > limit:
            raise BodyTooLargeError(limit)
        return body
    if coding not in ("gzip", "x-gzip"):
        raise BodyEncodingError(
            f"Content-Encoding [{content_encoding}] is not supported; send gzip or none"
        )
    return _gunzip(body, limit)


def deflate(body: bytes) -> bytes:
    """Return `body` in gzip form, the same bytes for the same input."""
    return gzip.compress(body, compresslevel=3, mtime=0)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding names gzip with a weight above zero (RFC 9110, 12.5.3)."""
    for part in accept_encoding.lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        if coding in ("gzip", "x-gzip"):
            weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
            return weight.strip("0.") != ""
    return False


def split_ndjson(body: bytes) -> list[bytes]:
    """Return the lines of `body`, each with its line feed; joined they are `body` again.

    The last line has no line feed where `body` does not end with one.
    """
    lines = body.split(b"\n")
    last = lines.pop()
    kept = [line + b"\n" for line in lines]
    if last:
        kept.append(last)
    return kept


def media_type(content_type: str) -> str:
    """Return ``type/subtype`` in lower case, in plain form, without parameters."""
    plain = plain_media_type(content_type).partition(";")[0].strip().lower()
    return plain.replace("application/vnd.opensearch+", "application/", 1)


def is_json(content_type: str) -> bool:
    """Whether a body of this Content-Type is one JSON value."""
    return media_type(content_type) in _JSON_TYPES


def is_ndjson(content_type: str) -> bool:
    """Whether a body of this Content-Type is lines of JSON, as bulk and msearch take it."""
    return media_type(content_type) in _NDJSON_TYPES


def _gunzip(body: bytes, limit: int) -> bytes:
    allowed = min(limit, max(RATIO_FLOOR, len(body) * MAX_RATIO))
    pieces: list[bytes] = []
    size = 0
    rest = body
    # A gzip body may be several members one after the other (RFC 1952, 2.2).
    while rest:
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not member.eof:
            try:
                piece = member.decompress(rest, _STEP)
            except zlib.error as exc:
                raise BodyError(f"the body is not valid gzip: {exc}") from exc
            size += len(piece)
            if size > allowed:
                raise BodyTooLargeError(limit) if size > limit else _too_dense(len(body))
            pieces.append(piece)
            rest = member.unconsumed_tail
            if not piece and not rest and not member.eof:
                raise BodyError("the gzip body ends too early")
        rest = member.unused_data
    if not body:
        raise BodyError("the body is empty, which is not valid gzip")
    return b"".join(pieces)


def _too_dense(size: int) -> BodyError:
    return BodyError(
        f"the gzip body of {size} bytes expands more than {MAX_RATIO} times; send it uncompressed"
    )
