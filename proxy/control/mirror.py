"""What the store holds, as far as it is in force here."""

from __future__ import annotations

from proxy.store.records import Entry, Kind, record_id
from proxy.store.store import Changes, Point, Store


class Mirror:
    """The entries of all records by id, as they were taken in last.

    What a look has found counts once it is taken.
    """

    def __init__(self, store: Store) -> None:
        self.entries: dict[str, Entry] = {}
        self.bytes = 0
        self._store = store
        # Up to here everything was read, and this was the newest time of a write.
        self._read_to, self._updated = Point()

    def find(self, kind: Kind, name: str) -> Entry | None:
        return self.entries.get(record_id(kind, name))

    async def look(self) -> Changes:
        """What changed since the last `take`."""
        return await self._store.changes(self.entries, Point(self._read_to, self._updated))

    def take(self, changes: Changes) -> None:
        """What was found is in force."""
        for gone in changes.gone:
            self.drop(gone.id)
        for entry in changes.changed:
            self.put(entry)
        self._read_to, self._updated = changes.point

    def put(self, entry: Entry) -> None:
        """Take in one record, as of a write of ours."""
        self.drop(entry.id)
        self.entries[entry.id] = entry
        self.bytes += entry.bytes
        self._updated = max(self._updated, entry.updated)

    def drop(self, id: str) -> None:
        old = self.entries.pop(id, None)
        if old is not None:
            self.bytes -= old.bytes
