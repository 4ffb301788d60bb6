"""Puts a friendly face on what a sandbox does not have.

Nothing here is what keeps a UDF in: the host links no file, socket, pipe, environment or blocking
call at all, and using one ends in a trap. These stand-ins only say so in words and keep the
instance alive.
"""

import builtins
import io
import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

_UNWANTED = ("asyncio", "socket", "_socket", "select", "selectors", "subprocess", "signal", "ssl")
_LINE_CHARS = 16_384

_reseed = random.seed


class LogWriter(io.TextIOBase):
    """A text stream whose whole lines go to the run's log."""

    def __init__(self) -> None:
        self.emit: Callable[[str], None] | None = None
        self._held = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._held = (self._held + text).split("\n")
        for line in lines:
            self._send(line)
        if len(self._held) > _LINE_CHARS:
            self.flush()
        return len(text)

    def flush(self) -> None:
        if self._held:
            held, self._held = self._held, ""
            self._send(held)

    def _send(self, line: str) -> None:
        if self.emit is not None:
            self.emit(line)


class Finder:
    """The only importer: whatever was not loaded at build time is not there."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> NoReturn:
        raise ModuleNotFoundError(
            f"No module named {fullname!r} in the sandbox; a UDF imports from a fixed list of the "
            "standard library, see docs/SANDBOX.md",
            name=fullname,
        )


output = LogWriter()


def _no_file(file: object, *args: object, **kwargs: object) -> NoReturn:
    raise FileNotFoundError(
        f"open({file!r}): a sandbox has no files; resource(name) reads a file of the UDF's package"
    )


def _no_sleep(seconds: object) -> NoReturn:
    raise RuntimeError(
        f"time.sleep({seconds!r}): a UDF cannot wait, it would only use up its deadline"
    )


def _keep_seed(*args: object) -> None:
    """Taken by the component's start-up code, which would ask the host for 2.5 KB of entropy."""


def prepare(allowed: Iterable[str]) -> None:
    """Replaces what cannot work in a sandbox. Called once, at build time, before the snapshot."""
    builtins.open = io.open = _no_file  # type: ignore[assignment]
    time.sleep = _no_sleep
    random.seed = _keep_seed
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = output  # type: ignore[misc]
    sys.stdin = sys.__stdin__ = None  # type: ignore[assignment,misc]
    os.environ.clear()
    for name in _UNWANTED:
        if name not in allowed:
            sys.modules.pop(name, None)


def before_snapshot(act: Callable[[], None]) -> None:
    """Have `act` called when the component's start-up code is done with everything else.

    The last thing it asks for is the environment, which it then empties.
    """
    plain = type(os.environ)

    class Asked(plain):  # type: ignore[misc,valid-type]
        def keys(self) -> Any:
            os.environ.__class__ = plain
            act()
            return os.environ.keys()

    os.environ.__class__ = Asked


def reseed(seed: int) -> None:
    """Sets `random` to where a seed leads."""
    _reseed(seed)


def start(seed: int) -> None:
    """The first act of a new instance: closes the import system, seeds `random` from the host."""
    sys.meta_path[:] = [Finder()]
    sys.path_hooks.clear()
    sys.path.clear()
    random.seed = _reseed
    reseed(seed)
