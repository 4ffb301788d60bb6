"""``python -m tests``: the whole suite under coverage, in two sessions side by side.

One waits for backends most of its time, the other one computes. With arguments, which are pytest's,
there is one session.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from typing import IO, Final

BACKENDS: Final = ("tests/flows", "tests/differential")
_PYTEST: Final = (sys.executable, "-m", "coverage", "run", "-m", "pytest")


def main(arguments: list[str]) -> int:
    """The exit status of the session, or of one that failed."""
    if arguments:
        return subprocess.run([*_PYTEST, *arguments], check=False).returncode
    with tempfile.TemporaryFile() as reported, _others(reported) as others:
        try:
            backends = subprocess.run([*_PYTEST, *BACKENDS], check=False).returncode
            others.wait()
        finally:
            others.terminate()
            others.wait()
            reported.seek(0)
            shutil.copyfileobj(reported, sys.stdout.buffer)
            sys.stdout.flush()
    return backends or others.returncode


def _others(reported: IO[bytes]) -> subprocess.Popen[bytes]:
    """The session of all the rest, told when both have ended."""
    left_out = [f"--ignore={folder}" for folder in BACKENDS]
    return subprocess.Popen([*_PYTEST, *left_out], stdout=reported, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
