"""A backend that does no work, a process of its own: one fixed answer to every search.

What is left of a latency is then the way there and back, and the proxy's own cost shows.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web

from bench.material import search_response

# some 6 KB, the size of ten hits with more text than the catalogue has
HITS = 17

_MISSING = {"type": "index_not_found_exception", "reason": "no such index [.querymill]"}


class StaticBackend:
    """Answers as an OpenSearch without the proxy's store would, from memory."""

    def __init__(self) -> None:
        self._answer = search_response(HITS).encode()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        if request.path.startswith("/.querymill"):
            body = {"error": {**_MISSING, "root_cause": [_MISSING]}, "status": 404}
            return web.json_response(body, status=404)
        if request.path == "/":
            version = {"distribution": "opensearch", "number": "3.8.0"}
            return web.json_response({"name": "static", "version": version})
        return web.Response(body=self._answer, content_type="application/json", charset="UTF-8")


async def serve() -> None:
    """Listen on a free port of 127.0.0.1 until standard input ends."""
    loop = asyncio.get_running_loop()
    server = web.Server(StaticBackend(), access_log=None)
    listener = await loop.create_server(server, "127.0.0.1", 0)
    print(f"static backend on 127.0.0.1:{listener.sockets[0].getsockname()[1]}", file=sys.stderr)
    await asyncio.to_thread(sys.stdin.read)
    listener.close()
    await server.shutdown(1.0)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
