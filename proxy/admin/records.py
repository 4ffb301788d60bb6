"""``/_querymill/store``: how full the store is, and what of it cannot be read."""

from __future__ import annotations

from aiohttp import web

from proxy.admin import AdminCall
from proxy.control.definitions import Definitions
from proxy.http.errors import ErrorResponse


class RecordCalls:
    """The calls on the store as such; what it defines has calls of its own."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    async def show(self, call: AdminCall) -> web.StreamResponse:
        await self._definitions.store.check_access(call.credentials)
        mirror = self._definitions.mirror
        faults = sorted(self._definitions.faults.items())
        return call.respond(
            {
                "records": len(mirror.entries),
                "bytes": mirror.bytes,
                "max_bytes": self._definitions.max_bytes,
                "unreadable": [{"id": id, "reason": reason} for id, reason in faults],
            }
        )

    async def delete(self, call: AdminCall) -> web.StreamResponse:
        """Delete one record that cannot be read."""
        id = call.text("id")
        if id is None:
            reason = "[id] is required: that of a record which GET /_querymill/store shows"
            raise ErrorResponse(400, "illegal_argument_exception", reason)
        await self._definitions.delete_unreadable(id, call.credentials)
        return call.respond({"acknowledged": True, "id": id})
