"""One accepted request in is exactly one identical request out, or an error and the end.

The corpus goes through a real proxy to a backend that records what it reads by the letter. Each
connection goes on with a request of its own, which shows where the proxy thinks the last one ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tests.corpus.cases import Case
from tests.corpus.endings import ENDINGS
from tests.corpus.smuggling import (
    CHUNKS,
    CODINGS,
    CONNECTIONS,
    HEADS,
    LENGTHS,
    TARGETS,
)
from tests.proxy.conftest import Proxy
from tests.proxy.wire import Client, Message, ScriptedBackend, Wire, http_response, request

TABLES: Mapping[str, Mapping[str, Case]] = {
    "lengths": LENGTHS,
    "codings": CODINGS,
    "chunks": CHUNKS,
    "heads": HEADS,
    "targets": TARGETS,
    "connections": CONNECTIONS,
}
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
# Above this, a byte at a time takes too long and shows nothing new.
PIECES = 500


async def send(client: Client, data: bytes, *, pieces: bool) -> None:
    """Send `data`, whole or in pieces of one byte; stop where the proxy does not listen on."""
    size = max(1, len(data) // PIECES) if pieces else len(data)
    try:
        for start in range(0, len(data), size):
            await client.send(data[start : start + size])
            await asyncio.sleep(0)
    except ConnectionError:
        pass


async def statuses(client: Client) -> list[int]:
    """The statuses of all responses until the proxy closes."""
    seen: list[int] = []
    try:
        while not client.reader.at_eof():
            message = await client.read_response()
            if message.status != 100:
                seen.append(message.status)
    except (ConnectionError, AssertionError):
        pass
    return seen


def came(backend: ScriptedBackend) -> list[tuple[bytes, bytes]]:
    """The request lines and bodies of all whole requests at the backend."""
    return [(message.first_line, message.body) for message in backend.received]


def expected(case: Case) -> list[tuple[bytes, bytes]]:
    return [
        (b"%b %b HTTP/1.1" % (sent.method.encode(), sent.target), sent.body) for sent in case.sent
    ]


def fields_missing(case: Case, backend: ScriptedBackend) -> list[bytes]:
    """The field lines that should have come and did not, or came with another letter."""
    missing: list[bytes] = []
    for sent, message in zip(case.sent, backend.received, strict=False):
        lines = [b"%b: %b" % pair for pair in message.fields]
        missing += [line for line in sent.fields if line not in lines]
    return missing


async def difference(proxy: Proxy, backend: ScriptedBackend, case: Case, pieces: bool) -> str:
    """What came out of the proxy otherwise than the case says; "" if nothing did."""
    backend.received.clear()
    client = await proxy.client()
    last = (
        case.data
        if case.refused
        else case.data + NEXT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    )
    await send(client, last, pieces=pieces)
    seen = await statuses(client)
    wanted = expected(case) if case.refused else [*expected(case), (b"GET /next HTTP/1.1", b"")]
    responses = case.statuses if case.refused else (*case.statuses, 200)
    # A client that still sends when it is refused may find its connection reset.
    lost = pieces and case.refused and seen == []
    if came(backend) != wanted:
        return f"the backend got {came(backend)}, not {wanted}"
    if not lost and seen != list(responses):
        return f"the client got {seen}, not {responses}"
    return " ".join(map(repr, fields_missing(case, backend)))


@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "pieces"])
@pytest.mark.parametrize("table", TABLES)
async def test_corpus(bare: Proxy, backend: ScriptedBackend, table: str, pieces: bool) -> None:
    """Each case of the corpus comes out as it says, sent in one piece or byte by byte."""
    different = {}
    for name, case in TABLES[table].items():
        if found := await difference(bare, backend, case, pieces):
            different[name] = found
    assert different == {}


@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "pieces"])
@pytest.mark.parametrize("name", ENDINGS)
async def test_nothing_is_read_behind_the_end(
    bare: Proxy, backend: ScriptedBackend, name: str, pieces: bool
) -> None:
    """Behind the last request of a connection nothing is read, and it has its response."""
    case = ENDINGS[name]
    client = await bare.client()
    await send(client, case.data, pieces=pieces)
    seen = await statuses(client)
    assert came(backend) == expected(case)
    # A client that sends on behind an offer to change the protocol may find its connection reset.
    lost = pieces and name.startswith("upgrade") and seen == []
    assert lost or seen == [200]


async def test_connection_goes_on_after_an_upgrade_nobody_wants(
    bare: Proxy, backend: ScriptedBackend
) -> None:
    """Clients that offer TLS with each request keep their connection."""
    client = await bare.client()
    for target in ("/1", "/2"):
        offer = request(target, "GET", b"", "Connection: upgrade", "Upgrade: TLS/1.2")
        assert (await client.ask(offer)).get("connection") is None
    body = request("/3", "POST", b"abc", "Connection: upgrade", "Upgrade: TLS/1.2")
    assert (await client.ask(body)).get("connection") is None
    assert [message.body for message in backend.received] == [b"", b"", b"abc"]
    assert all(message.get("upgrade") is None for message in backend.received)


async def test_bytes_behind_a_web_socket_are_not_read(
    bare: Proxy, backend: ScriptedBackend
) -> None:
    """What follows an offer of a web socket while it is answered never becomes a request."""

    async def slow(message: Message, wire: Wire) -> None:
        await client.send(NEXT * 3)
        await wire.send(http_response())

    backend.reply = slow
    client = await bare.client()
    offer = request("/", "GET", b"", "Connection: upgrade", "Upgrade: websocket")
    assert (await client.ask(offer)).get("connection") == b"close"
    assert await client.at_end()
    assert backend.targets == ["/"]
