"""Content-Encoding: bodies inflated within limits, as the backends read them."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from typing import Final

_STEP: Final = 256 * 1024
_WINDOW: Final = 1024 * 1024
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_DEFLATE: Final = frozenset({"deflate", "x-deflate"})
# What a backend can undo, or could with a library beside it, and this proxy cannot.
_NOT_READ: Final = frozenset({"br", "snappy", "zstd"})


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
    """Return `body` without its Content-Encoding, as the backends read it.

    They take off gzip and deflate, read what is before the end of a stream that breaks off, and
    take a coding they do not know, or a list of codings, for none. Never holds more than `limit`
    bytes of output. Raises BodyEncodingError for a coding that may be known there and is not here,
    BodyTooLargeError.
    """
    coding = content_encoding.strip().lower()
    if coding in _NOT_READ:
        raise BodyEncodingError(
            f"a body with Content-Encoding [{content_encoding}] cannot be read; send gzip, deflate"
            " or none"
        )
    if coding in _GZIP:
        return _inflated(body, zlib.MAX_WBITS | 16, limit)
    if coding in _DEFLATE:
        # RFC 9110, 8.4.1.2 says zlib; many send the bare stream, which has no header.
        with_header = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
        return _inflated(body, zlib.MAX_WBITS if with_header else -zlib.MAX_WBITS, limit)
    if len(body) > limit:
        raise BodyTooLargeError(limit)
    return body


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


def split_lines(body: bytes) -> list[bytes]:
    """``body.split(b"\\n")``, in steps of which none keeps other threads waiting for long."""
    lines: list[bytes] = []
    begin = 0
    while len(body) - begin > _WINDOW:
        end = body.find(b"\n", begin + _WINDOW)
        if end < 0:
            break
        lines += body[begin:end].split(b"\n")
        begin = end + 1
    lines += body[begin:].split(b"\n") if begin else body.split(b"\n")
    return lines


def joined(parts: Sequence[bytes], end: bytes = b"") -> bytes:
    """The parts, `end` behind each, put together in such steps."""
    if sum(map(len, parts)) <= _WINDOW:
        return b"".join([part + end for part in parts] if end else parts)
    whole = io.BytesIO()
    for part in parts:
        whole.write(part)
        whole.write(end)
    return whole.getvalue()


def _inflated(body: bytes, wbits: int, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    rest = body
    # A gzip body may be several members one after the other (RFC 1952, 2.2).
    while rest:
        member = zlib.decompressobj(wbits=wbits)
        while rest and not member.eof:
            try:
                piece = member.decompress(rest, _STEP)
            except zlib.error:
                return joined(pieces)
            size += len(piece)
            if size > limit:
                raise BodyTooLargeError(limit)
            pieces.append(piece)
            rest = member.unconsumed_tail
        rest = member.unused_data if wbits > zlib.MAX_WBITS else b""
    return joined(pieces)
