"""The protocol of a store of definitions.

A record is known by its kind, name and revision. Who writes says which revision it will be, and
what it is written over: a write over anything else is refused, so that no change is lost.
Reading is following: a reader says what it has, and is told what is different.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from proxy.store.records import Entry, Key

Credentials = Mapping[str, str]
"""Header fields of who asks, for the keeper of the store to judge."""


class Point(NamedTuple):
    """How far a reader has come: the number of the newest write it has seen, and its time."""

    number: int = -1
    updated: int = 0


@dataclass(slots=True, kw_only=True)
class Changes:
    """What is different from what a reader has, and how far it has come with this."""

    point: Point
    changed: list[Entry] = field(default_factory=list)
    gone: list[Entry] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone)


class Body(NamedTuple):
    """A record as it was read: None where it is gone; a `fault` in its entry says that the body
    cannot be read."""

    entry: Entry | None
    value: Any = None


class Store(Protocol):
    """Where definitions are kept. One is made for each proxy; several can share what it keeps.

    Every method raises `StoreError`. Nothing is cached: what was written is seen by whoever asks
    next, here and elsewhere.
    """

    async def changes(self, known: Mapping[str, Entry], since: Point) -> Changes:
        """What is stored and not `known`, and what is known and not stored any more.

        `known` has the entries by their ids, with those that the reader has written itself;
        `since` is where the last reading ended, which is all a store has to look behind.
        """
        ...

    def bodies(self, entries: Iterable[Entry]) -> AsyncIterator[list[Body]]:
        """The records with their bodies, as they are now, in pieces bounded by their bytes."""
        ...

    async def check_access(self, credentials: Credentials) -> None:
        """Raise `StoreRefused` if these credentials may not read the store."""
        ...

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
        """Write a record, `body` being JSON, over the one that was read, or where there is none.

        Raises `StoreConflict` if something else is there.
        """
        ...

    async def delete(self, entry: Entry, credentials: Credentials) -> None:
        """Delete a record that was read. `StoreConflict` if it is another one by now; fine if it
        is gone."""
        ...
