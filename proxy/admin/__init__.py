"""The calls the proxy answers itself: one literal table of routes, one door for all of them."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from pipelines.definitions.fields import NAME_RULE
from pipelines.jsontext.json_text import parse, refuse_repeated, write
from proxy.admin.body import json_body
from proxy.admin.limits import DEFINITION_MAX
from proxy.formats.convert import content_type, from_json
from proxy.formats.filter_path import FilterPath
from proxy.http.errors import ErrorResponse
from proxy.http.limits import PARSE_INLINE
from proxy.http.query_string import QueryString
from proxy.protocol.parameters import Parameters, read_parameters
from proxy.server.admin_token import check_token
from proxy.server.exchange import Exchange
from proxy.store.store import Credentials
from proxy.traffic.request_body import inflated


@dataclass(frozen=True, slots=True)
class AdminCall:
    """One administration call: the exchange, the names in its path, and its parameters.

    `parameters` has a value for each that the route takes, None for what was not given.
    """

    exchange: Exchange
    names: Mapping[str, str]
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.names["name"]

    @property
    def credentials(self) -> Credentials:
        """The caller's own, for the backend to judge."""
        return self.exchange.credentials

    def flag(self, name: str) -> bool:
        return bool(self.parameters[name])

    def number(self, name: str) -> int | None:
        value: int | None = self.parameters[name]
        return value

    def text(self, name: str) -> str | None:
        value: str | None = self.parameters[name]
        return value

    async def body(self, limit: int) -> bytes:
        """The body as it is, without its Content-Encoding; a 413 above `limit` bytes."""
        return await inflated(self.exchange, limit)

    async def json_text(self, limit: int) -> bytes:
        """The body as JSON that is yet to be read; see `json_body` for what is refused."""
        return await json_body(self.exchange, limit)

    async def json(self, limit: int = DEFINITION_MAX) -> Any:
        """The body, read; a 400 says where it is broken."""
        body = await self.json_text(limit)
        if len(body) <= PARSE_INLINE:
            return _read_json(body)
        return await asyncio.to_thread(_read_json, body)

    def respond(self, data: Any, status: int = 200) -> web.StreamResponse:
        """`data` in the form that the caller wants it in (see `parameters.COMMON`)."""
        return self._respond(status, self._written(data))

    async def respond_large(self, data: Any) -> web.StreamResponse:
        """`respond`, with the work done off the event loop."""
        return self._respond(200, await asyncio.to_thread(self._written, data))

    def _written(self, data: Any) -> bytes:
        body = orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS)
        wanted: FilterPath | None = self.parameters["filter_path"]
        if wanted or self.flag("pretty"):
            body = _shaped(body, wanted, indent=self.flag("pretty"))
        format = self.parameters["format"]
        return body if format in (None, "json") else from_json(body.decode(), format)

    def _respond(self, status: int, body: bytes) -> web.StreamResponse:
        format = self.parameters["format"]
        if format in (None, "json"):
            return self.exchange.respond_json(status, body)
        return self.exchange.respond(status, {"Content-Type": content_type(format)}, body)


def _read_json(body: bytes) -> Any:
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        raise ErrorResponse(400, "parse_exception", "the body is empty; send a JSON object")
    try:
        value = orjson.loads(body)
        # What cannot be written again (nested too deeply) must not be taken in.
        orjson.dumps([[[[[[[[value]]]]]]]])
        refuse_repeated(body.decode(), value)
    except (ValueError, TypeError) as error:
        reason = f"the body is not usable JSON: {error}"
        raise ErrorResponse(400, "parse_exception", reason) from error
    return value


def _shaped(body: bytes, wanted: FilterPath | None, *, indent: bool) -> bytes:
    """A response less what is not wanted, and indented; as it is where it is nested too deeply."""
    try:
        value = parse(body.decode())
        if wanted:
            value = wanted.apply(value)
        if indent:
            return f"{json.dumps(value, ensure_ascii=False, indent=2)}\n".encode()
        return write(value).encode()
    except RecursionError:
        return body


Handler = Callable[[AdminCall], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """A method, a path with ``{names}``, what answers it, and the query parameters it takes."""

    method: str
    path: str
    handler: Handler
    parameters: Parameters = field(default_factory=dict)
    open: bool = False
    """Answered without the admin token: health checks."""


class Admin:
    """Finds the route of an administration call and answers it."""

    def __init__(self, routes: tuple[Route, ...], token: str | None) -> None:
        self.routes = routes
        self._token = token

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        path = exchange.raw_path
        segments = [unquote(part) for part in path.split("/") if part]
        # To HEAD no body is sent; else it is GET. Load balancers ask so for health.
        method = "GET" if exchange.method == "HEAD" else exchange.method
        allowed: list[str] = []
        for route in self.routes:
            names = _match(route.path, segments)
            if names is None:
                continue
            if route.method != method:
                allowed += ("GET", "HEAD") if route.method == "GET" else (route.method,)
                continue
            if not route.open:
                check_token(exchange, self._token)
            parameters = self._parameters(route, exchange.query or "")
            return await route.handler(AdminCall(exchange, names, parameters))
        if allowed:
            methods = ", ".join(sorted(allowed))
            raise ErrorResponse(
                405,
                "method_not_allowed_exception",
                f"[{path}] does not take {exchange.method}; it takes {methods}",
                headers={"Allow": methods},
            )
        known = ", ".join(dict.fromkeys(route.path for route in self.routes))
        reason = f"no administration call at [{path}]; there are {known}"
        if len(segments) > 1 and segments[0] != "_querymill" and segments[1].startswith("_"):
            reason = f"{reason}; [{segments[1][:100]}] is no name: it {NAME_RULE}"
        raise ErrorResponse(404, "resource_not_found_exception", reason)

    def _parameters(self, route: Route, raw: str) -> dict[str, Any]:
        elsewhere: dict[str, list[str]] = {}
        for other in self.routes:
            if other.path == route.path:
                for name in other.parameters.keys() - route.parameters.keys():
                    elsewhere.setdefault(name, []).append(other.method)
        call = f"{route.method} {route.path}"
        return read_parameters(QueryString(raw), route.parameters, call=call, elsewhere=elsewhere)


def _match(path: str, segments: list[str]) -> dict[str, str] | None:
    wanted = [part for part in path.split("/") if part]
    if len(wanted) != len(segments):
        return None
    names: dict[str, str] = {}
    for part, segment in zip(wanted, segments, strict=True):
        if part.startswith("{"):
            if segment.startswith("_"):
                return None
            names[part[1:-1]] = segment
        elif part != segment:
            return None
    return names
