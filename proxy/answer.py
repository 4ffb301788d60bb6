"""Answers to a client with exactly the header fields they were given, and correct framing.

aiohttp adds Date, Server and Content-Type where they are missing. The client of a proxy must see
what the backend said, so they are taken away again.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

_ADDED: Final = ("Date", "Server", "Content-Type")


class WholeAnswer(web.Response):
    """An answer with its whole body; head and body leave in one write."""

    async def _prepare_headers(self) -> None:
        added = [name for name in _ADDED if name not in self.headers]
        await super()._prepare_headers()
        for name in added:
            self.headers.popall(name, None)


class StreamedAnswer(web.StreamResponse):
    """An answer whose body is written piece by piece."""

    async def _prepare_headers(self) -> None:
        added = [name for name in _ADDED if name not in self.headers]
        await super()._prepare_headers()
        for name in added:
            self.headers.popall(name, None)
