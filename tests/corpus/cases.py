"""What one client sends, and what the proxy has to make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# What ends a refused connection: if any of it comes out at the backend, a request was smuggled.
HIDDEN: Final = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request the backend gets; `fields` are lines it must have, without regard to others."""

    method: str
    target: bytes
    body: bytes = b""
    fields: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """`data` from a client; what the backend gets of it, in order, and the statuses answered.

    A last status of 400 or more means that the proxy closes the connection after it.
    """

    data: bytes
    sent: tuple[Sent, ...] = ()
    statuses: tuple[int, ...] = (400,)

    @property
    def refused(self) -> bool:
        """Whether the connection ends with this."""
        return self.statuses[-1] >= 400


def get(*fields: bytes, target: bytes = b"/a", version: bytes = b"1.1") -> bytes:
    lines = [b"GET %b HTTP/%b" % (target, version), b"Host: x", *fields]
    return b"\r\n".join([*lines, b"", b""])


def post(body: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    lines = [b"POST /a HTTP/%b" % version, b"Host: x", *fields]
    return b"\r\n".join([*lines, b"", body])


def chunked(body: bytes, *fields: bytes) -> bytes:
    return post(body, b"Transfer-Encoding: chunked", *fields)


def length(value: bytes, body: bytes = b"abcde") -> Case:
    return Case(post(body, b"Content-Length: " + value) + HIDDEN)


def coding(value: bytes, body: bytes = b"0\r\n\r\n") -> Case:
    return Case(post(body, b"Transfer-Encoding: " + value) + HIDDEN)


def passes(data: bytes, *sent: Sent) -> Case:
    return Case(data, sent, (200,) * len(sent))


def target(target: bytes) -> Case:
    return passes(get(target=target), Sent("GET", target))


def refused_target(target: bytes) -> Case:
    return Case(get(target=target) + HIDDEN)


CHUNKED_ABC: Final = Sent("POST", b"/a", b"abc", (b"Transfer-Encoding: chunked",))
GET_A: Final = Sent("GET", b"/a")
