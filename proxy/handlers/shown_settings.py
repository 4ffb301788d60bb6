"""Our settings among the backend's, where a client reads those of indices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web

from pipelines.registry import Registry
from proxy.backend.client import Backend
from proxy.backend.resolver import ALL, Resolver
from proxy.http.headers import request_headers
from proxy.http.media_type import is_json
from proxy.http.query_string import is_true
from proxy.protocol.index_settings import flat, matching, merge, nested, options_of
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.relay import Relay
from proxy.traffic.response_format import ResponseForm

# What the backend calls the indices behind a data stream.
_BACKING = ".ds-"


class ShownSettings:
    """``GET /{index}`` and ``GET /{index}/_settings``.

    An index shows what was attached to itself. With ``include_defaults``, what it has from
    patterns, aliases and data streams stands among the backend's defaults.
    """

    def __init__(
        self, relay: Relay, backend: Backend, registry: Registry, resolver: Resolver
    ) -> None:
        self._relay = relay
        self._backend = backend
        self._registry = registry
        self._resolver = resolver

    async def __call__(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """The backend's response with ours in it; as it came where there are none."""
        if not self._registry.attachments or not _are_asked_for(target):
            return await self._relay(exchange)
        form = await ResponseForm.of(exchange, target.query, self._relay)
        if form.format == "smile":
            return await self._relay(exchange)
        query, headers = form.ask(target.query, request_headers(exchange.raw_headers))
        with await self._relay.send(
            exchange, target=query.after(target.path), headers=headers
        ) as response:
            readable = is_json(response.headers.get("Content-Type", ""))
            if form.is_plain and (response.status != 200 or not readable):
                return await self._relay.respond(exchange, response)
            raw = await response.read()
        body: str | bytes = raw
        if response.status == 200 and readable:
            shown = orjson.loads(raw)
            if await self._add(exchange, target, shown):
                body = orjson.dumps(shown).decode()
        return await form.respond(exchange, response, body)

    async def _add(self, exchange: Exchange, target: Target, shown: dict[str, Any]) -> bool:
        """Lay our settings into the backend's response; whether there were any."""
        name = target.values.get("name", "")
        wanted = name.split(",")
        form = flat if is_true(target.query.get("flat_settings")) else nested
        attachments = self._registry.attachments
        indices = set(shown)
        if name and not indices >= attachments.entries.keys():
            indices |= await self._filtered_out(exchange, target)
        added = False
        for index in sorted(indices):
            if ours := matching(attachments.own(index), wanted):
                added = True
                merge(shown.setdefault(index, {}).setdefault("settings", {}), form(ours))
        if not is_true(target.query.get("include_defaults")):
            return added
        through = await self._through(target, shown)
        for index, members in shown.items():
            inherited = attachments.inherited(index, through.get(index, ()))
            own = attachments.entries.get(index, {})
            inherited = {name: value for name, value in inherited.items() if name not in own}
            if ours := matching(inherited, wanted):
                added = True
                merge(members.setdefault("defaults", {}), form(ours))
        return added

    async def _filtered_out(self, exchange: Exchange, target: Target) -> set[str]:
        """All indices that are meant: a filter on names hides those it leaves nothing of."""
        expression = quote(",".join(target.names) or ALL, safe=",*")
        response = await self._backend.call(
            "GET",
            options_of(target.query).after(f"/{expression}/_settings/index.uuid"),
            headers=exchange.credentials,
        )
        return set(response.data) if response.status == 200 else set()

    async def _through(
        self, target: Target, shown: Mapping[str, Any]
    ) -> dict[str, tuple[str, ...]]:
        """The aliases that the indices were reached through, and their data streams."""
        expand = target.query.get("expand_wildcards")
        reached = await self._resolver.resolve(target.names, expand)
        through = {concrete.name: concrete.aliases for concrete in reached}
        if any(index.startswith(_BACKING) for index in shown):
            for concrete in await self._resolver.resolve((f"{_BACKING}*",), "all"):
                through[concrete.name] = (*through.get(concrete.name, ()), *concrete.aliases)
        return through


def _are_asked_for(target: Target) -> bool:
    """Whether settings are among what is asked: Elasticsearch can be asked for parts."""
    features = target.query.get("features")
    return features is None or "settings" in features.split(",")
