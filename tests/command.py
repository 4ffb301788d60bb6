"""The `querymill` command in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def started(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    command: Sequence[str | Path] = (sys.executable, "-m", "proxy"),
) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own, killed with its workers if the test leaves it."""
    process = subprocess.Popen(
        [*command, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "300"} | dict(env or {}),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # Workers are in it also when their supervisor is gone.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.communicate()


def is_gone(process: subprocess.Popen[str]) -> bool:
    """Whether no process of the command's group is left."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until_gone(process: subprocess.Popen[str], seconds: float) -> None:
    """Wait for the last process of the command's group; fails where it takes longer."""
    deadline = time.monotonic() + seconds
    while not is_gone(process):
        assert time.monotonic() < deadline, "a process is left"
        time.sleep(0.02)


def read_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read the command's messages up to the one that matches."""
    assert process.stderr is not None
    for line in process.stderr:
        if (match := re.search(pattern, line)) is not None:
            return match
    raise AssertionError(f"the command ended without saying {pattern!r}")
