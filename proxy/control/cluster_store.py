"""Definitions in the backend's hidden index `.querymill`, written by compare-and-set."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import orjson

from pipelines.errors import ConflictError
from proxy.backend.client import Backend, BackendAnswer, BackendRefusedError
from proxy.control.records import HEAD, Entry, Kind, Stamp, read_entry, record_id
from proxy.protocol.reserved import INDEX
from proxy.upstream.errors import UpstreamTooLarge

PAGE: Final = 500
"""Entries that are read at once."""
STAMPS: Final = 10_000
PIECE_BYTES: Final = 8 * 1024 * 1024
"""Bodies are read in pieces of about so much, a larger one by itself."""
PIECE_RECORDS: Final = 200
LARGE: Final = 64 * 1024
"""A body of more bytes is worked on in a thread."""
BODY_MAX: Final = 64 * 1024 * 1024
"""What can be read of one record; what this proxy writes is far smaller."""
_UNKNOWN_SIZES: Final = {"udf": PIECE_BYTES, "pipeline": 64 * 1024}

Credentials = Mapping[str, str]

_PROPERTIES = {
    "key": {"type": "keyword"},
    "kind": {"type": "keyword"},
    "name": {"type": "keyword"},
    "revision": {"type": "long"},
    "updated": {"type": "date"},
    "body": {"type": "object", "enabled": False},
}
_SETTINGS = {
    "settings": {
        "index": {"number_of_shards": 1, "auto_expand_replicas": "0-1", "hidden": True},
    },
    "mappings": {"dynamic": False, "properties": _PROPERTIES},
}


class Fingerprint(NamedTuple):
    """Changes whenever anything stored does: the number of records, the highest and the sum of
    their sequence numbers, and the time of the last write.
    """

    records: int = 0
    last: int = -1
    total: int = 0
    updated: int = 0


class Body(NamedTuple):
    """A record as it was read: None where it is gone; a `fault` in its entry says that the body
    cannot be read."""

    entry: Entry | None
    value: Any = None


class ClusterStore:
    """The store index. Reads for serving use the proxy's credentials, admin calls the caller's."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._exists = False

    # Reading

    async def fingerprint(self) -> Fingerprint:
        body = {
            "size": 0,
            "track_total_hits": True,
            "aggs": {
                "last": {"max": {"field": "_seq_no"}},
                "total": {"sum": {"field": "_seq_no"}},
                "updated": {"max": {"field": "updated"}},
            },
        }
        answer = await self._search(body)
        self._exists = answer.status != 404
        if not self._exists:
            return Fingerprint()
        data = answer.require(200)
        found = {name: each["value"] for name, each in data["aggregations"].items()}
        return Fingerprint(
            records=data["hits"]["total"]["value"],
            last=-1 if found["last"] is None else int(found["last"]),
            total=int(found["total"] or 0),
            updated=int(found["updated"] or 0),
        )

    async def entries(self, after: int = -1) -> list[Entry]:
        """The records written after a sequence number, without their bodies."""
        found: list[Entry] = []
        while True:
            hits = await self._page(after, PAGE, source=list(HEAD))
            if hits is None:
                # One of them cannot be parsed: which one shows by itself.
                hits = await self._page(after, PAGE, source=False) or []
                found += [await self._entry(hit) for hit in hits]
            else:
                found += [read_entry(hit) for hit in hits]
            if len(hits) < PAGE:
                return found
            after = hits[-1]["_seq_no"]

    async def stamps(self) -> dict[str, Stamp]:
        """The ids of all records, and their last write."""
        found: dict[str, Stamp] = {}
        after = -1
        while hits := await self._page(after, STAMPS, source=False):
            found |= {hit["_id"]: (hit["_seq_no"], hit["_primary_term"]) for hit in hits}
            if len(hits) < STAMPS:
                break
            after = hits[-1]["_seq_no"]
        return found

    async def bodies(self, entries: Iterable[Entry]) -> AsyncIterator[list[Body]]:
        """The records with their bodies, as they are now, in pieces bounded by their bytes."""
        for piece in _pieces(entries):
            yield await self._bodies(piece)

    async def _bodies(self, piece: Sequence[Entry]) -> list[Body]:
        ids = [entry.id for entry in piece]
        fault = ""
        try:
            answer = await self._backend.call(
                "POST", f"/{INDEX}/_mget", {"ids": ids}, retry=True, most=BODY_MAX
            )
            if answer.status == 404:
                return [Body(None) for _ in piece]
            if answer.status != 200 or answer.data is not None:
                docs = answer.require(200)["docs"]
                return [_body(entry, doc) for entry, doc in zip(piece, docs, strict=True)]
            fault = "it cannot be parsed as JSON"
        except UpstreamTooLarge:
            fault = f"it is larger than {BODY_MAX} bytes"
        if len(piece) == 1:
            return [Body(replace(piece[0], fault=fault))]
        middle = len(piece) // 2
        return await self._bodies(piece[:middle]) + await self._bodies(piece[middle:])

    async def _page(
        self, after: int, size: int, *, source: list[str] | bool
    ) -> list[dict[str, Any]] | None:
        """Hits in the order they were written; None where the answer cannot be parsed."""
        query = {
            "size": size,
            "query": {"range": {"_seq_no": {"gt": after}}},
            "sort": [{"_seq_no": "asc"}],
            "seq_no_primary_term": True,
            "_source": source,
        }
        answer = await self._search(query)
        if answer.status == 404:
            return []
        if answer.status == 200 and answer.data is None:
            return None
        hits: list[dict[str, Any]] = answer.require(200)["hits"]["hits"]
        return hits

    async def _entry(self, hit: dict[str, Any]) -> Entry:
        path = f"{_path(hit['_id'])}?_source_includes={','.join(HEAD)}"
        answer = await self._backend.call("GET", path)
        if answer.status != 200 or answer.data is None:
            return replace(read_entry(hit), fault="it cannot be parsed as JSON")
        return read_entry(answer.data)

    async def _search(self, body: dict[str, Any]) -> BackendAnswer:
        return await self._backend.call("POST", f"/{INDEX}/_search", body, retry=True)

    async def check_access(self, credentials: Credentials) -> None:
        """Raise `BackendRefusedError` if these credentials may not read the store."""
        answer = await self._backend.call(
            "POST", f"/{INDEX}/_search", {"size": 0}, headers=credentials, retry=True
        )
        if answer.status != 404:
            answer.require(200)

    # Writing

    async def write(
        self,
        old: Entry | None,
        kind: Kind,
        name: str,
        body: bytes,
        credentials: Credentials,
        *,
        digest: str = "",
        category: str | None = None,
    ) -> Entry:
        """Write a record, `body` being JSON, over `old` or where there is none.

        Raises `ConflictError` if another write came first.
        """
        if not self._exists:
            await self._make_index(credentials)
        id = record_id(kind, name)
        head: dict[str, Any] = {
            "key": id,
            "kind": kind,
            "name": name,
            "revision": old.revision + 1 if old else 1,
            "updated": int(time.time() * 1000),
            "size": len(body),
        }
        if digest:
            head |= {"digest": digest, "category": category or ""}
        document = b'%b,"body":%b}' % (orjson.dumps(head)[:-1], body)
        lock = _lock(old) if old else "op_type=create"
        answer = await self._backend.call(
            "PUT", f"{_path(id)}?refresh=true&{lock}", document, headers=credentials
        )
        _check_lock(id, answer.status)
        written = answer.require(200, 201)
        hit = {**written, "_id": id, "_source": head}
        return read_entry(hit)

    async def delete(self, entry: Entry, credentials: Credentials) -> None:
        """Delete a record. Raises `ConflictError` if another write came first."""
        answer = await self._backend.call(
            "DELETE", f"{_path(entry.id)}?refresh=true&{_lock(entry)}", headers=credentials
        )
        _check_lock(entry.id, answer.status)
        answer.require(200, 404)

    async def _make_index(self, credentials: Credentials) -> None:
        made = await self._backend.call("PUT", f"/{INDEX}", _SETTINGS, headers=credentials)
        # Another proxy may have made it a moment ago.
        if made.status == 400 and b"resource_already_exists_exception" in made.body:
            return
        if made.status != 200:
            raise BackendRefusedError(made.status, made.body)
        self._exists = True


def _pieces(entries: Iterable[Entry]) -> Iterable[list[Entry]]:
    piece: list[Entry] = []
    total = 0
    for entry in entries:
        size = _UNKNOWN_SIZES.get(entry.kind, 1024) if entry.size is None else entry.size
        if piece and (total + size > PIECE_BYTES or len(piece) == PIECE_RECORDS):
            yield piece
            piece, total = [], 0
        piece.append(entry)
        total += size
    if piece:
        yield piece


def _body(entry: Entry, doc: Mapping[str, Any]) -> Body:
    if "error" in doc:
        fault = f"the backend does not give it: {str(doc['error'])[:200]}"
        return Body(replace(entry, fault=fault))
    if not doc.get("found"):
        return Body(None)
    found = read_entry(doc)
    source = doc["_source"]
    return Body(found, source.get("body") if isinstance(source, dict) else None)


def _path(id: str) -> str:
    return f"/{INDEX}/_doc/{quote(id, safe='')}"


def _lock(entry: Entry) -> str:
    return f"if_seq_no={entry.stamp[0]}&if_primary_term={entry.stamp[1]}"


def _check_lock(id: str, status: int) -> None:
    if status == 409:
        kind, _, name = id.partition(":")
        raise ConflictError(f"{kind} [{name}] was changed by someone else meanwhile; try again")
