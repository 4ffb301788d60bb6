"""The static backend where nginx is not installed: fixed responses to searches, from memory.

What is no search of its indices goes on to a real backend, which has the definitions.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Final

import uvloop
from aiohttp import ClientSession, web

from bench.material import STATIC, STATIC_HITS

_SEARCH: Final = re.compile(rf"/{STATIC}-(\d+)(?:-[a-z0-9-]+)?/_search")
_HOP: Final = {"connection", "content-length", "content-encoding", "host", "transfer-encoding"}


class StaticBackend:
    """Handles searches from the files in `folder`; `session` leads to the real backend."""

    def __init__(self, folder: Path, session: ClientSession) -> None:
        self._responses = {str(n): (folder / f"{n}.json").read_bytes() for n in STATIC_HITS}
        self._session = session

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if (found := _SEARCH.fullmatch(request.path)) and found[1] in self._responses:
            return web.Response(body=self._responses[found[1]], content_type="application/json")
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _HOP}
        asked = self._session.request(request.method, request.raw_path, data=body, headers=headers)
        async with asked as response:
            kept = {n: text for n, text in response.headers.items() if n.lower() not in _HOP}
            return web.Response(body=await response.read(), status=response.status, headers=kept)


async def serve(backend: str, folder: Path) -> None:
    """Listen on a free port of 127.0.0.1 until standard input ends."""
    loop = asyncio.get_running_loop()
    async with ClientSession(f"http://{backend}") as session:
        server = web.Server(StaticBackend(folder, session), access_log=None)
        listener = await loop.create_server(server, "127.0.0.1", 0)
        print(f"static on 127.0.0.1:{listener.sockets[0].getsockname()[1]}", file=sys.stderr)
        await asyncio.to_thread(sys.stdin.read)
        listener.close()
        await server.shutdown(1.0)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1], Path(sys.argv[2])))
