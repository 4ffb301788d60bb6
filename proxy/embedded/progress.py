"""How the caller is told what takes long: bars on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress

Unit = Literal["bytes", "files", "seconds"]
Advance = Callable[[float], None]

_STEPS = 4


class Progress(Protocol):
    """Told of each long piece of work; one bar is open at a time, from one thread."""

    def bar(self, title: str, total: float, unit: Unit) -> AbstractContextManager[Advance]:
        """Show work of `total` units; the value yielded is called with each amount done."""
        ...

    def say(self, message: str) -> None:
        """Show one line."""
        ...


class Silent:
    """Shows nothing; for tests and for programs that report in their own way."""

    @contextmanager
    def bar(self, title: str, total: float, unit: Unit) -> Iterator[Advance]:
        yield lambda amount: None

    def say(self, message: str) -> None:
        return None


class Lines:
    """Writes plain lines: one at the start of a piece of work, at each quarter, at its end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def bar(self, title: str, total: float, unit: Unit) -> Iterator[Advance]:
        self.say(f"{title} ({_amount(total, unit)})")
        began, done, step = time.monotonic(), 0.0, 1

        def advance(amount: float) -> None:
            nonlocal done, step
            done += amount
            reached = int(done / total * _STEPS) if total else 0
            if step <= reached < _STEPS:
                step = reached + 1
                self.say(f"{title}: {reached * 100 // _STEPS} %")

        yield advance
        self.say(f"{title}: done in {time.monotonic() - began:.1f} s")

    def say(self, message: str) -> None:
        self._stream.write(f"{message}\n")
        self._stream.flush()


class Bars:
    """Draws one rich bar a piece of work on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def bar(self, title: str, total: float, unit: Unit) -> Iterator[Advance]:
        with RichProgress(*_columns(unit), console=self._console) as bars:
            task = bars.add_task(title, total=total)
            yield lambda amount: bars.update(task, advance=amount)
            bars.update(task, completed=total)

    def say(self, message: str) -> None:
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)


def progress_on(stream: TextIO | None = None) -> Progress:
    """Bars when the stream (standard error by default) is a terminal, plain lines otherwise."""
    stream = stream or sys.stderr
    return Bars(Console(file=stream)) if stream.isatty() else Lines(stream)


def _columns(unit: Unit) -> list[ProgressColumn]:
    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn()]
    if unit == "bytes":
        return [*columns, DownloadColumn(), TransferSpeedColumn()]
    if unit == "files":
        return [*columns, TextColumn("{task.completed:.0f}/{task.total:.0f} files")]
    return [*columns, TimeElapsedColumn(), TextColumn("of about {task.total:.0f} s")]


def _amount(total: float, unit: Unit) -> str:
    if unit == "bytes":
        return f"{total / 1e6:.1f} MB"
    return f"about {total:.0f} s" if unit == "seconds" else f"{total:.0f} files"
