"""Threads that give way: they run while no other thread of the machine wants the processor.

A UDF that never ends spins until its deadline, and on a machine with few cores the event loop, or
what it talks to, waits behind it for a turn of some milliseconds. On Linux each thread has a
scheduling policy of its own, and needs no privilege to take the lowest; there is no way back. It
counts within one container or session: others have their share beside it.

Such a thread can be kept waiting while it holds the interpreter's lock. It holds it for a part of
the 3 ms in which a sandbox is made, and wants it rarely while the machine is busy, as it does not
run then: beside two busy processes on two cores, requests waited less than without (decision 12).
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

_LAST = getattr(os, "SCHED_IDLE", None)
_this = threading.local()


def lower_priority() -> None:
    """Have the calling thread give way from now on, where the system knows how and lets it."""
    if _LAST is None:
        return
    with suppress(OSError):
        os.sched_setscheduler(0, _LAST, os.sched_param(0))
        _this.is_low = True


def has_low_priority() -> bool:
    """Whether the calling thread gives way."""
    return getattr(_this, "is_low", False)
