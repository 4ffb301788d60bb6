"""The demo's client: the elasticsearch package, unchanged, pointed at the proxy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Self
from urllib.parse import quote

from elasticsearch import ApiError, AsyncElasticsearch, TransportError
from elasticsearch.helpers import BulkIndexError, async_bulk

from proxy.demo.errors import DemoError
from proxy.demo.material import INDEX, Example, Material, Showcase
from proxy.demo.response import Hit, Response, Shown, judge

_JSON: Final = {"Accept": "application/json", "Content-Type": "application/json"}
_TIMEOUT: Final = 60.0


class Session:
    """Loads the material and runs the showcases, all of it through the proxy at `url`.

    Use it with ``async with``; it owns the client's connections.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = AsyncElasticsearch(url, request_timeout=_TIMEOUT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.close()

    async def index(self, material: Material) -> int:
        """Create the index and fill it; the number of documents. Raises DemoError."""
        try:
            await self._client.indices.create(index=INDEX, **material.index)
            # In one piece: documents in one segment keep their order, and equal scores with them.
            indexed, _ = await async_bulk(
                self._client, _actions(material), chunk_size=len(material.products), refresh=True
            )
        except (ApiError, TransportError, BulkIndexError) as error:
            raise DemoError(f"the products cannot be indexed at {self._url}: {error}") from error
        return int(indexed)

    async def upload(self, example: Example) -> None:
        """Upload a UDF and the pipeline that runs it. Raises DemoError."""
        try:
            await self._call("PUT", f"/_udf/{example.udf}", example.package)
            await self._call("PUT", f"/_pipeline/{example.name}", example.definition)
        except (ApiError, TransportError) as error:
            raise DemoError(f"example {example.name} is refused: {error}") from error

    async def show(self, showcase: Showcase) -> Shown:
        """Run a showcase without and with its pipelines. Raises DemoError."""
        run = self._search if showcase.kind == "search" else self._write
        try:
            before = await run(showcase, "_none")
            after = await run(showcase, ",".join(showcase.pipelines))
        except TransportError as error:
            raise DemoError(f"showcase {showcase.id}: no answer: {error}") from error
        return judge(showcase, before, after)

    async def _search(self, showcase: Showcase, pipelines: str) -> Response:
        path = f"/{INDEX}/_search?pipeline={quote(pipelines, safe=',')}"
        try:
            found = await self._call("POST", path, showcase.body)
        except ApiError as error:
            return _refused(error)
        return Response(
            status=200,
            total=found["hits"]["total"]["value"],
            hits=tuple(
                Hit(hit["_id"], str(hit["_source"].get("title", "")))
                for hit in found["hits"]["hits"]
            ),
            metadata=found.get("_pipeline_metadata", {}),
        )

    async def _write(self, showcase: Showcase, pipelines: str) -> Response:
        """Write the document, look at what is stored, and leave nothing behind of the first."""
        before = pipelines == "_none"
        key = f"{showcase.body['sku']}{'-before' if before else ''}"
        path = f"/{INDEX}/_doc/{quote(key, safe='')}"
        try:
            written = await self._client.perform_request(
                "PUT",
                f"{path}?refresh=true&pipeline={quote(pipelines, safe=',')}",
                headers=_JSON,
                body=showcase.body,
            )
        except ApiError as error:
            return _refused(error, await self._stored(path))
        document = await self._stored(path)
        if before:
            await self._call("DELETE", f"{path}?refresh=true")
        return Response(status=written.meta.status, document=document)

    async def _stored(self, path: str) -> Mapping[str, Any] | None:
        try:
            found = await self._call("GET", path)
        except ApiError as error:
            if error.status_code == 404:
                return None
            raise
        return dict(found["_source"])

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        headers = _JSON if body is not None else {"Accept": "application/json"}
        response = await self._client.perform_request(method, path, headers=headers, body=body)
        return response.body


def _actions(material: Material) -> Iterator[dict[str, Any]]:
    for product in material.products:
        yield {"_index": INDEX, "_id": product["sku"], "_source": product}


def _refused(error: ApiError, document: Mapping[str, Any] | None = None) -> Response:
    body = error.body
    cause = body.get("error") if isinstance(body, dict) else None
    reason = cause.get("reason") if isinstance(cause, dict) else None
    return Response(status=error.status_code, error=str(reason or error), document=document)
