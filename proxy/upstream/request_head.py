"""The head of a request to the backend, as bytes. Pure; the framing of the body is decided here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from proxy.http.headers import Fields, FieldsMemory, encode
from proxy.http.memo import LONGEST

# How a body is framed: its length, "chunked", or None for no body.
Framing = int | Literal["chunked"] | None

_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_LENGTH: Final = b"content-length"


class BadHeadError(ValueError):
    """A request cannot be written as HTTP/1.1; it would mean something else to the backend."""


class HeadTooLargeError(Exception):
    """A request that the backend would not read; the message says which limit it passes."""


class LineTooLongError(HeadTooLargeError):
    """Its request line is too long."""


class FieldsTooLargeError(HeadTooLargeError):
    """Its header fields are too large together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLimits:
    """The bytes a backend takes of a request line, and of all fields together, without line ends.

    Counted as the HTTP library of OpenSearch and Elasticsearch does.
    """

    line: int
    fields: int

    @property
    def least(self) -> int:
        """No head up to this size passes any of the limits."""
        return min(self.line, self.fields)

    def check(self, head: bytes) -> None:
        """Raise HeadTooLargeError where `head`, with all that is added, is more than it takes."""
        line = head.index(b"\r\n")
        if line > self.line:
            raise LineTooLongError(
                f"the request line is {line} bytes long, above the limit of {self.line} "
                "(backend_max_line); send long queries in a body"
            )
        # The line ends of all lines, and the empty one behind them.
        fields = len(head) - line - 2 * (head.count(b"\r\n"))
        if fields > self.fields:
            raise FieldsTooLargeError(
                f"the header fields are {fields} bytes long together, above the limit of "
                f"{self.fields} (backend_max_header)"
            )


_heads: Final = FieldsMemory[bytes]()


def request_head(
    method: str, target: str, authority: str, fields: Fields, framing: Framing, via: bytes = b""
) -> bytes:
    """Return the request line and fields, with the empty line that ends them.

    `target` and the fields are written as they are, in their order and case, after Host. A
    Content-Length among them keeps its place and gets the length of `framing`. `via` names the
    proxy, behind whatever the request came by.
    Raises BadHeadError where a control character or space could split the message.
    """
    if not isinstance(fields, tuple) or len(target) > LONGEST:
        return _request_head(fields, method, target, authority, framing, via)
    key = (fields, method, target, authority, framing, via)
    return _heads.get(key) or _heads.keep(key, _request_head(*key))


def _request_head(
    fields: Fields, method: str, target: str, authority: str, framing: Framing, via: bytes
) -> bytes:
    lines = [encode(f"{method} {target} HTTP/1.1\r\nHost: {authority}")]
    has_length = False
    for name, value in fields:
        if name.lower() == _LENGTH:
            if has_length or not isinstance(framing, int):
                continue
            has_length = True
            value = b"%d" % framing
        lines.append(b"%b: %b" % (name, value))
    if via:
        lines.append(b"Via: 1.1 " + via)
    if framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
    elif framing is not None and not has_length:
        lines.append(b"Content-Length: %d" % framing)
    head = b"\r\n".join(lines)
    breaks = len(lines)
    if (
        _TOKEN.fullmatch(method) is None
        or not target
        or " " in target
        or "\t" in target
        or head.count(b"\r") != breaks
        or head.count(b"\n") != breaks
        or _CONTROLS.search(head) is not None
    ):
        raise BadHeadError(
            "the method, target or a header field holds a space or control character that "
            "HTTP does not allow there"
        )
    return head + b"\r\n\r\n"
