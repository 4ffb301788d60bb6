"""The ids of points in time that clients were given, where the backend names its own."""

from __future__ import annotations

import hashlib

from proxy.http.memo import Memo
from proxy.protocol.limits import REMEMBERED_IDS
from proxy.protocol.resume_id import Cursors, Memory


class GivenIds:
    """What the newest ids that were given out, or used here, remember, by the backend's own.

    An id is the same whenever it is made, so that its text need not be kept. Lives with a worker.
    """

    def __init__(self, cursors: Cursors, limit: int = REMEMBERED_IDS) -> None:
        self._cursors = cursors
        self._memories = Memo[bytes, Memory](limit)

    def __bool__(self) -> bool:
        return len(self._memories) > 0

    def keep(self, backend_id: str, memory: Memory) -> None:
        """Remember an id; the one longest unused goes where there are too many."""
        self._memories.keep(_key(backend_id), memory)

    def find(self, backend_id: str) -> str | None:
        """The id a client has for the backend's; None where that is not known here."""
        memory = self._memories.get(_key(backend_id))
        return None if memory is None else self._cursors.wrap(backend_id, memory)


def _key(backend_id: str) -> bytes:
    return hashlib.blake2b(backend_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
