"""How much memory this process has for itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def private_bytes() -> int:
    """Bytes in memory that are no other process's and no file's; 0 where the system does not tell.

    Of sandboxes that is what they wrote to: the interpreter they begin with is shared.
    """
    try:
        _, resident, shared, *_ = _STATM.read_bytes().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * _PAGE_BYTES
