"""What is reported of the sandbox while a command has it built or looks it up."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from pipelines.wasm import BuildError, Runtime, build
from proxy.app.serve import build_runtime
from proxy.config.settings import load

CLEARED = "\r\x1b[K"


@pytest.fixture
def terminal() -> Iterator[tuple[TextIO, int]]:
    """A terminal to write to, and the end from which one reads what is on it."""
    reading, writing = os.openpty()
    with os.fdopen(writing, "w") as stream:
        yield stream, reading
    os.close(reading)


def test_a_terminal_has_a_line_that_goes(runtime: Runtime, terminal: tuple[TextIO, int]) -> None:
    """Where it is built already, too: nothing stays on the screen."""
    stream, reading = terminal
    assert build_runtime(load({}, {}), stream) == build()
    shown = os.read(reading, 10_000).decode()
    assert shown.startswith(f"{CLEARED}sandbox: ")
    assert shown.endswith(CLEARED)
    assert "\n" not in shown


def test_a_failure_begins_on_a_clear_line(tmp_path: Path, terminal: tuple[TextIO, int]) -> None:
    """The line of progress goes before the error is printed."""
    (tmp_path / "sandbox" / "build.lock").mkdir(parents=True)
    (tmp_path / "sandbox").chmod(0o700)
    stream, reading = terminal
    with pytest.raises(BuildError):
        build_runtime(load({"cache_dir": str(tmp_path)}, {}), stream)
    assert os.read(reading, 10_000).decode() == CLEARED


def test_anything_else_has_a_line_a_step(runtime: Runtime) -> None:
    """And none where nothing had to be done."""
    stream = io.StringIO()
    build_runtime(load({}, {}), stream)
    assert stream.getvalue() == ""
