"""A process of the benchmark: started, waited for, asked, stopped."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import psutil

ROOT: Final = Path(__file__).parents[1]

# What a child that listens says on standard error once it does.
_LISTENS: Final = re.compile(r"\bon (127\.0\.0\.1:\d+)")
_READY_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.005
_KEPT_LINES: Final = 30


class ChildError(Exception):
    """A child did not start, ended, or answered with an error; its last lines are in the text."""


class Child:
    """Owns one process, and those it starts, from the constructor to `stop`.

    It has a session of its own, so that Ctrl-C reaches it through its owner only. The benchmark's
    own children also end when their standard input does.
    """

    def __init__(
        self, command: Sequence[str], *, name: str, address: str = "", tree: Path = ROOT
    ) -> None:
        """`address` is HOST:PORT it was told to listen on; empty if it says so itself. `tree` is
        where modules are imported from.
        """
        self.name = name
        self._told = address
        self._address = ""
        self._settled = threading.Event()
        self._last: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process = subprocess.Popen(
            command,
            cwd=tree,
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
        """HOST:PORT it listens on, once it does. Raises ChildError when it does not."""
        if not self._address and self._told:
            self._await_connection()
        elif not self._address:
            self._settled.wait(_READY_SECONDS)
        if not self._address:
            raise self._failed(f"does not listen after {_READY_SECONDS:g} s or has ended")
        return self._address

    def ask(self, question: object) -> Any:
        """One line of JSON to it, one back. Raises ChildError."""
        self.send(question)
        return self.receive()

    def send(self, question: object) -> None:
        """One line of JSON to it, whose response is received later. Raises ChildError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._failed("has ended") from error

    def receive(self) -> Any:
        """The response to what was sent. Raises ChildError."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failed("ended without an answer")
        response = json.loads(line)
        if "error" in response:
            raise self._failed(f"says: {response['error']}")
        return response

    def cpu_seconds(self) -> float:
        """User and system time it has used so far, all its threads and children."""
        times = [process.cpu_times() for process in self._family()]
        return sum(each.user + each.system for each in times)

    def pss_bytes(self) -> int:
        """Memory of it and its children, what they share counted once."""
        return sum(_pss_bytes(process.pid) for process in self._family())

    def open_files(self) -> int:
        """File descriptors of it and its children."""
        return sum(process.num_fds() for process in self._family())

    def pin(self, cores: Collection[int]) -> None:
        """Let it, its children and all their threads run on these cores only."""
        for process in self._family():
            for thread in process.threads():
                # a thread that has ended since needs no core
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(thread.id, cores)

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

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _family(self) -> list[psutil.Process]:
        return [self._watch, *self._watch.children(recursive=True)]

    def _await_connection(self) -> None:
        host, _, port = self._told.rpartition(":")
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                self._address = self._told
                return
            time.sleep(_POLL_SECONDS)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._last.append(line)
            if not self._address and not self._told and (match := _LISTENS.search(line)):
                self._address = match[1]
                self._settled.set()
        self._settled.set()

    def _failed(self, what: str) -> ChildError:
        told = "".join(self._last).strip() or "nothing"
        return ChildError(f"{self.name} {what}. Its last lines:\n{told}\nmend that and run again")


def module(name: str, *arguments: str, tree: Path = ROOT) -> Child:
    """A module run by this Python, which says where it listens if it does."""
    return Child([sys.executable, "-m", name, *arguments], name=name, tree=tree)


def proxy(backend: str, *options: str, workers: int = 1, tree: Path = ROOT) -> Child:
    """A real proxy in front of `backend` (a URL), on a free port, by default with defaults."""
    given = ("--backend", backend, "--listen", "127.0.0.1:0", "--workers", str(workers))
    return module("proxy", "serve", *given, "--log-level", "error", *options, tree=tree)


def free_address() -> str:
    """HOST:PORT on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _pss_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    kilobytes = re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)
    return int(kilobytes[1]) * 1024 if kilobytes else 0


def _environment() -> dict[str, str]:
    """This environment without settings of the proxy: what is measured are the defaults."""
    ours = {name for name in os.environ if name.startswith("QUERYMILL_")} - {"QUERYMILL_CACHE_DIR"}
    return {name: value for name, value in os.environ.items() if name not in ours}
