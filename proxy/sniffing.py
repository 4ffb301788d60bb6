"""Clients that ask the cluster for its nodes are told the proxy's address, and so stay with it.

A client that sniffs sends its later requests to the addresses it is told; those of the backend's
nodes would lead it past the proxy, and no pipeline would run. Only these addresses change in the
answers; everything else stays as the backend wrote it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import orjson
from aiohttp import web

from proxy.answer_form import AnswerForm
from proxy.bodies import is_json
from proxy.errors import ErrorAnswer
from proxy.exchange import Exchange
from proxy.headers import request_headers
from proxy.relay import Relay
from proxy.setting import Address
from proxy.spans import Span, elements, member, members, replaced
from proxy.target import Target
from proxy.transform import PARSE_INLINE

# The answers of some thousand nodes.
NODES_MAX: Final = 100 * 1024 * 1024
# The names of the column of `_cat/nodes`.
COLUMNS: Final = frozenset({"http", "http_address"})
_CELL: Final = re.compile(r"(?<!\S)(?:\[[^\s\[\]]+\]|[0-9.]+):[0-9]{1,5}(?!\S)", re.ASCII)
# What stands in the way of an address in an answer that is not read here, as SMILE is not.
_NAMED: Final = re.compile(rb"(?:publish|bound)_address")
_NAMED_IN_CAT: Final = re.compile(rb"(?<![a-z_])http(?:_address)?(?![a-z_])")
_HOST: Final = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+)(?::([0-9]*))?")
_HEADING: Final = re.compile(r"(?<!\S)http(?:_address)?(?!\S)")


class Sniffing:
    """Answers the calls that list the addresses at which nodes serve HTTP.

    Every node's is `public`, else that by which the client reached the proxy.
    """

    def __init__(self, relay: Relay, public: Address | None) -> None:
        self._relay = relay
        self._public = str(public) if public is not None else None

    async def nodes(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_nodes`` and what is below it, but for statistics."""
        return await self._answer(exchange, target, with_node_addresses, _NAMED)

    async def cat(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """``_cat/nodes``, which has an address only where its column is named."""
        if target.query.get("h") is None or target.query.get("help") is not None:
            return await self._relay(exchange)
        return await self._answer(exchange, target, with_cat_addresses, _NAMED_IN_CAT)

    async def _answer(
        self,
        exchange: Exchange,
        target: Target,
        change: Callable[[str, str], str],
        named: re.Pattern[bytes],
    ) -> web.StreamResponse:
        # The backend filters and indents: what is left of an answer has the addresses where they
        # were, and all else as it was written.
        form = replace(await AnswerForm.of(exchange, target.query, self._relay), filters=None)
        if form.format == "smile":
            form = replace(form, format="json")
        query, headers = form.ask(target.query, request_headers(exchange.raw_headers))
        body = await exchange.body(exchange.max_body) if exchange.has_body else None
        with await self._relay.send(
            exchange, target=query.after(target.path), headers=headers, body=body
        ) as response:
            raw = await response.read(NODES_MAX)
            kind = response.headers.get("Content-Type", "")
            if response.status == 200 and (is_json(kind) or kind.startswith("text/plain")):
                if not is_json(kind):
                    change = with_column_addresses
                address = self._public or reached_at(exchange.headers, exchange.socket)
                if len(raw) > PARSE_INLINE:
                    raw = await asyncio.to_thread(_changed, raw, change, address)
                else:
                    raw = _changed(raw, change, address)
            elif response.status == 200 and named.search(raw):
                raise ErrorAnswer(
                    406,
                    "media_type_header_exception",
                    f"addresses of nodes cannot be given as [{kind}]; ask for application/json,"
                    " application/cbor or application/yaml",
                )
            if form.is_plain and not form.gzip:
                return exchange.relay(response.status, response.fields, raw, reason=response.reason)
            return await form.respond(exchange, response, raw)


def reached_at(headers: Mapping[str, str], socket: tuple[str, int]) -> str:
    """HOST:PORT by which a client reached the proxy: its Host header's, else the socket's.

    A Host without a port stands for the port of the scheme, which whoever ends TLS has to tell.
    """
    host = _HOST.fullmatch(headers.get("Host", "").strip())
    if host is None:
        return str(Address(*socket))
    secure = headers.get("X-Forwarded-Proto", "").strip().lower() == "https"
    return f"{host[1]}:{host[2] or (443 if secure else 80)}"


def _changed(raw: bytes, change: Callable[[str, str], str], address: str) -> bytes:
    try:
        return change(raw.decode(), address).encode()
    except ValueError:
        return raw


def with_node_addresses(text: str, address: str) -> str:
    """The JSON of `_nodes` with `address` for that of every node."""
    changes: list[tuple[Span, str]] = []
    new = orjson.dumps(address).decode()
    nodes = member(text, "nodes")
    for node in members(text, nodes.start) if nodes else ():
        http = member(text, "http", node.start)
        for span in members(text, http.start) if http else ():
            if span.key == "publish_address":
                changes.append((span, new))
            elif span.key == "bound_address":
                # One is left, where the first stood.
                bound = elements(text, span.start) if text[span.start] == "[" else [span]
                if bound:
                    changes.append((Span(bound[0].start, bound[-1].end), new))
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
