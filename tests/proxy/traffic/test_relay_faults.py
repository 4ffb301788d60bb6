"""Uploads cut short, clients that leave, backends that die: nothing half ever looks whole."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from structlog.typing import EventDict

from tests.proxy.wire import (
    Client,
    Message,
    ScriptedBackend,
    Wire,
    http_response,
    read_chunks,
    request,
)


async def test_early_response_to_an_upload(backend: ScriptedBackend, client: Client) -> None:
    """A response that comes before the upload is complete reaches the client at once."""
    backend.head_only = {"/early"}

    async def refuse(message: Message, wire: Wire) -> None:
        await wire.send(http_response(b"full", "429 Too Many Requests"))
        wire.writer.close()

    backend.reply = refuse
    head = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n"
    await client.send(head + b"x" * 100_000)
    got = await client.read_response("POST")
    assert (got.status, got.body) == (429, b"full")


@pytest.mark.parametrize("framing", ["Content-Length: 6000000", "Transfer-Encoding: chunked"])
async def test_a_client_that_sends_on_after_an_early_response(
    backend: ScriptedBackend, client: Client, framing: str
) -> None:
    """What it still sends is read and thrown away, and its next request is answered."""
    backend.head_only = {"/early"}
    backend.reply = http_response(b"full", "429 Too Many Requests")
    head = f"POST /early HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode()
    body = b"x" * 6_000_000
    if "chunked" in framing:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    await client.send(head + body[:100_000])
    assert (await client.read_response("POST")).status == 429
    async with asyncio.timeout(30):
        await client.send(body[100_000:])
        backend.reply = http_response(b"fine")
        assert (await client.ask(request("/next"))).body == b"fine"


async def test_response_while_uploading(backend: ScriptedBackend, client: Client) -> None:
    """A response can stream while its request still does: neither waits for the other's end."""
    backend.head_only = {"/both"}

    async def echo(message: Message, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert await wire.reader.readexactly(8) == b"3\r\none\r\n"
        await wire.send(b"3\r\nONE\r\n")
        assert await read_chunks(wire.reader) == [b"two"]
        await wire.send(b"3\r\nTWO\r\n0\r\n\r\n")

    backend.reply = echo
    await client.send(b"POST /both HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.send(b"3\r\none\r\n")
    await client.reader.readuntil(b"3\r\nONE\r\n")
    await client.send(b"3\r\ntwo\r\n0\r\n\r\n")
    assert await client.reader.readuntil(b"0\r\n\r\n") == b"3\r\nTWO\r\n0\r\n\r\n"


async def test_client_gone_ends_the_backend_request(
    backend: ScriptedBackend, client: Client
) -> None:
    """A client that hangs up while it waits closes the backend's connection, ending its search."""
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def hang(message: Message, wire: Wire) -> None:
        arrived.set()
        assert await wire.reader.read() == b""
        ended.set()

    backend.reply = hang
    await client.send(request("/_search", "POST", b"{}"))
    await arrived.wait()
    client.reset()
    await ended.wait()


async def test_client_gone_in_an_upload(backend: ScriptedBackend, client: Client) -> None:
    """A client that hangs up in its body never makes a whole request at the backend."""
    backend.head_only = {"/cut"}
    whole: list[bool] = []
    done = asyncio.Event()

    async def count(message: Message, wire: Wire) -> None:
        try:
            await wire.reader.readexactly(500_000)
            whole.append(True)
        except (asyncio.IncompleteReadError, ConnectionError):
            whole.append(False)
        done.set()

    backend.reply = count
    head = b"PUT /cut HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n"
    await client.send(head + b"x" * 200_000)
    client.reset()
    await done.wait()
    assert whole == [False]


async def test_backend_dies_in_a_small_response(
    backend: ScriptedBackend, client: Client, logged: list[EventDict]
) -> None:
    """A response cut off before anything of it was sent on is a 502 with an id in the log."""

    async def cut(message: Message, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        wire.reset()

    backend.reply = cut
    got = await client.ask(request("/"))
    assert got.status == 502
    assert b"backend_unreachable_exception" in got.body
    assert [line["id"].encode() in got.body for line in logged if "id" in line] == [True]


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 900000", b"Transfer-Encoding: chunked"],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("end", ["reset", "close", "garbage"])
async def test_backend_dies_in_a_large_response(
    backend: ScriptedBackend, client: Client, head: bytes, end: str
) -> None:
    """A response cut off while it streams breaks the client's connection; it never ends cleanly."""

    half_read = asyncio.Event()

    async def cut(message: Message, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        await wire.send(b"4\r\nhalf\r\n" if b"chunked" in head else b"half")
        await half_read.wait()
        if end == "garbage" and b"chunked" in head:
            await wire.send(b"nonsense\r\n")
        if end == "reset":
            wire.reset()
        else:
            wire.writer.close()

    backend.reply = cut
    await client.send(request("/"))
    begun = await client.reader.readuntil(b"half")
    assert begun.startswith(b"HTTP/1.1 200 OK")
    half_read.set()
    rest = b""
    with contextlib.suppress(ConnectionError):
        rest = await client.reader.read()
    assert rest in (b"", b"\r\n")
