"""The figures of all workers of a host, added up when somebody asks.

Each worker answers on a Unix socket in a folder that is theirs alone; one that ends leaves its
figures there as a file, which the supervisor adds to those of earlier ones, so that no count ever
goes back. While it lives it notes them every few seconds, for the case that it is killed: what it
counted since its last note is lost then.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

import structlog

from pipelines.execution.stats import Stats
from proxy.tasks import Tasks
from proxy.telemetry.snapshot import Figures

_log = structlog.get_logger("proxy.workers")

_PATIENCE_SECONDS: Final = 2.0
_NOTE: Final = ".note"
_PAST: Final = "past"
_NOTE_SECONDS: Final = 2.0
# Of its time a worker spends this share at most on notes.
_NOTE_SHARE: Final = 0.01


class Peers:
    """This worker's side: answers the others, and asks them.

    `folder` is private to the user; `name` is the worker's own in it, else that of its process.
    """

    def __init__(self, folder: Path, own: Callable[[], Figures], name: str = "") -> None:
        self._folder = folder
        self._own = own
        self._name = name or f"{os.getpid()}"
        self._server: asyncio.Server | None = None
        self._tasks = Tasks()

    async def open(self) -> None:
        """Begin to answer, and to take notes."""
        self._server = await asyncio.start_unix_server(
            self._serve, self._folder / f"{self._name}.sock"
        )
        self._tasks.start("notes of figures", self._take_notes())

    async def note(self) -> float:
        """Write down what was counted so far; gives the seconds it took on the event loop.

        Pipeline by pipeline, so that requests get their turn in between.
        """
        figures = self._own()
        spent = 0.0
        parts = []
        for name, stats in figures.pipelines.items():
            began = time.perf_counter()
            parts.append(pickle.dumps((name, stats)))
            spent += time.perf_counter() - began
            await asyncio.sleep(0)
        head = pickle.dumps(replace(figures, pipelines=Stats()))
        await asyncio.to_thread(_write, self._folder / f"{self._name}{_NOTE}", (head, parts))
        return spent

    async def _take_notes(self) -> None:
        noted: object = None
        pause = _NOTE_SECONDS
        while True:
            await asyncio.sleep(pause)
            if (counted := dict(self._own().requests)) != noted:
                noted = counted
                pause = max(_NOTE_SECONDS, await self.note() / _NOTE_SHARE)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the figures behind, and answer no more."""
        if self._server is None:
            return
        await self._tasks.close()
        # Another worker may have removed the folder, if their supervisor is gone.
        with suppress(FileNotFoundError):
            await asyncio.to_thread(_write, self._folder / f"{self._name}.figures", self._own())
        (self._folder / f"{self._name}{_NOTE}").unlink(missing_ok=True)
        self._server.close()
        with suppress(FileNotFoundError):
            (self._folder / f"{self._name}.sock").unlink()

    async def gather(self) -> Figures:
        """The figures of all workers, this one included, and of those that have ended."""
        others = [path for path in self._folder.glob("*.sock") if path.stem != self._name]
        parts = await asyncio.gather(*(_ask(path) for path in others))
        total = await asyncio.to_thread(_left_behind, self._folder)
        for part in (self._own(), *parts):
            total.add(part)
        return total

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(pickle.dumps(self._own()))
            await writer.drain()
        writer.close()


def salvage(folder: Path, name: str) -> None:
    """Take the last note of a worker that was killed for its figures. For the supervisor."""
    note, figures = folder / f"{name}{_NOTE}", folder / f"{name}.figures"
    if figures.exists():
        note.unlink(missing_ok=True)
    elif note.exists():
        head, parts = pickle.loads(note.read_bytes())
        noted: Figures = pickle.loads(head)
        noted.pipelines.merge(dict(map(pickle.loads, parts)))
        _write(figures, noted)
        note.unlink()


def fold(folder: Path) -> None:
    """Add what ended workers left behind to the figures of earlier ones. For the supervisor."""
    past, folded = _past(folder)
    names = [path.name for path in folder.glob("*.figures") if path.name not in folded]
    for name in names:
        past.add(_read(folder / name))
    if names:
        # Who reads the new sum must not add the files as well, so it names them.
        _write(folder / _PAST, (past, frozenset(names)))
    for name in names:
        (folder / name).unlink()


async def _ask(path: Path) -> Figures:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            raw = await reader.read(-1)
            writer.close()
        response: Figures = pickle.loads(raw)
    except (OSError, EOFError, TimeoutError) as error:
        # It is just ending (its figures are in a file then), or was killed.
        _log.debug("a worker did not tell its figures", worker=path.stem, reason=str(error))
        return Figures()
    return response


def _left_behind(folder: Path) -> Figures:
    while True:
        total, folded = _past(folder)
        try:
            for path in folder.glob("*.figures"):
                if path.name not in folded:
                    total.add(_read(path))
        except FileNotFoundError:
            # It was folded a moment ago: the sum read before does not have it.
            continue
        return total


def _past(folder: Path) -> tuple[Figures, frozenset[str]]:
    try:
        past: tuple[Figures, frozenset[str]] = pickle.loads((folder / _PAST).read_bytes())
    except FileNotFoundError:
        return Figures(), frozenset()
    return past


def _read(path: Path) -> Figures:
    figures: Figures = pickle.loads(path.read_bytes())
    figures.forget_state()
    return figures


def _write(path: Path, value: object) -> None:
    unfinished = path.with_suffix(path.suffix + ".new")
    unfinished.write_bytes(pickle.dumps(value))
    unfinished.replace(path)
