"""A process of the benchmark: started, waited for, asked, stopped."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

ROOT: Final = Path(__file__).parents[1]

# What a child that listens says on standard error once it does.
_LISTENS: Final = re.compile(r"\bon (127\.0\.0\.1:\d+)")
_READY_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 15.0
_KEPT_LINES: Final = 30


class ChildError(Exception):
    """A child did not start, ended, or answered with an error; its last lines are in the text."""


class Child:
    """Owns one process running `python -m module ...` from the constructor to `stop`.

    It has a session of its own, so that Ctrl-C reaches it through its owner only. The benchmark's
    own children also end when their standard input does.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self.name = module
        self._address = ""
        self._settled = threading.Event()
        self._last: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._watch = psutil.Process(self._process.pid)
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    @property
    def address(self) -> str:
        """HOST:PORT it listens on, once it says so. Raises ChildError when it does not."""
        self._settled.wait(_READY_SECONDS)
        if not self._address:
            raise self._failed(f"does not listen after {_READY_SECONDS:g} s or has ended")
        return self._address

    def ask(self, question: object) -> Any:
        """One line of JSON to it, one back. Raises ChildError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._failed("has ended") from error
        line = self._process.stdout.readline()
        if not line:
            raise self._failed("ended without an answer")
        answer = json.loads(line)
        if "error" in answer:
            raise self._failed(f"says: {answer['error']}")
        return answer

    def cpu_seconds(self) -> float:
        """User and system time it has used so far, all its threads and children."""
        family = [self._watch, *self._watch.children(recursive=True)]
        return sum(times.user + times.system for times in (p.cpu_times() for p in family))

    def stop(self) -> None:
        """Ask it to end, then make it; again is harmless."""
        process = self._process
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join(_STOP_SECONDS)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None and not pipe.closed:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._last.append(line)
            if not self._address and (match := _LISTENS.search(line)):
                self._address = match[1]
                self._settled.set()
        self._settled.set()

    def _failed(self, what: str) -> ChildError:
        told = "".join(self._last).strip() or "nothing"
        return ChildError(f"{self.name} {what}. Its last lines:\n{told}\nmend that and run again")


def proxy(backend: str) -> Child:
    """A real proxy in front of `backend` (a URL), on a free port, with default settings."""
    given: Sequence[str] = ("--backend", backend, "--listen", "127.0.0.1:0")
    return Child("proxy", "serve", *given, "--log-level", "error")


def _environment() -> dict[str, str]:
    """This environment without settings of the proxy: what is measured are the defaults."""
    ours = {name for name in os.environ if name.startswith("QUERYMILL_")} - {"QUERYMILL_CACHE_DIR"}
    return {name: value for name, value in os.environ.items() if name not in ours}
