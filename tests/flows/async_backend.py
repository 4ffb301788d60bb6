"""A backend with asynchronous searches in front of a real one, which lacks the plugin.

It answers the calls of either spelling in the documented shapes. The search inside is the real
backend's, and all other calls go there as they come, so that every hit is real.
"""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from multidict import CIMultiDict, MultiDict

ELASTIC = "_async_search"
OPENSEARCH = "_asynchronous_search"
_OWN = ("wait_for_completion_timeout", "keep_on_completion", "keep_alive")
_HOP = ("Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection")


@dataclass
class Call:
    """One request of an asynchronous search, as it reached the backend."""

    method: str
    target: str
    body: bytes

    @property
    def data(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class _Search:
    response: dict[str, Any]
    elastic: bool
    running: bool


@dataclass
class AsyncBackend:
    """`real` is the URL of the backend behind; `calls` are those of asynchronous searches.

    A search begun with ``wait_for_completion_timeout=0`` runs until it is asked for once more;
    while it runs it shows its first hit. With `failing` it ends in an error, with that hit.
    `verbatim` is answered in place of what was found.
    """

    real: aiohttp.ClientSession
    calls: list[Call] = field(default_factory=list)
    failing: bool = False
    verbatim: tuple[bytes, str] | None = None
    searches: dict[str, _Search] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        parts = request.path.strip("/").split("/")
        elastic = ELASTIC in parts
        if not elastic and OPENSEARCH not in parts:
            return await self._forward(request)
        body = await request.read()
        self.calls.append(Call(request.method, request.path_qs, body))
        at = parts.index(ELASTIC if elastic else OPENSEARCH)
        if request.method == "POST":
            own_index = at if elastic else at - 1
            return await self._submit(request, "/".join(parts[:own_index]), body, elastic)
        if parts[-1] == "stats":
            return web.json_response({"nodes": {}})
        search = self.searches.get(parts[-1])
        if search is None:
            cause = {"type": "resource_not_found_exception", "reason": parts[-1]}
            error = {"root_cause": [cause], **cause}
            return web.json_response({"error": error, "status": 404}, status=404)
        if request.method == "DELETE":
            del self.searches[parts[-1]]
            return web.json_response({"acknowledged": True})
        if "status" in parts:
            response = self._shown(parts[-1], search)
            del response["response"]
            return web.json_response(response)
        search.running = False
        return self._respond(parts[-1], search)

    async def _submit(
        self, request: web.BaseRequest, index: str, body: bytes, elastic: bool
    ) -> web.StreamResponse:
        query = MultiDict(request.query)
        own = {name: query.pop(name, None) for name in _OWN}
        index = query.pop("index", index)
        target = f"/{index}/_search" if index else "/_search"
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        async with self.real.post(target, params=query, data=body, headers=headers) as response:
            data = await response.json()
            if response.status != 200:
                return web.json_response(data, status=response.status)
        running = own["wait_for_completion_timeout"] == "0"
        search = _Search(data, elastic, running)
        kept = running or own["keep_on_completion"] == "true"
        search_id = base64.b64encode(b"node:%d" % next(self._numbers)).decode()
        if kept:
            self.searches[search_id] = search
        return self._respond(search_id if kept else None, search)

    def _shown(self, search_id: str | None, search: _Search) -> dict[str, Any]:
        head: dict[str, Any] = {} if search_id is None else {"id": search_id}
        partial = search.running or self.failing
        if search.elastic:
            head |= {"is_partial": partial, "is_running": search.running}
        else:
            done = "FAILED" if self.failing else "STORE_RESIDENT"
            head["state"] = "RUNNING" if search.running else done
        times = {"start_time_in_millis": 1583945890986, "expiration_time_in_millis": 1584377890986}
        response = search.response
        if partial:
            hits = {**response["hits"], "hits": response["hits"]["hits"][:1]}
            response = {**response, "hits": hits}
        return {**head, **times, "response": response}

    def _respond(self, search_id: str | None, search: _Search) -> web.Response:
        if self.verbatim is not None:
            body, content_type = self.verbatim
            return web.Response(body=body, headers={"Content-Type": content_type})
        response = self._shown(search_id, search)
        status = 200
        if self.failing and not search.running:
            response["error"] = {"type": "search_phase_execution_exception", "reason": "shards"}
            status = 500 if search.elastic else 200
        headers = {}
        if search.elastic and search_id is not None:
            headers["X-Elasticsearch-Async-Id"] = search_id
        return web.json_response(response, status=status, headers=headers)

    async def _forward(self, request: web.BaseRequest) -> web.Response:
        headers = CIMultiDict(request.headers)
        for name in ("Host", "Accept-Encoding"):
            headers.popall(name, None)
        async with self.real.request(
            request.method, request.rel_url, data=await request.read(), headers=headers
        ) as response:
            fields = response.headers.copy()
            for name in _HOP:
                fields.popall(name, None)
            return web.Response(status=response.status, body=await response.read(), headers=fields)
