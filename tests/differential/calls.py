"""Requests made at random, over every endpoint of the proxy's table and much that is in none.

A call is made for two sides at once. Words in capitals stand for what is not the same on both:
TWIN is an index of the side's own, SCROLL and PIT are the ids the side was given last. All sides
share the index STATIC, which no call changes, so that scores and orders are the same.
"""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cbor2
import yaml

from proxy.protocol.endpoints import ENDPOINTS, Endpoint, Operation
from tests.differential import material, surroundings
from tests.differential.material import STATIC

_O = Operation
_WRITES: Final = frozenset(
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
_REFRESHED: Final = frozenset({_O.DOCUMENT, _O.BULK, _O.UPDATE, _O.BY_QUERY, _O.REINDEX})
# Each side has to make these exactly once: they hand out ids, or use them up.
_ONCE: Final = frozenset({_O.SCROLL, _O.CLEAR_SCROLL, _O.OPEN_PIT, _O.CLOSE_PIT, _O.ASYNC_RESULT})
_SEARCHES: Final = frozenset({_O.SEARCH, _O.COUNT, _O.EXPLAIN, _O.VALIDATE})
# What would change or show more than the indices of these tests.
_LEFT_OUT: Final = frozenset(
    {
        "_all",
        "_ccr",
        "_component_template",
        "_create_from",
        "_data_stream",
        "_enrich",
        "_index_template",
        "_rollover",
        "_rollup",
        "_snapshot",
        "_template",
        "_transform",
        "reroute",
    }
)
_TOO_MUCH: Final = frozenset({("DELETE", ()), ("GET", ("_aliases",))})
_GZIP: Final = "Content-Encoding: gzip"


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `once` says that it cannot be repeated to find out what differs anyway."""

    method: str
    target: str
    fields: tuple[str, ...] = ()
    body: bytes = b""
    chunked: bool = False
    once: bool = False

    def bytes_for(self, names: Mapping[str, str]) -> bytes:
        """The request as it goes on the wire for a side with these names."""
        # At once, for a name may hold the word of another.
        words = re.compile("|".join(map(re.escape, names)) or "(?!)")
        target = words.sub(lambda found: names[found[0]], self.target)
        text = words.sub(lambda found: names[found[0]], self.body.decode("latin-1"))
        body = text.encode("latin-1")
        if body and _GZIP in self.fields:
            body = gzip.compress(body, mtime=0)
        lines = [f"{self.method} {target} HTTP/1.1", "Host: search.example", *self.fields]
        if body and self.chunked:
            lines.append("Transfer-Encoding: chunked")
            half = len(body) // 2 + 1
            pieces = [piece for piece in (body[:half], body[half:]) if piece]
            framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            body = framed + b"0\r\n\r\n"
        elif body or self.method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _lists_nodes_in_smile(call: Call) -> bool:
    """Whether addresses would have to be rewritten in a format that is not read: a 406."""
    path = call.target.partition("?")[0]
    lists = path.startswith(("/_nodes", "/_cat/nodes"))
    return lists and any("smile" in text for text in (call.target, *call.fields))


class Calls:
    """Makes calls; the same seed gives the same ones.

    `sane` leaves out what no program sends on purpose: broken bodies, odd paths and media types.
    """

    def __init__(self, seed: str, *, sane: bool = False) -> None:
        self._chance = random.Random(seed)
        self._sane = sane
        self._endpoints = [row for row in ENDPOINTS if _LEFT_OUT.isdisjoint(row.path)]

    def next(self) -> Call:
        """The next call."""
        makers = (self._endpoint, self._paging, self._other, self._method, self._path, self._large)
        weights = (60, 8, 12, 6, 8, 3) if not self._sane else (80, 10, 0, 0, 0, 3)
        call = self._chance.choices(makers, weights)[0]()
        while _lists_nodes_in_smile(call):
            call = self._chance.choices(makers, weights)[0]()
        return call

    def _endpoint(self) -> Call:
        row = self._chance.choice(self._endpoints)
        method = self._chance.choice(sorted(row.methods))
        return self._to(row, method, material.body_for(row, self._chance))

    def _to(self, row: Endpoint, method: str, body: Any) -> Call:
        writes = (
            method in ("PUT", "DELETE") or row.operation in _WRITES or "document" in row.bypasses
        )
        parameters = self._parameters(row)
        index = self._index(row, writes)
        if row.index == "optional" and self._chance.random() < 0.15:
            parameters.append("index=TWIN" if writes else f"index={STATIC}")
            index = ""
        if row.operation in _REFRESHED or (writes and row.path[:1] == ("_doc",)):
            parameters.append("refresh=true")
        path = index + "".join(f"/{self._filled(part)}" for part in row.path)
        once = writes or row.operation in _ONCE
        return self._call(method, path or "/", parameters, body, once=once)

    def _index(self, row: Endpoint, writes: bool) -> str:
        if row.index == "none":
            return ""
        if row.operation in (_O.CREATE_INDEX, _O.DELETE_INDEX):
            return "/TWIN-n"
        if writes:
            return "/TWIN"
        names = [STATIC] * 12 + [f"{STATIC}-alias", f"%3C{STATIC}%3E", f"{STATIC}*"]
        names += [f"{STATIC}*,-{STATIC}-x*", f"{STATIC},{STATIC}-alias"]
        if not self._sane:
            names += [f"{STATIC},TWIN-none", "TWIN-none", "UPPER", "-x", f"{STATIC},", "remote:x"]
            names += ["%3Cbad-%7Bnow%2Fq%7D%3E", "TWIN-none*", f"{STATIC}-alias,-{STATIC}"]
        return "/" + self._chance.choice(names)

    def _filled(self, part: str) -> str:
        values = {
            "{id}": self._chance.choice(material.IDS),
            "{target}": "TWIN-copy",
            "{field}": "place",
            "{zoom}": "3",
            "{x}": "1",
            "{y}": "1",
            "{index}": STATIC,
            "{name}": self._chance.choice(("index.number_of_shards", "index.*", "nothing")),
        }
        return values.get(part, "nothing") if part.startswith("{") else part

    def _parameters(self, row: Endpoint | None) -> list[str]:
        pool = list(surroundings.COMMON)
        if row is not None and row.operation in _SEARCHES:
            pool += surroundings.SEARCHING
        if row is not None and row.operation is _O.SEARCH:
            pool += surroundings.SEARCH_ONLY
        if not self._sane and self._chance.random() < 0.3:
            pool += surroundings.ODD
        return self._chance.sample(pool, self._chance.choice((0, 0, 0, 1, 1, 2, 3)))

    def _paging(self) -> Call:
        size = {"size": 7, "sort": ["n"]}
        pit = {"id": "PIT", "keep_alive": "1m"}
        makers: Sequence[tuple[str, str, Any]] = (
            ("POST", f"/{STATIC}/_search?scroll=1m", size),
            ("GET", f"/{STATIC}/_search?scroll=1m&size=200", None),
            ("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": "SCROLL"}),
            ("GET", "/_search/scroll?scroll=1m&scroll_id=SCROLL", None),
            ("DELETE", "/_search/scroll", {"scroll_id": "SCROLL"}),
            ("POST", f"/{STATIC}/_search/point_in_time?keep_alive=1m", None),
            ("POST", f"/{STATIC}/_pit?keep_alive=1m", None),
            ("POST", "/_search", {"pit": pit, **material.search(self._chance)}),
            ("GET", "/_search?size=3", {"pit": pit, "sort": ["n"]}),
            ("POST", f"/{STATIC}/_search", {"pit": pit}),
            ("DELETE", "/_search/point_in_time", {"pit_id": ["PIT"]}),
            ("DELETE", "/_pit", {"id": "PIT"}),
        )
        method, target, body = self._chance.choice(makers)
        return self._call(method, target, [], body, once=True)

    def _other(self) -> Call:
        method, target, body = self._chance.choice(material.OTHERS)
        return self._call(
            method, target, self._parameters(None), body, once=method not in material.READS
        )

    def _method(self) -> Call:
        row = self._chance.choice(self._endpoints)
        methods = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"}
        method = self._chance.choice(sorted(methods - row.methods))
        if (method, row.path) in _TOO_MUCH:
            method = "PATCH"
        return self._to(row, method, None)

    def _path(self) -> Call:
        target = self._chance.choice(surroundings.ODD_PATHS)
        # Posting to some of the others is writing.
        methods = ("GET", "GET", "HEAD", "POST") if "search" in target else ("GET", "HEAD")
        method = self._chance.choice(methods)
        return self._call(method, target, [], {"size": 1} if method == "POST" else None)

    def _large(self) -> Call:
        if self._chance.random() < 0.5:
            size = self._chance.choice((100, 300, 600))
            return self._call("GET", f"/{STATIC}/_search?sort=n&size={size}", [], None)
        lines = material.Lines()
        for number in range(self._chance.choice((100, 300))):
            lines += [{"index": {"_id": str(number)}}, {"n": number, "title": "filler " * 50}]
        return self._call("POST", "/TWIN/_bulk?refresh=true", [], lines, once=True)

    def _call(
        self, method: str, path: str, parameters: Sequence[str], value: Any, *, once: bool = False
    ) -> Call:
        target = path
        if parameters and path != "*":
            target += ("&" if "?" in path else "?") + "&".join(parameters)
        body, media_type = material.encoded(value)
        if self._sane and isinstance(value, dict) and self._chance.random() < 0.15:
            body, media_type = self._in_another_format(body, media_type, value)
        # Backends read a broken body of this one forever, and with it their network thread.
        sane = self._sane or not body or "termvectors" in path
        wrong = not sane and self._chance.random() < 0.1
        if wrong:
            body = material.broken(body, self._chance)
        if not sane and self._chance.random() < 0.1:
            wrong = True
            media_type = self._chance.choice(surroundings.MEDIA_TYPES)
        fields = [field for odds, field in surroundings.FIELDS if self._chance.random() < odds]
        if body and media_type:
            fields.append(f"Content-Type: {media_type}")
        if body and self._chance.random() < 0.15:
            fields.append(_GZIP)
        elif body and self._chance.random() < 0.05:
            fields.append("content-encoding: identity")
        if not self._sane and self._chance.random() < 0.1:
            fields.append("Accept: " + self._chance.choice(surroundings.ACCEPTS))
        self._chance.shuffle(fields)
        # What a backend says of a broken body depends on the pieces it came in.
        chunked = not wrong and self._chance.random() < 0.1
        return Call(method, target, tuple(fields), body, chunked, once or "scroll=" in target)

    def _in_another_format(self, body: bytes, media_type: str, value: Any) -> tuple[bytes, str]:
        """The same body as YAML or CBOR, where each side's names do not change its length."""
        if self._chance.random() < 0.5:
            return yaml.safe_dump(value, allow_unicode=True).encode(), "application/yaml"
        if any(word in body for word in (b"TWIN", b"SCROLL", b"PIT")):
            return body, media_type
        return cbor2.dumps(value), "application/cbor"
