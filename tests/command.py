"""The `querymill` command in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command, killed with its workers if the test leaves it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "300"},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.communicate()


def read_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read the command's messages up to the one that matches."""
    assert process.stderr is not None
    for line in process.stderr:
        if (match := re.search(pattern, line)) is not None:
            return match
    raise AssertionError(f"the command ended without saying {pattern!r}")
