"""Which header fields go on to the other side (RFC 9110, 7.6.1); order, duplicates and case stay.

Field values of a request are text that stands for bytes: UTF-8 with surrogate escapes, so that
encoding them the same way gives back what was received. The server writes answers as UTF-8 and
would lose what is none; a value that is not UTF-8 is read as Latin-1, as HTTP once had it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from multidict import CIMultiDict

Headers = CIMultiDict[str]
RawHeaders = Iterable[tuple[bytes, bytes]]

_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Host is written anew for the backend, and Expect is between the client and this proxy.
_REQUEST_ONLY: Final = _HOP_BY_HOP | {"host", "expect"}
# A message whose Connection field names these would change its own framing or meaning.
_NEVER_NAMED: Final = frozenset({"content-length", "content-type", "content-encoding", "host"})


def request_headers(raw: RawHeaders) -> Headers:
    """Return the fields of a request that the backend gets; Host is for the upstream to add."""
    return Headers([(name, decode(value)) for name, value in _kept(raw, _REQUEST_ONLY)])


def response_headers(raw: RawHeaders) -> Headers:
    """Return the fields of an answer that the client gets."""
    kept = _kept(raw, _HOP_BY_HOP)
    try:
        return Headers([(name, value.decode()) for name, value in kept])
    except UnicodeDecodeError:
        return Headers([(name, _printable(value)) for name, value in kept])


def encode(text: str) -> bytes:
    """Return the bytes a header value or request target stood for."""
    return text.encode("utf-8", "surrogateescape")


def decode(value: bytes) -> str:
    """Return text that stands for the bytes of a header value or request target."""
    return value.decode("utf-8", "surrogateescape")


def _kept(raw: RawHeaders, hop: frozenset[str]) -> list[tuple[str, bytes]]:
    fields = [(_name(name), value) for name, value in raw]
    for (_, lowered), value in fields:
        if lowered == "connection":
            hop = hop | (_named(value) - _NEVER_NAMED)
    return [(name, value) for (name, lowered), value in fields if lowered not in hop]


# Clients and backends send the same few names all day.
@lru_cache(maxsize=1024)
def _name(raw: bytes) -> tuple[str, str]:
    name = decode(raw)
    return name, name.lower()


def _named(value: bytes) -> frozenset[str]:
    return frozenset(part.strip().lower() for part in decode(value).split(","))


def _printable(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
