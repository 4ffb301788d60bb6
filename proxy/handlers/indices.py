"""Requests on indices themselves: settings written, indices and data streams made and deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote

import orjson
import structlog
from aiohttp import web

from pipelines.definitions.attachment import SEARCH_DEFAULT, is_pattern, matches
from pipelines.errors import PipelineError
from proxy.backend.client import Backend
from proxy.backend.resolver import ALL, Resolver
from proxy.control.definitions import Definitions
from proxy.handlers.search_default import SearchDefault, Turn
from proxy.handlers.shown_settings import ShownSettings
from proxy.http.errors import ErrorResponse
from proxy.http.media_type import is_json
from proxy.http.query_string import is_true
from proxy.protocol.index_settings import (
    PUT_PARAMETERS,
    cleared_by,
    options_of,
    settings_in,
    take_settings,
)
from proxy.protocol.parameters import read_parameters
from proxy.protocol.reach import LEFT_OUT
from proxy.protocol.store_guard import check_patterns
from proxy.protocol.target import Target, expressions
from proxy.server.admin_token import check_token
from proxy.server.errors import response_for
from proxy.server.exchange import Exchange
from proxy.store.errors import StoreError
from proxy.traffic.limits import SMALL_BODY_MAX
from proxy.traffic.relay import Relay
from proxy.traffic.request_body import (
    inflated,
    new_body_headers,
    parse,
    read_json_body,
)
from proxy.traffic.response_format import ResponseForm
from proxy.upstream.errors import UpstreamError

# Without this, in any spelling, there is no setting of ours in a body.
_SIGNS = (b"_pipeline", b"index_patterns", b"template", b"\\u")
_REMOVES = (b"remove_index", b"\\u")

_log = structlog.get_logger("proxy.handlers.indices")

Settings = dict[str, str | None]


class IndicesHandler:
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
        self._search_default = SearchDefault(relay, backend, self._registry, resolver)
        self.get = ShownSettings(relay, backend, self._registry, resolver)

    async def put_settings(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``PUT /{index}/_settings``: our part is in force only if the backend takes the rest."""
        return await self._in_form(exchange, target, self._put_settings(exchange, target))

    async def create(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``PUT /{index}``: attachments in the body's settings are made with the index."""
        self._resolver.names_changed()
        return await self._in_form(exchange, target, self._create(exchange, target))

    async def settings_elsewhere(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """Templates, rollovers, copies: settings of ours have no place there, and are refused."""
        return await self._in_form(exchange, target, self._settings_elsewhere(exchange, target))

    async def delete(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``DELETE`` of indices, data streams: what was attached goes with those that are gone."""
        response = await self._relay(exchange)
        self._resolver.names_changed()
        await self._detach(exchange, target.names or _streams(target.values.get("name", "")))
        return response

    async def removed(self, exchange: Exchange, body: bytes) -> None:
        """After ``POST /_aliases`` with this body, whose actions can delete indices as well."""
        if any(sign in body for sign in _REMOVES):
            await self._detach(exchange, _removed_by(body))

    async def _put_settings(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        body = await self._json(exchange)
        if body is None:
            return await self._relay_read(exchange)
        wrapped = isinstance(body.get("settings"), dict) and len(body) == 1
        settings = body["settings"] if wrapped else body
        ours, rest = take_settings(settings)
        cleared = cleared_by(settings)
        if not ours and not cleared:
            return await self._relay_read(exchange)
        keep = is_true(target.query.get("preserve_existing"))
        names = await self._expressions(target)
        # A pattern concerns what is there, and nobody who has nothing of ours.
        ours = dict.fromkeys(self._attached(names, cleared)) | ours
        if not ours:
            return await self._relay_read(exchange)
        turn = Turn()
        if SEARCH_DEFAULT in ours:
            value = ours.pop(SEARCH_DEFAULT)
            turn = await self._search_default.turn(exchange, target, names, value, keep=keep)
            rest |= turn.theirs
        if not ours and turn.is_theirs_alone and turn.theirs:
            return await self._relay_read(exchange)
        self._check(ours | turn.ours, exchange, target)
        form = await ResponseForm.of(exchange, target.query, self._relay)
        form.check()
        if rest:
            sent = {"settings": rest} if wrapped else rest
            response = await self._forward(exchange, sent)
            if response.status != 200:
                return response
        else:
            read_parameters(target.query, PUT_PARAMETERS, call=f"PUT {target.path}", elsewhere={})
            names = await self._existing(exchange, target, names)
            done, fields = await form.write(exchange, '{"acknowledged":true}', 200)
            response = exchange.respond_json(200, done, fields)
        credentials = exchange.credentials
        await self._definitions.attach(names, ours, credentials, keep=keep)
        changed = [name for name in names if name not in turn.kept]
        await self._definitions.attach(changed, turn.ours, credentials, keep=keep)
        await self._mark(turn.marks, credentials)
        return response

    async def _create(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        body = await self._json(exchange)
        settings = body.get("settings") if body else None
        ours: Settings = {}
        if body is not None and isinstance(settings, dict):
            ours, rest = take_settings(settings)
            value = ours.get(SEARCH_DEFAULT)
            if SEARCH_DEFAULT in ours and (value is None or self._registry.find(value) is None):
                # The backend's to judge, and to take.
                rest[SEARCH_DEFAULT] = ours.pop(SEARCH_DEFAULT)
        if body is None or not ours:
            response = await self._relay_read(exchange)
        else:
            self._check(ours, exchange, target)
            response = await self._forward(exchange, {**body, "settings": rest})
        if response.status == 200 and (ours or not self._idle):
            names = await self._dated(list(target.names))
            clears, marks = await self._search_default.created(
                exchange, target, names, ours=SEARCH_DEFAULT in ours
            )
            if clears:
                await self._search_default.clear(exchange, names)
            await self._definitions.attach(names, ours, exchange.credentials)
            await self._mark(marks, exchange.credentials)
        return response

    async def _settings_elsewhere(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        self._resolver.names_changed()
        raw = await exchange.body(exchange.max_body) if exchange.has_body else b""
        plain = "Content-Encoding" not in exchange.headers and is_json(
            exchange.headers.get("Content-Type", "")
        )
        concerned = not plain or any(sign in raw for sign in _SIGNS)
        if concerned and len(raw) <= SMALL_BODY_MAX:
            body = await self._json(exchange)
            for member in ("index_patterns", "template"):
                check_patterns((body or {}).get(member))
            for path, settings in settings_in(body or {}):
                ours, _ = take_settings(settings)
                for name, value in ours.items():
                    if name != SEARCH_DEFAULT or self._registry.find(value or "") is not None:
                        raise _not_here(name, path, body or {}, target)
        response = await self._relay_read(exchange)
        self._resolver.names_changed()
        return response

    def _attached(self, names: Iterable[str], settings: Collection[str]) -> list[str]:
        """Those of the settings that are set on one of these very expressions."""
        entries = self._registry.attachments.entries
        return [each for each in settings if any(each in entries.get(name, ()) for name in names)]

    @property
    def _idle(self) -> bool:
        """Whether nobody shares `index.search.default_pipeline` with the backend."""
        entries = self._registry.attachments.entries.values()
        return not any(SEARCH_DEFAULT in settings for settings in entries)

    def _check(self, ours: Settings, exchange: Exchange, target: Target) -> None:
        """Attaching is administration: it takes the token, and values that can be attached."""
        check_token(exchange, self._token)
        for setting, value in ours.items():
            if value is not None:
                self._registry.check_attachment(setting, value)
        excluded = [name for name in target.names if name.startswith("-") and name != LEFT_OUT]
        if excluded:
            raise ErrorResponse(
                400,
                "illegal_argument_exception",
                f"[{excluded[0]}]: pipelines cannot be attached to a pattern less some names;"
                " attach them to the pattern, and [_none] to those names",
            )

    async def _mark(self, marks: Settings, credentials: Mapping[str, str]) -> None:
        for value in set(marks.values()):
            names = [name for name, each in marks.items() if each == value]
            await self._definitions.attach(names, {SEARCH_DEFAULT: value}, credentials)

    async def _expressions(self, target: Target) -> list[str]:
        """What attachments are kept under: all is a pattern, date math the name it comes to."""
        names = ["*" if name == ALL else name for name in target.names if name != LEFT_OUT]
        return await self._dated(names or ["*"])

    async def _dated(self, names: list[str]) -> list[str]:
        found: list[str] = []
        for name in names:
            if not name.startswith("<"):
                found.append(name)
                continue
            for concrete in await self._resolver.resolve((name,)):
                found += concrete.aliases or (concrete.name,)
        return list(dict.fromkeys(found))

    async def _existing(self, exchange: Exchange, target: Target, names: list[str]) -> list[str]:
        """The names there are; raises the backend's 404 unless it would leave out those missing."""
        lenient = is_true(target.query.get("ignore_unavailable"))
        # Patterns may have to mean something, too.
        all_count = target.query.get("allow_no_indices") == "false"
        plain = [name for name in names if all_count or not is_pattern(name)]
        missing = set()
        for part in [[name] for name in plain] if lenient else [plain] if plain else []:
            path = f"/{quote(','.join(part), safe=',*')}/_settings/index.uuid"
            response = await self._backend.call(
                "GET",
                options_of(target.query).without({"ignore_unavailable"}).after(path),
                headers=exchange.credentials,
            )
            if lenient and response.status == 404 and not is_pattern(part[0]):
                missing.update(part)
            else:
                response.require(200)
        return [name for name in names if name not in missing]

    async def _detach(self, exchange: Exchange, names: tuple[str, ...]) -> None:
        """Forget what was attached to those of these names that are gone."""
        try:
            gone = await self._gone(names)
            if gone:
                await self._definitions.detach_all(gone, exchange.credentials)
        except (ErrorResponse, PipelineError, StoreError, UpstreamError) as error:
            # The indices are deleted all the same, and that is what was asked.
            _log.warning("attachments stay", target=exchange.raw_path, reason=str(error))

    async def _gone(self, names: tuple[str, ...]) -> list[str]:
        """Which of the names that something is attached to were meant, and exist no more."""
        asked = ["*" if name == ALL or name.startswith("<") else name for name in names]
        meant = [
            name
            for name in self._registry.attachments.entries
            if not is_pattern(name) and any(matches(name, each) for each in asked)
        ]
        if not meant:
            return []
        expression = quote(meant[0], safe="") if len(meant) == 1 else "*"
        response = await self._backend.call(
            "GET", f"/_resolve/index/{expression}?expand_wildcards=all"
        )
        if response.status == 404:
            return meant if len(meant) == 1 else []
        found = response.require(200)
        there = {
            each["name"] for kind in ("indices", "aliases", "data_streams") for each in found[kind]
        }
        return [name for name in meant if name not in there]

    async def _json(self, exchange: Exchange) -> dict[str, Any] | None:
        """The body as a JSON object; None where it is none, which is the backend's to judge.

        Raises `ErrorResponse` where it is none and names a pipeline of ours: the backend reads more
        than we do, such as SMILE, and would keep that name as its own.
        """
        if not exchange.has_body:
            return None
        try:
            body = await read_json_body(exchange, SMALL_BODY_MAX)
            return (await parse(body, "body of settings")).data if body else None
        except ErrorResponse:
            raw = await inflated(exchange, SMALL_BODY_MAX)
            if b"_pipeline" in raw and any(p.name.encode() in raw for p in self._registry.all()):
                raise
            return None

    async def _relay_read(self, exchange: Exchange) -> web.StreamResponse:
        """Pass on a request whose body has been read: as it came."""
        body = await exchange.body(exchange.max_body) if exchange.has_body else None
        with await self._relay.send(exchange, body=body) as response:
            return await self._relay.respond(exchange, response)

    async def _forward(self, exchange: Exchange, body: Mapping[str, Any]) -> web.StreamResponse:
        with await self._relay.send(
            exchange, headers=new_body_headers(exchange), body=orjson.dumps(body)
        ) as response:
            return await self._relay.respond(exchange, response)

    async def _in_form(
        self, exchange: Exchange, target: Target, work: Awaitable[web.StreamResponse]
    ) -> web.StreamResponse:
        """The response of `work`; an error that blames the client is in the client's form too."""
        try:
            return await work
        except (ErrorResponse, PipelineError) as error:
            response = response_for(error)
            form = await ResponseForm.of(exchange, target.query, self._relay)
            if response.status >= 500 or form.format == "smile" or exchange.response is not None:
                raise
            body, fields = await form.write(exchange, response.body().decode(), response.status)
            return exchange.respond_json(response.status, body, {**response.headers, **fields})


def _streams(name: str) -> tuple[str, ...]:
    """The data streams of an expression, with the indices behind them, which go with them."""
    streams = expressions(name)
    return (*streams, *(f".ds-{each}-*" for each in streams))


def _removed_by(body: bytes) -> tuple[str, ...]:
    """The index expressions that the actions of an alias request delete."""
    try:
        actions = orjson.loads(body)["actions"]
        removed = [each["remove_index"] for each in actions if "remove_index" in each]
        named = [each.get("index", each.get("indices")) for each in removed]
    except (ValueError, TypeError, KeyError, AttributeError):
        # The backend took what is no JSON here: what is attached stays.
        return ()
    texts = [text for each in named for text in (each if isinstance(each, list) else [each])]
    return tuple(part for text in texts if isinstance(text, str) for part in expressions(text))


def _not_here(name: str, path: str, body: Mapping[str, Any], target: Target) -> ErrorResponse:
    patterns = body.get("index_patterns")
    where = ",".join(map(str, patterns)) if isinstance(patterns, list) else str(patterns or "")
    where = where or target.values.get("target", "") or "{index}"
    return ErrorResponse(
        400,
        "illegal_argument_exception",
        f"{path}: [{name}] is a setting of Querymill's, which the backend does not keep in a"
        f" {_KINDS.get(target.segments[0], 'request like this')}; attach the pipeline with"
        f" PUT /{where[:200]}/_settings instead: a pattern holds for indices made later too",
        extra={"path": f"{path}.{name}" if path else name},
    )


_KINDS = {
    "_index_template": "template",
    "_template": "template",
    "_component_template": "template",
}
