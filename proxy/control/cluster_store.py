"""Definitions in the backend's hidden index `.querymill`, written by compare-and-set."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

import orjson

from proxy.backend.client import Backend, BackendRefusedError, BackendResponse
from proxy.control.limits import BODY_MAX, PAGE, PIECE_BYTES, PIECE_RECORDS, STAMPS
from proxy.control.numbered import Fingerprint, find_changes
from proxy.protocol.reserved import INDEX
from proxy.store.errors import (
    StoreBusy,
    StoreConflict,
    StoreRefused,
    StoreTimeout,
    StoreUnavailable,
)
from proxy.store.records import HEAD, Entry, Key, Stamp, head_of, read_entry
from proxy.store.store import Body, Changes, Credentials, Point
from proxy.upstream.errors import UpstreamBusy, UpstreamError, UpstreamTimeout, UpstreamTooLarge

_UNKNOWN_SIZES: Final = {"udf": PIECE_BYTES, "pipeline": 64 * 1024}

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


class ClusterStore:
    """The store index. Reads for serving use the proxy's credentials, admin calls the caller's.

    The backend's sequence numbers and primary terms are the stamps. Its errors become those of a
    store here, and nowhere else.
    """

    def __init__(self, backend: Backend, *, most: int = BODY_MAX) -> None:
        """`most` are the bytes of records that are read in one call."""
        self._backend = backend
        self._most = most
        self._exists = False

    # Reading

    async def changes(self, known: Mapping[str, Entry], since: Point) -> Changes:
        with _store_errors(hint="the proxy reads the store with [backend_authorization]"):
            return await find_changes(self, known, since)

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
        response = await self._search(body)
        self._exists = response.status != 404
        if not self._exists:
            return Fingerprint()
        data = response.require(200)
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
                found += [_read(hit) for hit in hits]
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
            with _store_errors():
                read = await self._bodies(piece)
            yield read

    async def _bodies(self, piece: Sequence[Entry]) -> list[Body]:
        ids = [entry.id for entry in piece]
        fault = ""
        try:
            response = await self._backend.call(
                "POST", f"/{INDEX}/_mget", {"ids": ids}, retry=True, most=self._most
            )
            if response.status == 404:
                return [Body(None) for _ in piece]
            if response.status != 200 or response.data is not None:
                docs = response.require(200)["docs"]
                return [_body(entry, doc) for entry, doc in zip(piece, docs, strict=True)]
            fault = "it cannot be parsed as JSON"
        except UpstreamTooLarge:
            fault = f"it is larger than {self._most} bytes"
        if len(piece) == 1:
            return [Body(replace(piece[0], fault=fault))]
        middle = len(piece) // 2
        return await self._bodies(piece[:middle]) + await self._bodies(piece[middle:])

    async def _page(
        self, after: int, size: int, *, source: list[str] | bool
    ) -> list[dict[str, Any]] | None:
        """Hits in the order they were written; None where the response cannot be parsed."""
        query = {
            "size": size,
            "query": {"range": {"_seq_no": {"gt": after}}},
            "sort": [{"_seq_no": "asc"}],
            "seq_no_primary_term": True,
            "_source": source,
        }
        response = await self._search(query)
        if response.status == 404:
            return []
        if response.status == 200 and response.data is None:
            return None
        hits: list[dict[str, Any]] = response.require(200)["hits"]["hits"]
        return hits

    async def _entry(self, hit: dict[str, Any]) -> Entry:
        path = f"{_path(hit['_id'])}?_source_includes={','.join(HEAD)}"
        response = await self._backend.call("GET", path)
        if response.status != 200 or response.data is None:
            return replace(_read(hit), fault="it cannot be parsed as JSON")
        return _read(response.data)

    async def _search(self, body: dict[str, Any]) -> BackendResponse:
        return await self._backend.call("POST", f"/{INDEX}/_search", body, retry=True)

    async def check_access(self, credentials: Credentials) -> None:
        """Raise `StoreRefused` if these credentials may not read the store."""
        with _store_errors():
            response = await self._backend.call(
                "POST", f"/{INDEX}/_search", {"size": 0}, headers=credentials, retry=True
            )
            if response.status != 404:
                response.require(200)

    # Writing

    async def write(
        self,
        key: Key,
        body: bytes,
        credentials: Credentials,
        *,
        over: Entry | None,
        digest: str = "",
        category: str | None = None,
    ) -> Entry:
        """Write a record, `body` being JSON, over `over` or where there is none."""
        updated = int(time.time() * 1000)
        head = head_of(key, len(body), updated=updated, digest=digest, category=category)
        document = b'%b,"body":%b}' % (orjson.dumps({"key": key.id, **head})[:-1], body)
        lock = _lock(over) if over else "op_type=create"
        with _store_errors():
            if not self._exists:
                await self._make_index(credentials)
            response = await self._backend.call(
                "PUT", f"{_path(key.id)}?refresh=true&{lock}", document, headers=credentials
            )
            if response.status == 409:
                raise StoreConflict(key.kind, key.name)
            return _read({**response.require(200, 201), "_id": key.id, "_source": head})

    async def delete(self, entry: Entry, credentials: Credentials) -> None:
        """Delete a record; one that is gone already is fine."""
        with _store_errors():
            response = await self._backend.call(
                "DELETE", f"{_path(entry.id)}?refresh=true&{_lock(entry)}", headers=credentials
            )
            if response.status == 409:
                raise StoreConflict(entry.kind, entry.name)
            response.require(200, 404)

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
    found = _read(doc)
    source = doc["_source"]
    return Body(found, source.get("body") if isinstance(source, dict) else None)


def _path(id: str) -> str:
    return f"/{INDEX}/_doc/{quote(id, safe='')}"


def _lock(entry: Entry) -> str:
    return f"if_seq_no={entry.stamp[0]}&if_primary_term={entry.stamp[1]}"


def _read(hit: Mapping[str, Any]) -> Entry:
    """What a search or a get says of a record."""
    return read_entry(hit["_id"], (hit["_seq_no"], hit["_primary_term"]), hit.get("_source"))


@contextmanager
def _store_errors(hint: str = "") -> Iterator[None]:
    """The backend's errors as those of a store; `hint` says what to do about credentials."""
    try:
        yield
    except UpstreamBusy as error:
        raise StoreBusy(str(error)) from error
    except UpstreamTimeout as error:
        raise StoreTimeout(str(error)) from error
    except UpstreamError as error:
        raise StoreUnavailable(str(error)) from error
    except BackendRefusedError as error:
        reported = f"{error} ({hint})" if hint and error.status in (401, 403) else str(error)
        raise StoreRefused(reported, error) from error
