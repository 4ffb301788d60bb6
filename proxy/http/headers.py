"""Which header fields go on to the other side (RFC 9110, 7.6.1); order, duplicates and case stay.

Fields that nobody looks into stay pairs of bytes. Where they are text, it stands for bytes: UTF-8
with surrogate escapes, so that encoding it the same way gives back what was received.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, Generic, TypeVar

from multidict import CIMultiDict

from proxy.http.limits import REMEMBERED_BYTES, REMEMBERED_FIELDS, REMEMBERED_HEADS
from proxy.http.memo import Memo

_T = TypeVar("_T")

Headers = CIMultiDict[str]
Fields = Sequence[tuple[bytes, bytes]]
"""Header fields as they are on the wire, in order."""

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
ADMIN_TOKEN: Final = "Querymill-Admin-Token"
"""The field with the token of administration, which is for this proxy alone."""
NAMES_PIPELINES: Final = "Querymill-Pipeline"
"""The field in which a client names pipelines; this proxy's alone as well."""
# Host is written anew for the backend, and Expect and those fields are between the client and this
# proxy.
_REQUEST_ONLY: Final = (
    _HOP_BY_HOP
    | {b"host", b"expect", ADMIN_TOKEN.lower().encode()}
    | {NAMES_PIPELINES.lower().encode()}
)
# A message whose Connection field names these would change its own framing or meaning.
_NEVER_NAMED: Final = frozenset({b"content-length", b"content-type", b"content-encoding", b"host"})


def request_fields(raw: Fields) -> Fields:
    """Return the fields of a request that the backend gets; Host is for the upstream to add."""
    return _kept(raw, _REQUEST_ONLY)


def response_fields(raw: Fields) -> Fields:
    """Return the fields of a response that the client gets."""
    return _kept(raw, _HOP_BY_HOP)


def request_headers(raw: Fields) -> Headers:
    """Return what `request_fields` does, as text to look into and change."""
    return _as_text(request_fields(raw))


def response_headers(raw: Fields) -> Headers:
    """Return what `response_fields` does, as text to look into and change."""
    return _as_text(response_fields(raw))


def as_fields(headers: Headers) -> Fields:
    """Return headers as they go on the wire."""
    return [(encode(name), encode(value)) for name, value in headers.items()]


def encode(text: str) -> bytes:
    """Return the bytes a header value or request target stood for."""
    return text.encode("utf-8", "surrogateescape")


def decode(value: bytes) -> str:
    """Return text that stands for the bytes of a header value or request target."""
    return value.decode("utf-8", "surrogateescape")


def printable(value: str) -> str:
    """Return a value for a writer that knows UTF-8 only: what is none is read as Latin-1.

    That is what HTTP once had it be (RFC 9110, 5.5).
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return encode(value).decode("latin-1")
    return value


def _as_text(fields: Fields) -> Headers:
    return Headers([(decode(name), decode(value)) for name, value in fields])


class FieldsMemory(Generic[_T]):
    """What was made of header fields: clients send the same all day, and a backend's change with
    the second. Only a few short fields, as a tuple, are remembered. A key begins with them.
    """

    def __init__(self) -> None:
        self._memo = Memo[Hashable, _T](REMEMBERED_HEADS)
        self.get = self._memo.get

    def keep(self, key: tuple[Fields, *tuple[Hashable, ...]], value: _T) -> _T:
        """Remember `value`, if that is worth it, and return it."""
        fields = key[0]
        if not isinstance(fields, tuple) or len(fields) > REMEMBERED_FIELDS:
            return value
        if sum([len(name) + len(text) for name, text in fields]) > REMEMBERED_BYTES:
            return value
        return self._memo.keep(key, value)


_known: Final = FieldsMemory[Fields]()


def _kept(raw: Fields, hop: frozenset[bytes]) -> Fields:
    if not isinstance(raw, tuple):
        return _kept_of(raw, hop)
    key = (raw, hop)
    return _known.get(key) or _known.keep(key, tuple(_kept_of(raw, hop)))


def _kept_of(raw: Fields, hop: frozenset[bytes]) -> Fields:
    kept = []
    for name, value in raw:
        lowered = name.lower()
        if lowered not in hop:
            kept.append((name, value))
        elif lowered == b"connection" and value.lower() not in _USUAL:
            return _kept_of_all(raw, hop)
    return kept


# What a Connection field says that names no other field.
_USUAL: Final = frozenset({b"close", b"keep-alive"})


def _kept_of_all(raw: Fields, hop: frozenset[bytes]) -> Fields:
    named: set[bytes] = set()
    for name, value in raw:
        if name.lower() == b"connection":
            named.update(part.strip().lower() for part in value.split(b","))
    gone = hop | (named - _NEVER_NAMED)
    return [(name, value) for name, value in raw if name.lower() not in gone]
