"""Threads that give way to others of the machine, wholly or for the most part.

A UDF that never ends spins until its deadline, and on a machine with few cores the event loop, or
what it talks to, waits behind it for a turn of some milliseconds. On Linux each thread has a
priority and a scheduling policy of its own, and needs no privilege to lower them; there is no way
back. Both count within one session or container: others have their share beside it.

Such a thread can be kept waiting while it holds the interpreter's lock. It holds it for a part of
the 3 ms in which a sandbox is made, and wants it rarely while the machine is busy, as it does not
run then: beside two busy processes on two cores, requests waited less than without (decision 12).
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

_LAST = getattr(os, "SCHED_IDLE", None)
# A tenth of what others get: the event loop seldom waits, and a sound UDF is loaded all the same.
_STEPS = 10
_LOWEST = 19
_this = threading.local()


def stand_back() -> None:
    """Have the calling thread take a tenth of what others do from now on, where they want it.

    As with `give_way`, where the system knows how: elsewhere than on Linux it would be the process.
    """
    if _LAST is None:
        return
    with suppress(OSError):
        thread = threading.get_native_id()
        priority = os.getpriority(os.PRIO_PROCESS, thread) + _STEPS
        os.setpriority(os.PRIO_PROCESS, thread, min(priority, _LOWEST))
        _this.gives_way = True


def give_way() -> None:
    """Have the calling thread run only while no other wants the processor, where the system knows
    how and lets it.
    """
    if _LAST is None:
        return
    with suppress(OSError):
        os.sched_setscheduler(0, _LAST, os.sched_param(0))
        _this.gives_way = True


def gave_way() -> bool:
    """Whether the calling thread gives way or stands back."""
    return getattr(_this, "gives_way", False)
