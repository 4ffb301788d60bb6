"""A JSON client that answers with everything a test wants to look at."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from multidict import CIMultiDictProxy
from yarl import URL


@dataclass(frozen=True, slots=True)
class Response:
    """One response, read whole."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def data(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The cause of an error response, checked to be in the backend's envelope."""
        data = self.data
        assert data["status"] == self.status, data
        cause = dict(data["error"])
        assert cause.pop("root_cause")[0]["reason"] == cause["reason"]
        return cause

    @property
    def ids(self) -> list[str]:
        """The ids of a search's hits, in order."""
        return [hit["_id"] for hit in self.data["hits"]["hits"]]


class Client:
    """Sends requests to one server; `body` is bytes as they are, or anything JSON."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def call(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        fields = dict(headers or {})
        data = body if isinstance(body, bytes | None) else orjson.dumps(body)
        if data is not None:
            fields.setdefault("Content-Type", "application/json")
        # A plain bytes body of this size makes aiohttp warn about the event loop.
        sent = io.BytesIO(data) if data is not None and len(data) > 2**20 else data
        async with self.session.request(
            method, URL(target, encoded=True), data=sent, headers=fields
        ) as response:
            return Response(response.status, response.headers, await response.read())

    async def get(self, target: str, body: Any = None, **headers: str) -> Response:
        return await self.call("GET", target, body, headers)

    async def get_until(self, target: str, holds: Callable[[Response], bool]) -> Response:
        """Ask again and again until the response is so; the test's own time limit ends it."""
        while not holds(response := await self.get(target)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return response

    async def put(self, target: str, body: Any = None, **headers: str) -> Response:
        return await self.call("PUT", target, body, headers)

    async def post(self, target: str, body: Any = None, **headers: str) -> Response:
        return await self.call("POST", target, body, headers)

    async def delete(self, target: str) -> Response:
        return await self.call("DELETE", target)

    # Steps most flows begin with

    async def put_udf(self, name: str, source: str) -> None:
        response = await self.call(
            "PUT", f"/_udf/{name}", source.encode(), {"Content-Type": "text/x-python"}
        )
        assert response.status == 200, response.body

    async def put_pipeline(self, name: str, type: str, *udfs: str, **options: Any) -> None:
        """A pipeline of python stages, one for each UDF; `stage` are options of all stages."""
        stage = options.pop("stage", {})
        config = options.pop("config", {})
        stages = [
            {"name": udf, "type": "python", "config": {"udf_name": udf, **config}, **stage}
            for udf in udfs
        ]
        response = await self.put(f"/_pipeline/{name}", {"type": type, "stages": stages, **options})
        assert response.status == 200, response.body

    async def define(self, name: str, type: str, source: str, **options: Any) -> None:
        """A UDF and a pipeline of one stage with it, both called `name`."""
        await self.put_udf(name, source)
        await self.put_pipeline(name, type, name, **options)

    async def attach(self, index: str, **pipelines: str | None) -> None:
        """Attach pipelines by phase: ``attach("i", query="p")``."""
        settings = {f"index.{phase}.default_pipeline": name for phase, name in pipelines.items()}
        response = await self.put(f"/{index}/_settings", settings)
        assert response.status == 200, response.body

    async def index(self, index: str, documents: Mapping[str, Any]) -> None:
        """Create an index of one shard with documents, searchable at once."""
        lines = [
            line
            for doc_id, document in documents.items()
            for line in (orjson.dumps({"index": {"_id": doc_id}}), orjson.dumps(document))
        ]
        await self.put(f"/{index}", {"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
        body = b"\n".join([*lines, b""])
        response = await self.post(f"/{index}/_bulk?refresh=true", body)
        assert response.status == 200, response.body
        assert response.data["errors"] is False, response.body
