"""HTTP/1.1 spoken by hand over real sockets: a backend that is told what to do, and a client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Message:
    """A request or a response as it was on the wire. `body` is without chunk framing."""

    first_line: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)

    @property
    def target(self) -> str:
        """The target of a request."""
        return self.first_line.split(b" ")[1].decode("utf-8", "surrogateescape")

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.first_line.split(b" ")[1])

    def get(self, name: str) -> bytes | None:
        """The first value of a field, whatever its case."""
        wanted = name.lower().encode()
        return next((value for key, value in self.fields if key.lower() == wanted), None)

    def names(self) -> list[bytes]:
        """The names of all fields in their order and case."""
        return [name for name, _ in self.fields]


async def read_message(
    reader: asyncio.StreamReader, *, response_to: str | None = None
) -> Message | None:
    """Read one message; None at the end of the connection. Raises IncompleteReadError in a body.

    For a response, `response_to` is the method of the request.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as exc:
        if exc.partial:
            raise
        return None
    first, *lines = head[:-4].split(b"\r\n")
    pairs = [line.partition(b":") for line in lines]
    message = Message(first, [(name, value.strip()) for name, _, value in pairs])
    is_response = response_to is not None
    if is_response and (
        response_to == "HEAD" or message.status in (204, 304) or message.status < 200
    ):
        return message
    length = message.get("content-length")
    if length is not None:
        message.body = await reader.readexactly(int(length))
    elif message.get("transfer-encoding") is not None:
        message.chunks = await read_chunks(reader)
        message.body = b"".join(message.chunks)
    elif is_response:
        message.body = await reader.read()
    return message


async def read_chunks(reader: asyncio.StreamReader) -> list[bytes]:
    """Read a chunked body to its end. Raises IncompleteReadError when the connection ends first."""
    chunks: list[bytes] = []
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        data = await reader.readexactly(size + 2)
        if not size:
            return chunks
        chunks.append(data[:-2])


@dataclass
class Wire:
    """The backend's end of one connection, for scripts that do more than answer."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    closed_by_peer: asyncio.Event

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Drop the connection at once."""
        self.writer.transport.abort()


Script = Callable[[Message, Wire], Awaitable[None]]


def http_response(body: bytes = b"{}", status: str = "200 OK", *fields: str) -> bytes:
    """A response with a Content-Length."""
    head = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class ScriptedBackend:
    """A backend on a real socket: records what it gets, answers what the test says.

    `replies` maps a target to bytes or to a script; other targets get `reply`. With `read_bodies`
    off a script reads the body itself.
    """

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.replies: dict[str, bytes | Script] = {}
        self.reply: bytes | Script = http_response()
        self.accepted = 0
        self.head_only: set[str] = set()
        self.port = 0
        self._news = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        return [message.target for message in self.received]

    async def arrival(self, count: int = 1) -> None:
        """Wait until `count` requests have come."""
        while len(self.received) < count:
            self._news.clear()
            await self._news.wait()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        wire = Wire(reader, writer, asyncio.Event())
        try:
            while (message := await self._next(reader)) is not None:
                self.received.append(message)
                self._news.set()
                reply = self.replies.get(message.target, self.reply)
                if isinstance(reply, bytes):
                    await wire.send(reply)
                else:
                    await reply(message, wire)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            wire.closed_by_peer.set()
            self._writers.discard(writer)
            writer.close()

    async def _next(self, reader: asyncio.StreamReader) -> Message | None:
        if not self.head_only:
            return await read_message(reader)
        # Scripts of these targets read the body themselves, so only the head is taken here.
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        pairs = [line.partition(b":") for line in lines]
        return Message(first, [(name, value.strip()) for name, _, value in pairs])


class Client:
    """A client on a real socket that sends exactly the bytes it is given."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read_response(self, method: str = "GET") -> Message:
        """Read one response."""
        message = await read_message(self.reader, response_to=method)
        assert message is not None, "the connection was closed without an answer"
        return message

    async def ask(self, request: bytes) -> Message:
        """Send a request and read its response."""
        await self.send(request)
        return await self.read_response(request.split(b" ", 1)[0].decode())

    async def at_end(self) -> bool:
        """Wait until the other side closes; False if it sent something instead."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()


def request(target: str = "/", method: str = "GET", body: bytes = b"", *fields: str) -> bytes:
    """A request with a Content-Length if it has a body."""
    lines = [f"{method} {target} HTTP/1.1", "Host: search.example", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
