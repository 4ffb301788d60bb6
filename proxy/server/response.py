"""Responses to a client with exactly the header fields they were given, and correct framing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from proxy.http.headers import Fields, FieldsMemory, Headers, encode, printable
from proxy.http.limits import JOIN_LIMIT

# What aiohttp adds where it is missing.
_ADDED: Final = ("Date", "Server", "Content-Type")


class WholeResponse(web.StreamResponse):
    """A response with its whole body; head and body leave in one write.

    `fields` are written as they are; the length is corrected to that of `body`. To HEAD, a
    Content-Length among them stays and no body is sent. With `refuses` it says HTTP/1.1 and ends
    the connection, for it answers what may have been in no version of HTTP. `whole` is the body
    until that was written.
    """

    def __init__(
        self,
        status: int,
        reason: str | None,
        fields: Fields,
        body: bytes,
        *,
        refuses: bool = False,
    ) -> None:
        super().__init__(status=status, reason=reason)
        self._fields = fields
        self.whole = body
        self._refuses = refuses
        self._written = False
        if refuses:
            self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write all of it, and wait until the client took most; the second time, do nothing.

        Raises ConnectionResetError when the client is gone.
        """
        if self._written:
            return request.writer
        self._written = True
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        keep_alive = request.keep_alive if self._keep_alive is None else self._keep_alive
        self._keep_alive = keep_alive
        bodiless = request.method == "HEAD" or self._status in (204, 304)
        head = self._head(request, keep_alive, len(self.whole), bodiless=bodiless)
        # What tells aiohttp that this request was answered, whatever happens next.
        request.writer.output_size += len(head)
        # What keeps the response, as the error of a client that is gone, keeps no body with it.
        body, self.whole = self.whole, b""
        if bodiless:
            transport.write(head)
        elif len(body) <= JOIN_LIMIT:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        del body
        await request.protocol._drain_helper()
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to write."""

    def _head(
        self, request: web.BaseRequest, keep_alive: bool, length: int, *, bodiless: bool
    ) -> bytes:
        new = self._refuses or request.version >= HttpVersion11
        key = (self._fields, self._status, self._reason, length, bodiless, keep_alive, new)
        if not isinstance(self._fields, tuple):
            return _head(*key)
        return _heads.get(key) or _heads.keep(key, _head(*key))


_heads: Final = FieldsMemory[bytes]()


def _head(
    fields: Fields,
    status: int,
    reason: str,
    length: int,
    bodiless: bool,
    keep_alive: bool,
    new: bool,
) -> bytes:
    """The head of a response; `new` is HTTP/1.1. Raises ValueError where it would be split."""
    version = b"1.1" if new else b"1.0"
    lines = [b"HTTP/%b %d %b" % (version, status, encode(reason))]
    has_length = status == 204 or (bodiless and not length)
    for name, value in fields:
        if name.lower() == b"content-length":
            if status == 204 or (has_length and not bodiless):
                continue
            has_length = True
            if not bodiless:
                value = b"%d" % length
        lines.append(b"%b: %b" % (name, value))
    if not has_length:
        lines.append(b"Content-Length: %d" % length)
    if keep_alive != new:
        lines.append(b"Connection: keep-alive" if keep_alive else b"Connection: close")
    head = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count(b"\r") != breaks or head.count(b"\n") != breaks or b"\0" in head:
        raise ValueError("a line break in the head of a response would split it")
    return head + b"\r\n\r\n"


class StreamedResponse(web.StreamResponse):
    """A response whose body is written piece by piece."""

    def __init__(self, *, status: int, reason: str | None, headers: Mapping[str, str]) -> None:
        text = Headers([(name, printable(value)) for name, value in headers.items()])
        super().__init__(status=status, reason=reason, headers=text)

    async def _prepare_headers(self) -> None:
        added = [name for name in _ADDED if name not in self.headers]
        await super()._prepare_headers()
        for name in added:
            self.headers.popall(name, None)
