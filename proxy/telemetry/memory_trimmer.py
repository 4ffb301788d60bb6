"""Memory that large requests needed for a moment, given back to the system.

The C library keeps what was freed for the next time, and of a hundred megabytes of responses that
clients did not take nearly all. What it can do without goes back once there is much of it.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections.abc import Callable
from typing import Final

from pipelines.wasm.pool import private_bytes

PERIOD_SECONDS: Final = 15.0
WORTH_BYTES: Final = 48 * 1024 * 1024
"""So much more than ever before is looked into; giving back takes the allocator's locks."""


def trim() -> None:
    """Have the C library give back what it can do without; for a thread. Else nothing is done."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


class MemoryTrimmer:
    """Watches the memory of this process; `used` tells its bytes and `trim` gives some back."""

    def __init__(
        self,
        *,
        used: Callable[[], int] = private_bytes,
        trim: Callable[[], None] = trim,
        period: float = PERIOD_SECONDS,
    ) -> None:
        self._used = used
        self._trim = trim
        self._period = period
        self._least = sys.maxsize

    async def run(self) -> None:
        """Look again and again, from now on; never ends by itself."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(self._period)

    def look(self) -> None:
        """Give memory back where the process has much more than it had at the least."""
        held = self._used()
        if held - self._least >= WORTH_BYTES:
            self._trim()
            held = self._used()
        self._least = min(self._least, held)
