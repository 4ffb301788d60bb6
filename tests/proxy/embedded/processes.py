"""Looking at processes from outside."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import psutil


def group_members(group: int) -> list[int]:
    """The living processes of a process group, zombies left out."""
    members = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
        except (psutil.Error, ProcessLookupError):
            continue
    return members


def unmeasured() -> dict[str, str]:
    """This environment without the measuring of coverage, for a process that is to be killed:
    in the middle of writing its measurements it would spoil them.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def until(done: Callable[[], bool], what: str, patience: float = 40) -> None:
    """Poll a condition; fails the test with `what` when it does not come true."""
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {patience:g} s: {what}")
        time.sleep(0.02)
