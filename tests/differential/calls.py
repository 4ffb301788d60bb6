"""Requests made at random, over every endpoint of the proxy's table and much that is in none.

A call is made for two sides at once. Words in capitals stand for what is not the same on both:
TWIN is an index of the side's own, SCROLL, PIT and ASYNC are ids the side was given last. All sides
share the index STATIC, which no call changes, so that scores and orders are the same.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.endpoints import ENDPOINTS, Endpoint, Operation
from tests.differential import bodies

STATIC: Final = "diff-static"
IDS: Final = ("1", "2", "7", "40", "missing", "a%2Fb", "%C3%A9", "x y".replace(" ", "%20"))

_O = Operation
# What changes documents or indices goes to the side's own index only.
WRITES: Final = frozenset(
    {
        _O.DOCUMENT,
        _O.BULK,
        _O.UPDATE,
        _O.BY_QUERY,
        _O.PUT_SETTINGS,
        _O.CREATE_INDEX,
        _O.DELETE_INDEX,
        _O.COPY_INDEX,
        _O.REINDEX,
    }
)
# Ids are handed out and used up by these, so each side has to make the call exactly once.
ONCE: Final = WRITES | {
    _O.SCROLL,
    _O.CLEAR_SCROLL,
    _O.OPEN_PIT,
    _O.CLOSE_PIT,
    _O.ASYNC_SEARCH,
    _O.ASYNC_RESULT,
}
# Endpoints of the table that would change more than an index, and rows tested by their own calls.
_LEFT_OUT: Final = frozenset({"_snapshot", "_transform", "_rollup", "_enrich", "_ccr", "_aliases"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `once` says that it may not be repeated to find out what differs anyway."""

    method: str
    target: str
    fields: tuple[str, ...] = ()
    body: bytes = b""
    chunked: bool = False
    once: bool = False

    def bytes_for(self, names: Mapping[str, str]) -> bytes:
        """The request as it goes on the wire for a side with these names."""
        target, body = self.target, self.body
        if (
            b"gzip" in "".join(self.fields).lower().encode()
            and "Content-Encoding: gzip" in self.fields
        ):
            body = gzip.compress(_named(body, names), mtime=0)
        else:
            body = _named(body, names)
        for word, value in names.items():
            target = target.replace(word, value)
        lines = [f"{self.method} {target} HTTP/1.1", "Host: search.example", *self.fields]
        if self.chunked and body:
            lines.append("Transfer-Encoding: chunked")
            half = len(body) // 2
            pieces = [piece for piece in (body[:half], body[half:]) if piece]
            framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            body = framed + b"0\r\n\r\n"
        elif body or self.method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _named(body: bytes, names: Mapping[str, str]) -> bytes:
    for word, value in names.items():
        body = body.replace(word.encode(), value.encode())
    return body


class Calls:
    """Makes calls from one random generator; the same seed gives the same calls.

    `sane` leaves out what no client that works would send: broken bodies, odd paths and media types.
    """

    def __init__(self, seed: str, *, elasticsearch: bool, sane: bool = False) -> None:
        self._random = random.Random(seed)
        self._elasticsearch = elasticsearch
        self._sane = sane
        self._endpoints = [row for row in ENDPOINTS if not _LEFT_OUT.intersection(row.path)]

    def next(self) -> Call:
        """The next call."""
        if self._sane:
            return self._endpoint()
        kinds: Sequence[tuple[int, Callable[[], Call]]] = (
            (60, self._endpoint),
            (10, self._other),
            (6, self._wrong_method),
            (6, self._odd_path),
            (4, self._large),
        )
        weights = [weight for weight, _ in kinds]
        _, make = self._random.choices(kinds, weights)[0]
        return make()

    # Endpoints of the table

    def _endpoint(self) -> Call:
        row = self._random.choice(self._endpoints)
        method = self._random.choice(sorted(row.methods))
        target = self._path(row)
        parameters = self._parameters(row)
        if not row.path[:1] == ("_search",) or row.operation is _O.SEARCH:
            target, parameters = self._index_as_parameter(row, target, parameters)
        if row.operation in (_O.DOCUMENT, _O.BULK, _O.UPDATE, _O.BY_QUERY, _O.REINDEX):
            parameters.append("refresh=true")
        value = bodies.body_for(row, self._random)
        return self._call(method, _query(target, parameters), value, once=row.operation in ONCE)

    def _path(self, row: Endpoint) -> str:
        parts = [self._filled(part) for part in row.path]
        if row.index == "none" or (row.index == "optional" and self._random.random() < 0.15):
            prefix = "" if row.operation not in WRITES else self._index(row)
            prefix = "" if row.index == "none" else prefix
        else:
            prefix = self._index(row)
        if row.operation in (_O.CREATE_INDEX, _O.DELETE_INDEX):
            prefix = "/TWIN-n"
        return prefix + "".join(f"/{part}" for part in parts) or "/"

    def _index(self, row: Endpoint) -> str:
        if row.operation in WRITES or row.path == ("_doc", "{id}") and "DELETE" in row.methods:
            return "/TWIN"
        if row.operation in (_O.OPEN_PIT, _O.ASYNC_SEARCH):
            return f"/{STATIC}"
        names = [STATIC] * 8 + [f"{STATIC}-alias", f"%3C{STATIC}%3E", f"{STATIC},TWIN-no"]
        names += [
            f"{STATIC}*",
            f"{STATIC}*,-{STATIC}-x*",
            "TWIN",
            "TWIN-none",
            f"{STATIC},{STATIC}",
        ]
        if not self._sane:
            names += ["UPPER", "-x", f"{STATIC},", "remote:x", "%3Cbad-%7Bnow%2Fq%7D%3E", "_all,x"]
        return "/" + self._random.choice(names)

    def _index_as_parameter(
        self, row: Endpoint, target: str, parameters: list[str]
    ) -> tuple[str, list[str]]:
        if row.index == "optional" and target.startswith("/_"):
            return target, [
                *parameters,
                f"index={STATIC if row.operation not in WRITES else 'TWIN'}",
            ]
        return target, parameters

    def _filled(self, part: str) -> str:
        if not part.startswith("{"):
            return part
        values = {
            "{id}": self._random.choice(IDS),
            "{target}": "TWIN-copy",
            "{field}": "place",
            "{zoom}": "3",
            "{x}": "1",
            "{y}": "1",
            "{index}": STATIC,
            "{name}": self._random.choice(("index.number_of_shards", "index.*", "nothing")),
        }
        return values.get(part, "nothing")

    def _parameters(self, row: Endpoint) -> list[str]:
        count = self._random.choice((0, 0, 0, 1, 1, 2, 3))
        pool = list(bodies.COMMON)
        if row.operation in (_O.SEARCH, _O.COUNT, _O.EXPLAIN, _O.VALIDATE):
            pool += list(bodies.SEARCHING) * 2
        if row.operation is _O.SEARCH:
            pool += list(bodies.SEARCH_ONLY) * 2
        if not self._sane:
            pool += list(bodies.ODD)
        return self._random.sample(pool, min(count, len(pool)))

    def _call(self, method: str, target: str, value: Any, *, once: bool = False) -> Call:
        body, media_type = bodies.encoded(value)
        fields: list[str] = []
        if body and not self._sane and self._random.random() < 0.08:
            body = bodies.broken(body, self._random)
        if body and not self._sane and self._random.random() < 0.08:
            media_type = self._random.choice(bodies.MEDIA_TYPES)
        if body and media_type:
            fields.append(f"Content-Type: {media_type}")
        if body and self._random.random() < 0.15:
            fields.append("Content-Encoding: gzip")
        fields += [field for chance, field in bodies.FIELDS if self._random.random() < chance]
        if not self._sane and self._random.random() < 0.1:
            fields.append("Accept: " + self._random.choice(bodies.ACCEPTS))
        self._random.shuffle(fields)
        return Call(method, target, tuple(fields), body, self._random.random() < 0.1, once)

    # What no row of the table stands for

    def _other(self) -> Call:
        method, target, value = self._random.choice(bodies.OTHERS)
        pool = [*bodies.COMMON, *bodies.ODD]
        parameters = self._random.sample(pool, self._random.choice((0, 0, 1, 2)))
        return self._call(
            method, _query(target, parameters), value, once=method not in bodies.READS
        )

    def _wrong_method(self) -> Call:
        row = self._random.choice(self._endpoints)
        target = self._path(row)
        methods = {"PATCH", "OPTIONS", "HEAD", "PROPFIND", "PURGE"}
        if (
            not row.operation in WRITES
            and "DELETE" not in row.methods
            and row.path
            and "TWIN" not in target
        ):
            methods |= {"DELETE", "PUT"} if row.path[0] in bodies.HARMLESS else set()
        return self._call(
            self._random.choice(sorted(methods - row.methods)), target, None, once=True
        )

    def _odd_path(self) -> Call:
        target = self._random.choice(bodies.ODD_PATHS)
        method = self._random.choice(("GET", "GET", "POST", "HEAD"))
        return self._call(method, target, None if method != "POST" else {"size": 1})

    def _large(self) -> Call:
        if self._random.random() < 0.5:
            size = self._random.choice((100, 500, 1000))
            return self._call("GET", f"/{STATIC}/_search?sort=n&size={size}", None)
        lines = []
        for number in range(self._random.choice((200, 600))):
            lines += [{"index": {"_id": str(number)}}, {"n": number, "title": "filler " * 30}]
        return self._call("POST", "/TWIN/_bulk?refresh=true", bodies.Lines(lines), once=True)


def _query(target: str, parameters: Sequence[str]) -> str:
    if not parameters:
        return target
    mark = "&" if "?" in target else "?"
    return target + mark + "&".join(parameters)


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
