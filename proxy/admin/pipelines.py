"""``/_pipeline``: create, read, list, delete, figures."""

from __future__ import annotations

from aiohttp import web

from pipelines.execution.breaker import STATES, BreakerFigure
from proxy.admin import AdminCall
from proxy.control.definitions import Definitions
from proxy.telemetry.snapshot import Gather


class PipelineCalls:
    """The calls on stored pipelines."""

    def __init__(self, definitions: Definitions, gather: Gather) -> None:
        self._gather = gather
        self._definitions = definitions
        self._registry = definitions.registry

    async def put(self, call: AdminCall) -> web.StreamResponse:
        value = await call.json()
        if isinstance(value, dict):
            # What GET shows beside a definition can come back with it.
            value.pop("revision", None)
        definition, revision, result = await self._definitions.put_pipeline(
            call.name,
            value,
            call.credentials,
            create=call.flag("create"),
            if_revision=call.number("if_revision"),
        )
        return call.respond(
            {
                "acknowledged": True,
                "name": definition.name,
                "version": definition.version,
                "revision": revision,
                "result": result,
            }
        )

    async def get(self, call: AdminCall) -> web.StreamResponse:
        await self._definitions.store.check_access(call.credentials)
        pipeline = self._registry.get(call.name)
        return call.respond({**pipeline.definition.shown, "revision": pipeline.revision})

    async def list(self, call: AdminCall) -> web.StreamResponse:
        await self._definitions.store.check_access(call.credentials)
        users = self._registry.attachments.users_of_all()
        listed = [
            {
                "name": pipeline.name,
                "version": pipeline.definition.version,
                "type": pipeline.definition.type,
                "description": pipeline.definition.description,
                "revision": pipeline.revision,
                "stages": [stage.name for stage in pipeline.definition.stages],
                "attached_to": users.get(pipeline.name, []),
            }
            for pipeline in self._registry.all(call.parameters["type"])
        ]
        return call.respond({"count": len(listed), "pipelines": listed})

    async def delete(self, call: AdminCall) -> web.StreamResponse:
        await self._definitions.delete_pipeline(
            call.name, call.credentials, force=call.flag("force")
        )
        return call.respond({"acknowledged": True, "name": call.name})

    async def stats(self, call: AdminCall) -> web.StreamResponse:
        """What a pipeline did, over all workers."""
        await self._definitions.store.check_access(call.credentials)
        pipeline = self._registry.get(call.name)
        figures = await self._gather()
        return call.respond(
            {
                "name": pipeline.name,
                "version": pipeline.definition.version,
                "type": pipeline.definition.type,
                "breaker": shown_breaker(figures.breakers.get(call.name, [])),
                **figures.pipelines.pipeline(call.name).as_dict(),
            }
        )


def shown_breaker(workers: list[BreakerFigure]) -> dict[str, object]:
    """The worst state of all workers, how many are in which, and when one tries again."""
    if not workers:
        return {"state": "off"}
    states = [each.state for each in workers]
    shown: dict[str, object] = {
        "state": max(states, key=STATES.index),
        "workers": {state: states.count(state) for state in STATES},
    }
    rests = [each.retry_seconds for each in workers if each.state == "open"]
    if rests:
        shown["retry_in_millis"] = round(min(rests) * 1000)
    return shown
