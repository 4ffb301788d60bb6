"""One step of the build, run in a process of its own that ends with this one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Final

Progress = Callable[[str, float], None]

_EXPECTED_SECONDS: Final = 10.0
# A step ends with who began it, also where that is killed: the kernel does it (1 is
# PR_SET_PDEATHSIG), and the look at the parent is for one that died before it was asked to.
_TIED: Final = """import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv.pop(1)):
    os._exit(1)
"""


class StepError(Exception):
    """A step failed; the text says which one and why."""


def run_step(
    code: str,
    arguments: list[str],
    phase: str,
    report: Progress,
    environment: Mapping[str, str],
) -> None:
    """Runs Python `code` to its end, reporting an estimate of how far it is.

    `environment` is added to that of this process. Raises `StepError`.
    """
    # -P: a module in the folder we happen to be in is none of the step's
    command = [sys.executable, "-P", "-c", _TIED + code, str(os.getpid()), *arguments]
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while True:
                report(phase, min(0.95, (time.monotonic() - started) / _EXPECTED_SECONDS))
                try:
                    status = process.wait(timeout=0.1)
                    break
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            process.kill()
            process.wait()
            raise
        if status != 0:
            output.seek(0)
            raise StepError(f"{phase} failed with status {status}: {_last_words(output.read())}")


def _last_words(output: bytes) -> str:
    """Why a step failed, in a line: of a traceback that is the last one."""
    said = output[-4_000:].decode("utf-8", "replace")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if "Traceback (most recent call last):" in lines:
        lines = lines[-1:]
    return " ".join(lines[-5:]) or "it said nothing"
