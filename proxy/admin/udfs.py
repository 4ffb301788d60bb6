"""``/_udf``: upload, read, list and delete UDF packages."""

from __future__ import annotations

import asyncio

import orjson
from aiohttp import web

from pipelines.definitions.udf import (
    LATEST,
    UdfRegistry,
    UploadFormat,
    missing_udf,
    package_json,
    read_package,
)
from proxy.admin import AdminCall
from proxy.admin.body import READ, unsupported
from proxy.admin.limits import UPLOAD_MAX
from proxy.control.definitions import Definitions
from proxy.http.media_type import media_type

FORMATS: dict[str, UploadFormat] = {
    "text/x-python": "source",
    "application/x-python": "source",
    "text/plain": "source",
    "application/zip": "zip",
    "application/x-zip-compressed": "zip",
}


class UdfCalls:
    """The calls on UDF packages."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    @property
    def _udfs(self) -> UdfRegistry:
        return self._definitions.registry.udfs

    async def put(self, call: AdminCall) -> web.StreamResponse:
        content_type = call.exchange.headers.get("Content-Type", "")
        kind = media_type(content_type)
        if (format := FORMATS.get(kind)) is not None:
            body = await call.body(UPLOAD_MAX)
        elif READ.get(kind) is not None:
            format, body = "json", await call.json_text(UPLOAD_MAX)
        else:
            raise unsupported(content_type, "text/x-python (source), application/zip, ")
        version = call.text("version")
        package = await asyncio.to_thread(
            read_package, call.name, body, format=format, version=version
        )
        created = await self._definitions.put_udf(package, call.credentials)
        return call.respond(
            {
                "acknowledged": True,
                "name": package.name,
                "version": package.version,
                "result": "created" if created else "noop",
            }
        )

    async def get(self, call: AdminCall) -> web.StreamResponse:
        await self._definitions.store.check_access(call.credentials)
        found = self._udfs.get(call.name, call.text("version") or LATEST)
        body = await asyncio.to_thread(package_json, await self._definitions.package(found))
        # The store keeps it without the name, which is in its id.
        head = orjson.dumps({"name": found.name})
        return await call.respond_large(orjson.Fragment(b"%b,%b" % (head[:-1], body[1:])))

    async def list(self, call: AdminCall) -> web.StreamResponse:
        await self._definitions.store.check_access(call.credentials)
        users = self._definitions.registry.users_of_udfs()
        listed = [
            {
                "name": name,
                "latest": self._udfs.latest(name),
                "versions": self._udfs.versions(name),
                "used_by": users.get(name, []),
            }
            for name in self._udfs.names()
        ]
        return call.respond({"count": len(listed), "udfs": listed})

    async def versions(self, call: AdminCall) -> web.StreamResponse:
        await self._definitions.store.check_access(call.credentials)
        versions = self._udfs.versions(call.name)
        if not versions:
            raise missing_udf(call.name)
        latest = self._udfs.latest(call.name)
        return call.respond({"name": call.name, "latest": latest, "versions": versions})

    async def delete(self, call: AdminCall) -> web.StreamResponse:
        deleted = await self._definitions.delete_udf(
            call.name, call.text("version"), call.credentials, force=call.flag("force")
        )
        return call.respond({"acknowledged": True, "name": call.name, "versions": deleted})
