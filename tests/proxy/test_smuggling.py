"""One accepted request in is exactly one identical request out, or 400 and close."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import orjson
import pytest

from tests.corpus.smuggling import (
    CHUNKS,
    CODINGS,
    CONNECTIONS,
    ENDINGS,
    HEADS,
    LENGTHS,
    TARGETS,
    Case,
    Sent,
)
from tests.proxy.conftest import Proxy
from tests.proxy.wire import Client, Message, ScriptedBackend

TABLES = {
    "length": LENGTHS,
    "coding": CODINGS,
    "chunk": CHUNKS,
    "head": HEADS,
    "target": TARGETS,
    "connection": CONNECTIONS,
    "ending": ENDINGS,
}
CASES = {f"{table}: {name}": case for table, cases in TABLES.items() for name, case in cases.items()}
SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: x\r\n\r\n"
ends = [name for name, case in CASES.items() if case.refused or name.startswith("ending")]

@pytest.mark.parametrize("name", CASES)
async def test_x(name: str, backend: ScriptedBackend, client: Client, one: bool=False) -> None:
    case = CASES[name]
    over = name in ends
    async with asyncio.timeout(5):
        await client.send(case.data + (b"" if over else SENTINEL))
        got = []
        for st in case.statuses if over else (*case.statuses, 200):
            m = await client.answer("GET")
            if m.status == 100: m = await client.answer("GET")
            got.append(m.status)
        if over:
            assert await client.at_end()
    assert got == list(case.statuses if over else (*case.statuses, 200))
    sent = [(m.first_line, m.body) for m in backend.received]
    want = [(b"%s %s HTTP/1.1" % (s.method.encode(), s.target), s.body) for s in case.sent]
    if not over: want.append((b"GET /sentinel HTTP/1.1", b""))
    assert sent == want
    for m, s in zip(backend.received, case.sent):
        lines = [n + b": " + v for n, v in m.fields]
        for f in s.fields: assert f in lines
