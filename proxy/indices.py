"""Requests on indices themselves: settings written and read, indices created and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web

from pipelines.attachment import NONE, SEARCH_DEFAULT, is_pattern
from proxy.admin import check_token
from proxy.answer_form import AnswerForm
from proxy.backend import Backend
from proxy.bodies import is_json
from proxy.definitions import Definitions
from proxy.errors import ErrorAnswer
from proxy.exchange import Exchange
from proxy.headers import request_headers
from proxy.index_settings import flat, matching, merge, nested, take_settings
from proxy.query_string import is_true
from proxy.relay import Relay
from proxy.resolver import ALL, Resolver
from proxy.target import Target
from proxy.transform import credentials_of, new_body_headers, parse, read_json_body

BODY_MAX = 16 * 1024 * 1024
ANSWER_MAX = 100 * 1024 * 1024

Settings = dict[str, str | None]


class IndexTraffic:
    """Keeps attachments in step with what clients do to indices."""

    def __init__(
        self,
        relay: Relay,
        backend: Backend,
        definitions: Definitions,
        resolver: Resolver,
        *,
        token: str | None,
    ) -> None:
        self._token = token
        self._relay = relay
        self._backend = backend
        self._definitions = definitions
        self._registry = definitions.registry
        self._resolver = resolver

    async def put_settings(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``PUT /{index}/_settings``: our part is in force only if the backend takes the rest."""
        body = await self._json(exchange)
        if body is None:
            return await self._relay(exchange)
        wrapped = isinstance(body.get("settings"), dict) and len(body) == 1
        ours, rest = take_settings(body["settings"] if wrapped else body)
        ours = self._for_us(ours, rest, target.names)
        if not ours:
            return await self._relay_read(exchange)
        self._check(ours, exchange)
        expressions = ["*" if name == ALL else name for name in target.names] or ["*"]
        if rest:
            sent = {"settings": rest} if wrapped else rest
            answer = await self._forward(exchange, target, sent)
            if answer.status != 200:
                return answer
        else:
            await self._check_exists(exchange, expressions)
            answer = exchange.respond_json(200, b'{"acknowledged":true}')
        await self._attach(expressions, ours, exchange)
        return answer

    async def create(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``PUT /{index}``: attachments in the body's settings are made with the index."""
        self._resolver.names_changed()
        body = await self._json(exchange)
        settings = body.get("settings") if body else None
        if body is None or not isinstance(settings, dict):
            return await self._relay_read(exchange)
        ours, rest = take_settings(settings)
        ours = self._for_us(ours, rest, target.names)
        if not ours:
            return await self._relay_read(exchange)
        self._check(ours, exchange)
        answer = await self._forward(exchange, target, {**body, "settings": rest})
        if answer.status == 200:
            await self._attach(list(target.names), ours, exchange)
        return answer

    async def delete(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``DELETE /{index}``: what was attached to it goes with it."""
        answer = await self._relay(exchange)
        self._resolver.names_changed()
        if answer.status == 200:
            gone = [
                name
                for name in self._registry.attachments.entries
                if not is_pattern(name)
                and any(fnmatchcase(name, "*" if n == ALL else n) for n in target.names)
            ]
            if gone:
                await self._definitions.detach_all(gone, credentials_of(exchange))
        return answer

    async def get_settings(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``GET /{index}/_settings``: ours are shown among the backend's."""
        if not self._registry.attachments:
            return await self._relay(exchange)
        form = await AnswerForm.of(exchange, target.query, self._relay)
        if form.format == "smile":
            return await self._relay(exchange)
        query, headers = form.ask(target.query, request_headers(exchange.raw_headers))
        with await self._relay.send(
            exchange, target=query.after(target.path), headers=headers
        ) as response:
            readable = is_json(response.headers.get("Content-Type", ""))
            if form.is_plain and (response.status != 200 or not readable):
                return await self._relay.answer(exchange, response)
            raw = await response.read(ANSWER_MAX)
        body: str | bytes = raw
        if response.status == 200 and readable:
            shown = orjson.loads(raw)
            if await self._add(exchange, target, shown):
                body = orjson.dumps(shown).decode()
        return await form.respond(exchange, response, body)

    async def _add(self, exchange: Exchange, target: Target, shown: dict[str, Any]) -> bool:
        """Lay our settings into the backend's answer; whether there were any."""
        after = target.segments[target.segments.index("_settings") + 1 :]
        wanted = after[0].split(",") if after else []
        indices = set(shown)
        if wanted:
            # A filter on names hides indices none of whose own settings match it.
            expression = quote(",".join(target.names) or ALL, safe=",*")
            answer = await self._backend.call(
                "GET", f"/{expression}/_settings/index.uuid", headers=credentials_of(exchange)
            )
            if answer.status == 200:
                indices |= set(answer.data)
        form = flat if is_true(target.query.get("flat_settings")) else nested
        added = False
        for index in sorted(indices):
            ours = matching(self._registry.attachments.settings(index), wanted)
            if ours:
                added = True
                merge(shown.setdefault(index, {}).setdefault("settings", {}), form(ours))
        return added

    def _for_us(self, ours: Settings, rest: dict[str, Any], names: tuple[str, ...]) -> Settings:
        """Give `index.search.default_pipeline` back to the backend where it is not about ours."""
        if SEARCH_DEFAULT not in ours:
            return ours
        value = ours[SEARCH_DEFAULT]
        if value is not None and self._registry.find(value) is not None:
            return ours
        held = any(
            SEARCH_DEFAULT in self._registry.attachments.entries.get(name, {}) for name in names
        )
        if value is None and held:
            return ours
        rest[SEARCH_DEFAULT] = value
        # The backend's pipeline takes the place of ours.
        return ours | {SEARCH_DEFAULT: None} if held else _less(ours, SEARCH_DEFAULT)

    def _check(self, ours: Settings, exchange: Exchange) -> None:
        """Attaching is administration: it takes the token, and values that can be attached."""
        check_token(exchange, self._token)
        for setting, value in ours.items():
            if value is not None and value != NONE:
                self._registry.check_attachment(setting, value)

    async def _attach(self, expressions: list[str], ours: Settings, exchange: Exchange) -> None:
        detached = {name: None for name, value in ours.items() if value is None}
        if detached:
            # Detaching by pattern also clears what was attached to the names it matches.
            inside = [
                name
                for name in self._registry.attachments.entries
                if name not in expressions and any(fnmatchcase(name, e) for e in expressions)
            ]
            await self._definitions.attach(inside, detached, credentials_of(exchange))
        await self._definitions.attach(expressions, ours, credentials_of(exchange))

    async def _check_exists(self, exchange: Exchange, expressions: list[str]) -> None:
        named = [name for name in expressions if not is_pattern(name)]
        if named:
            target = f"/{quote(','.join(named), safe=',')}/_settings/index.uuid"
            answer = await self._backend.call("GET", target, headers=credentials_of(exchange))
            answer.require(200)

    async def _json(self, exchange: Exchange) -> dict[str, Any] | None:
        """The body as a JSON object; None where it is none, which is the backend's to judge."""
        if not exchange.has_body or not is_json(exchange.headers.get("Content-Type", "")):
            return None
        body = await read_json_body(exchange, BODY_MAX)
        try:
            return (await parse(body, "settings")).data
        except ErrorAnswer:
            return None

    async def _relay_read(self, exchange: Exchange) -> web.StreamResponse:
        """Pass on a request whose body has been read: as it came."""
        body = await exchange.body(BODY_MAX) if exchange.has_body else None
        with await self._relay.send(exchange, body=body) as response:
            return await self._relay.answer(exchange, response)

    async def _forward(
        self, exchange: Exchange, target: Target, body: Mapping[str, Any]
    ) -> web.StreamResponse:
        with await self._relay.send(
            exchange, headers=new_body_headers(exchange), body=orjson.dumps(body)
        ) as response:
            return await self._relay.answer(exchange, response)


def _less(ours: Settings, setting: str) -> Settings:
    return {name: value for name, value in ours.items() if name != setting}
