"""The compiled code of UDFs, so that each is compiled once a process and not for every sandbox."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

BYTES: Final = 16 * 1024 * 1024
"""What is kept, in bytes of text; the code used longest ago makes room."""


class Codes:
    """Code by the digest of its package. Any thread may call it.

    It is what the guest's compiler made of the source in a sandbox none of the UDF's code had run
    in yet, so that nothing of one sandbox reaches another by this way.
    """

    def __init__(self, most: int = BYTES) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._codes: OrderedDict[str, str] = OrderedDict()
        self._size = 0

    def get(self, digest: str) -> str | None:
        with self._lock:
            if digest in self._codes:
                self._codes.move_to_end(digest)
            return self._codes.get(digest)

    def put(self, digest: str, code: str) -> None:
        """Keep it, unless it alone is more than is kept."""
        with self._lock:
            self._size += len(code) - len(self._codes.pop(digest, ""))
            self._codes[digest] = code
            while self._size > self._most:
                _, oldest = self._codes.popitem(last=False)
                self._size -= len(oldest)
