"""What the store holds, followed by reading what changed and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from proxy.control.cluster_store import ClusterStore, Fingerprint
from proxy.control.records import Entry, Kind, record_id


@dataclass(slots=True, kw_only=True)
class Changes:
    """What a look at the store found: records that are new or other ones, and ids that are gone."""

    changed: list[Entry] = field(default_factory=list)
    gone: list[Entry] = field(default_factory=list)


class Mirror:
    """The entries of all records by id, as they were taken in last.

    A look costs a search for figures. Where they differ from those of what is known here, records
    with higher sequence numbers are read; only where that does not explain it (something was
    deleted, or became visible late) the ids of all are. What was found counts once it is taken.
    """

    def __init__(self, store: ClusterStore) -> None:
        self.entries: dict[str, Entry] = {}
        self.bytes = 0
        self._store = store
        self._total = 0
        self._last: int | None = -1
        # Up to here everything was read, and this was the newest time of a write.
        self._read_to = -1
        self._updated = 0

    def find(self, kind: Kind, name: str) -> Entry | None:
        return self.entries.get(record_id(kind, name))

    async def look(self) -> tuple[Fingerprint, Changes | None]:
        """What changed since the last `take`; None where nothing did."""
        seen = await self._store.fingerprint()
        if seen == self._fingerprint():
            return seen, None
        if seen == self._fingerprint()._replace(updated=seen.updated):
            if await self._is_newest(seen.last):
                # The one that was newest is gone, by a write of ours.
                return seen, None
            return seen, await self._everything()
        changes = Changes(changed=self._news(await self._store.entries(self._read_to)))
        if self._after(changes) != seen[:3]:
            await self._compare(changes)
        return seen, changes

    def take(self, seen: Fingerprint, changes: Changes | None) -> None:
        """What was found is in force."""
        if changes is not None:
            for entry in changes.gone:
                self.drop(entry.id)
            for entry in changes.changed:
                self.put(entry)
        self._read_to, self._updated = seen.last, seen.updated

    def put(self, entry: Entry) -> None:
        """Take in one record, as of a write of ours."""
        self.drop(entry.id)
        self.entries[entry.id] = entry
        self.bytes += entry.bytes
        self._total += entry.stamp[0]
        if self._last is not None:
            self._last = max(self._last, entry.stamp[0])
        self._updated = max(self._updated, entry.updated)

    def drop(self, id: str) -> None:
        old = self.entries.pop(id, None)
        if old is None:
            return
        self.bytes -= old.bytes
        self._total -= old.stamp[0]
        if old.stamp[0] == self._last:
            self._last = None

    def _fingerprint(self) -> Fingerprint:
        if self._last is None:
            self._last = max((entry.stamp[0] for entry in self.entries.values()), default=-1)
        return Fingerprint(len(self.entries), self._last, self._total, self._updated)

    def _news(self, entries: Iterable[Entry]) -> list[Entry]:
        return [each for each in entries if not self._knows(each)]

    def _knows(self, entry: Entry) -> bool:
        held = self.entries.get(entry.id)
        return held is not None and held.stamp == entry.stamp and held.updated == entry.updated

    def _after(self, changes: Changes) -> tuple[int, int, int]:
        """The figures there would be with these changes."""
        stamps = {id: entry.stamp for id, entry in self.entries.items()}
        stamps |= {entry.id: entry.stamp for entry in changes.changed}
        numbers = [number for number, _ in stamps.values()]
        return len(numbers), max(numbers, default=-1), sum(numbers)

    async def _compare(self, changes: Changes) -> None:
        """Add what only the ids and stamps of all records show."""
        stamps = await self._store.stamps()
        changes.gone = [entry for id, entry in self.entries.items() if id not in stamps]
        known = {id: entry.stamp for id, entry in self.entries.items()}
        known |= {entry.id: entry.stamp for entry in changes.changed}
        late = [number for id, (number, term) in stamps.items() if known.get(id) != (number, term)]
        changes.changed = [each for each in changes.changed if each.id in stamps]
        if late:
            later = self._news(await self._store.entries(min(late) - 1))
            found = {entry.id: entry for entry in (*changes.changed, *later)}
            changes.changed = list(found.values())

    async def _is_newest(self, number: int) -> bool:
        return all(self._knows(entry) for entry in await self._store.entries(number - 1))

    async def _everything(self) -> Changes:
        """All there is, for it is another store than the one that was read."""
        entries = await self._store.entries()
        ids = {entry.id for entry in entries}
        return Changes(
            changed=entries, gone=[each for id, each in self.entries.items() if id not in ids]
        )
