"""What changed in a store whose writes are numbered: found by figures, without reading it all.

A look costs the figures of what is stored. Where they differ from those of what is known, records
with higher numbers are read; only where that does not explain it (something was deleted, or became
visible late) the ids of all are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from proxy.store.records import Entry, Stamp
from proxy.store.store import Changes, Point


class Fingerprint(NamedTuple):
    """Changes whenever anything stored does: the number of records, the highest and the sum of
    the numbers of their writes, and the time of the last write.
    """

    records: int = 0
    last: int = -1
    total: int = 0
    updated: int = 0


class Numbered(Protocol):
    """What is asked of such a store."""

    async def fingerprint(self) -> Fingerprint: ...

    async def entries(self, after: int = -1) -> list[Entry]:
        """The records written after a number, as they were written."""
        ...

    async def stamps(self) -> dict[str, Stamp]:
        """The ids of all records, and their last write."""
        ...


async def find_changes(store: Numbered, known: Mapping[str, Entry], since: Point) -> Changes:
    """What is different from what is known."""
    seen = await store.fingerprint()
    changes = Changes(point=Point(seen.last, seen.updated))
    figures = _figures(entry.stamp for entry in known.values())
    if seen[:3] != figures:
        changes.changed = _news(known, await store.entries(since.number))
        if _after(known, changes) != seen[:3]:
            await _compare(store, known, changes)
    elif seen.updated != since.updated and not await _is_newest(store, known, seen.last):
        # It is another store than the one that was read.
        entries = await store.entries()
        ids = {entry.id for entry in entries}
        changes.changed = entries
        changes.gone = [each for id, each in known.items() if id not in ids]
    return changes


def _figures(stamps: Iterable[Stamp]) -> tuple[int, int, int]:
    numbers = [number for number, _ in stamps]
    return len(numbers), max(numbers, default=-1), sum(numbers)


def _news(known: Mapping[str, Entry], entries: Iterable[Entry]) -> list[Entry]:
    return [each for each in entries if not _knows(known, each)]


def _knows(known: Mapping[str, Entry], entry: Entry) -> bool:
    held = known.get(entry.id)
    return held is not None and held.stamp == entry.stamp and held.updated == entry.updated


def _after(known: Mapping[str, Entry], changes: Changes) -> tuple[int, int, int]:
    """The figures there would be with these changes."""
    stamps = {id: entry.stamp for id, entry in known.items()}
    return _figures((stamps | {entry.id: entry.stamp for entry in changes.changed}).values())


async def _compare(store: Numbered, known: Mapping[str, Entry], changes: Changes) -> None:
    """Add what only the ids and stamps of all records show."""
    stamps = await store.stamps()
    changes.gone = [entry for id, entry in known.items() if id not in stamps]
    held = {id: entry.stamp for id, entry in known.items()}
    held |= {entry.id: entry.stamp for entry in changes.changed}
    late = [number for id, (number, term) in stamps.items() if held.get(id) != (number, term)]
    changes.changed = [each for each in changes.changed if each.id in stamps]
    if late:
        later = _news(known, await store.entries(min(late) - 1))
        found = {entry.id: entry for entry in (*changes.changed, *later)}
        changes.changed = list(found.values())


async def _is_newest(store: Numbered, known: Mapping[str, Entry], number: int) -> bool:
    """Whether the newest record is one that is known: the one before it is gone by our own hand."""
    return all(_knows(known, entry) for entry in await store.entries(number - 1))
