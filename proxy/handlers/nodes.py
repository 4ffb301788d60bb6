"""Clients that ask the cluster for its nodes are told the proxy's address, and so stay with it.

A client that sniffs sends its later requests to the addresses it is told; those of the backend's
nodes would lead it past the proxy, and no pipeline would run. Only these addresses change in the
responses; everything else stays as the backend wrote it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson
from aiohttp import web

from pipelines.jsontext.slices import Slice, elements, member, members, replaced
from proxy.config.option import Address
from proxy.formats.convert import format_of, from_json, to_json
from proxy.http.encoding import accepts_gzip, deflate, inflate
from proxy.http.errors import ErrorResponse
from proxy.http.headers import request_headers
from proxy.http.limits import PARSE_INLINE
from proxy.http.media_type import is_json
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.relay import Relay

# What a cluster tells of its nodes beside their addresses.
_STATISTICS: Final = frozenset({"stats", "usage", "hot_threads", "hotthreads"})
# The names of the column of `_cat/nodes`.
COLUMNS: Final = frozenset({"http", "http_address"})
_CELL: Final = re.compile(r"(?<!\S)(?:\[[^\s\[\]]+\]|[0-9.]+):[0-9]{1,5}(?!\S)", re.ASCII)
# What stands in the way of an address in a response that is not read here, as SMILE is not.
_NAMED: Final = re.compile(rb"(?:publish|bound)_address")
_NAMED_IN_CAT: Final = re.compile(rb"(?<![a-z_])http(?:_address)?(?![a-z_])")
_HOST: Final = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+)(?::([0-9]*))?")
_HEADING: Final = re.compile(r"(?<!\S)http(?:_address)?(?!\S)")


class NodesHandler:
    """Handles the calls that list the addresses at which nodes serve HTTP.

    Every node's is `public`, else that by which the client reached the proxy.
    """

    def __init__(self, relay: Relay, public: Address | None) -> None:
        self._relay = relay
        self._public = str(public) if public is not None else None

    async def nodes(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_nodes`` and what is below it, but for statistics."""
        if not _STATISTICS.isdisjoint(target.segments):
            return await self._relay(exchange)
        return await self._respond(exchange, target, with_node_addresses, _NAMED)

    async def cat(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_cat/nodes``, which has an address only where its column is named."""
        columns = (target.query.get("h") or "").split(",")
        named = any(name.strip() in COLUMNS or "*" in name for name in columns)
        if not named or target.query.get("help") is not None:
            return await self._relay(exchange)
        return await self._respond(exchange, target, with_cat_addresses, _NAMED_IN_CAT)

    async def _respond(
        self,
        exchange: Exchange,
        target: Target,
        change: Callable[[str, str], str],
        named: re.Pattern[bytes],
    ) -> web.StreamResponse:
        body = await exchange.body(exchange.max_body) if exchange.has_body else None
        headers = request_headers(exchange.raw_headers)
        codings = headers.popall("Accept-Encoding", [])
        if accepts_gzip(",".join(codings)):
            headers["Accept-Encoding"] = "gzip"
        with await self._relay.send(exchange, headers=headers, body=body) as response:
            if response.status != 200:
                return await self._relay.respond(exchange, response)
            raw = await response.read()
            rewrite = _Rewrite(
                response.headers.get("Content-Type", ""),
                response.headers.get("Content-Encoding", ""),
                change,
                named,
                self._public or reached_at(exchange.headers, exchange.socket),
                response.largest,
            )
            if len(raw) > PARSE_INLINE:
                new = await asyncio.to_thread(rewrite.changed, raw)
            else:
                new = rewrite.changed(raw)
            return exchange.relay(response.status, response.fields, new, reason=response.reason)


@dataclass(frozen=True, slots=True)
class _Rewrite:
    """How a response is told: its type and coding, and what is changed in it to `address`.

    `largest` are the bytes that it may have once it is inflated.
    """

    kind: str
    coding: str
    change: Callable[[str, str], str]
    named: re.Pattern[bytes]
    address: str
    largest: int

    def changed(self, raw: bytes) -> bytes:
        """The response with its addresses changed; one that has none is the very same bytes.

        Raises `ErrorResponse` (406) for one that has some and cannot be read here.
        """
        plain = inflate(raw, self.coding, self.largest)
        try:
            new = self._changed(plain)
        except ValueError:
            new = None
        if new is None and self.named.search(plain):
            raise ErrorResponse(
                406,
                "media_type_header_exception",
                f"addresses of nodes cannot be given as [{self.kind}]; ask for application/json,"
                " application/cbor or application/yaml",
            )
        if new is None or new == plain:
            return raw
        return deflate(new) if self.coding else new

    def _changed(self, plain: bytes) -> bytes | None:
        format = "json" if is_json(self.kind) else format_of(self.kind)
        if self.kind.startswith("text/plain"):
            return with_column_addresses(plain.decode(), self.address).encode()
        if format == "json":
            return self.change(plain.decode(), self.address).encode()
        if format not in ("yaml", "cbor"):
            return None
        text = to_json(plain, format).decode()
        changed = self.change(text, self.address)
        return plain if changed == text else from_json(changed, format)


def reached_at(headers: Mapping[str, str], socket: tuple[str, int]) -> str:
    """HOST:PORT by which a client reached the proxy: its Host header's, else the socket's.

    A Host without a port stands for the port of the scheme, which whoever ends TLS has to tell.
    """
    host = _HOST.fullmatch(headers.get("Host", "").strip())
    if host is None:
        return str(Address(*socket))
    secure = headers.get("X-Forwarded-Proto", "").strip().lower() == "https"
    return f"{host[1]}:{host[2] or (443 if secure else 80)}"


def with_node_addresses(text: str, address: str) -> str:
    """The JSON of `_nodes` with `address` for that of every node."""
    changes: list[tuple[Slice, str]] = []
    new = orjson.dumps(address).decode()
    nodes = member(text, "nodes")
    for node in members(text, nodes.start) if nodes else ():
        http = member(text, "http", node.start)
        for part in members(text, http.start) if http else ():
            if part.key == "publish_address":
                changes.append((part, new))
            elif part.key == "bound_address":
                # One is left, where the first stood.
                bound = elements(text, part.start) if text[part.start] == "[" else [part]
                if bound:
                    changes.append((Slice(bound[0].start, bound[-1].end), new))
    return replaced(text, changes)


def with_cat_addresses(text: str, address: str) -> str:
    """The JSON of `_cat/nodes` with `address` for that of every node."""
    new = orjson.dumps(address).decode()
    cells = [cell for row in elements(text) for cell in members(text, row.start)]
    changes = [(cell, new) for cell in cells if cell.key in COLUMNS and text[cell.start] == '"']
    return replaced(text, changes)


def with_column_addresses(text: str, address: str) -> str:
    """The table of `_cat/nodes` with `address` for that of every node.

    The column is known by its cells: nothing else there is an IP address with a port. A column is
    as wide as its widest cell, and the last one is not filled up.
    """
    lines = text.split("\n")
    places = [list(_CELL.finditer(line)) for line in lines]
    for column in reversed(range(max(map(len, places), default=0))):
        found = [cells[column] if len(cells) > column else None for cells in places]
        start = next(match.start() for match in found if match is not None)
        heading = _HEADING.match(lines[0], start) if found[0] is None else None
        found[0] = found[0] or heading
        widths = [len(match[0]) for match in found if match is not None]
        before = max(widths)
        after = max(len(address), len(heading[0]) if heading else 0)
        for row, match in enumerate(found):
            line = lines[row]
            begin = match.start() if match else start
            if len(line) < begin or (match is None and not line.strip()):
                continue
            cell = "" if match is None else match[0] if match is heading else address
            rest = line[begin + before :]
            lines[row] = line[:begin] + (cell.ljust(after) + rest if rest else cell)
    return "\n".join(lines)
