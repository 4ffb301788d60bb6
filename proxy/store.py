"""Definitions in the backend's hidden index `.querymill`, written by compare-and-set."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from pipelines.errors import ConflictError
from proxy.backend import Backend, BackendRefusedError

INDEX = ".querymill"
PAGE = 200

Kind = Literal["pipeline", "udf", "attachment", "secret"]
Credentials = Mapping[str, str]

_SETTINGS = {
    "settings": {
        "index": {"number_of_shards": 1, "auto_expand_replicas": "0-1", "hidden": True},
    },
    "mappings": {
        "dynamic": False,
        "properties": {
            "key": {"type": "keyword"},
            "kind": {"type": "keyword"},
            "name": {"type": "keyword"},
            "revision": {"type": "long"},
            "updated": {"type": "date"},
            "body": {"type": "object", "enabled": False},
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One stored thing. `revision` counts its writes from 1; `seq` is the backend's lock on it."""

    kind: Kind
    name: str
    revision: int
    body: dict[str, Any]
    seq: tuple[int, int] = (0, 0)


class ClusterStore:
    """The store index. Reads for serving use the proxy's credentials, admin calls the caller's."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def load(self) -> list[Record]:
        """Everything stored; empty while the index does not exist."""
        records: list[Record] = []
        query: dict[str, Any] = {
            "size": PAGE,
            "sort": [{"key": "asc"}],
            "seq_no_primary_term": True,
        }
        while True:
            answer = await self._backend.call("POST", f"/{INDEX}/_search", query, retry=True)
            if answer.status == 404:
                return []
            hits = answer.require(200)["hits"]["hits"]
            records += [_record(hit) for hit in hits]
            if len(hits) < PAGE:
                return records
            query["search_after"] = hits[-1]["sort"]

    async def fingerprint(self) -> tuple[int, int]:
        """Changes whenever anything stored does: the number of records and the last write."""
        body = {
            "size": 0,
            "track_total_hits": True,
            "aggs": {"last": {"max": {"field": "_seq_no"}}},
        }
        answer = await self._backend.call("POST", f"/{INDEX}/_search", body, retry=True)
        if answer.status == 404:
            return (0, -1)
        data = answer.require(200)
        last = data["aggregations"]["last"]["value"]
        return (data["hits"]["total"]["value"], -1 if last is None else int(last))

    async def check_access(self, credentials: Credentials) -> None:
        """Raise `BackendRefusedError` if these credentials may not read the store."""
        answer = await self._backend.call(
            "POST", f"/{INDEX}/_search", {"size": 0}, headers=credentials, retry=True
        )
        if answer.status != 404:
            answer.require(200)

    async def get(self, kind: Kind, name: str, credentials: Credentials) -> Record | None:
        """One record as it is now."""
        answer = await self._backend.call("GET", _path(kind, name), headers=credentials)
        if answer.status == 404:
            return None
        return _record(answer.require(200))

    async def put(
        self,
        kind: Kind,
        name: str,
        body: dict[str, Any],
        credentials: Credentials,
        *,
        create: bool = False,
        if_revision: int | None = None,
    ) -> Record:
        """Write a record over the one read a moment ago; raises `ConflictError` if that moved.

        `create` refuses an existing one, `if_revision` any but that revision.
        """
        await self._ensure_index(credentials)
        old = await self.get(kind, name, credentials)
        if create and old is not None:
            raise ConflictError(f"{kind} [{name}] already exists")
        _check_revision(kind, name, old, if_revision)
        revision = old.revision + 1 if old else 1
        document = {
            "key": f"{kind}:{name}",
            "kind": kind,
            "name": name,
            "revision": revision,
            "updated": int(time.time() * 1000),
            "body": body,
        }
        lock = _lock(old) if old else "op_type=create"
        answer = await self._backend.call(
            "PUT", f"{_path(kind, name)}?refresh=true&{lock}", document, headers=credentials
        )
        _check_lock(kind, name, answer.status)
        written = answer.require(200, 201)
        seq = (written["_seq_no"], written["_primary_term"])
        return Record(kind=kind, name=name, revision=revision, body=body, seq=seq)

    async def delete(
        self, kind: Kind, name: str, credentials: Credentials, *, if_revision: int | None = None
    ) -> bool:
        """Delete a record; False if there was none."""
        old = await self.get(kind, name, credentials)
        _check_revision(kind, name, old, if_revision)
        if old is None:
            return False
        answer = await self._backend.call(
            "DELETE", f"{_path(kind, name)}?refresh=true&{_lock(old)}", headers=credentials
        )
        _check_lock(kind, name, answer.status)
        answer.require(200, 404)
        return True

    async def _ensure_index(self, credentials: Credentials) -> None:
        exists = await self._backend.call("HEAD", f"/{INDEX}", headers=credentials, retry=True)
        if exists.status == 200:
            return
        made = await self._backend.call("PUT", f"/{INDEX}", _SETTINGS, headers=credentials)
        # Another proxy may have made it a moment ago.
        if made.status == 400 and b"resource_already_exists_exception" in made.body:
            return
        if made.status != 200:
            raise BackendRefusedError(made.status, made.body)


def _path(kind: Kind, name: str) -> str:
    return f"/{INDEX}/_doc/{quote(f'{kind}:{name}', safe='')}"


def _lock(record: Record) -> str:
    return f"if_seq_no={record.seq[0]}&if_primary_term={record.seq[1]}"


def _record(hit: Mapping[str, Any]) -> Record:
    source = hit["_source"]
    return Record(
        kind=source["kind"],
        name=source["name"],
        revision=source["revision"],
        body=source["body"],
        seq=(hit["_seq_no"], hit["_primary_term"]),
    )


def _check_revision(kind: Kind, name: str, old: Record | None, wanted: int | None) -> None:
    if wanted is None:
        return
    found = old.revision if old else 0
    if found != wanted:
        raise ConflictError(
            f"{kind} [{name}] is at revision {found}, not {wanted}; read it again and repeat"
        )


def _check_lock(kind: Kind, name: str, status: int) -> None:
    if status == 409:
        raise ConflictError(f"{kind} [{name}] was changed by someone else meanwhile; try again")
