"""The engine every sandbox of a process runs on: its clock, its one component, its linker."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

from wasmtime import Engine
from wasmtime.component import Component, ExportIndex

from pipelines.wasm.bytecode import Codes
from pipelines.wasm.component.build import BuildError, Progress, build
from pipelines.wasm.component.precompile import engine_config
from pipelines.wasm.host_functions import Line, build_linker

TICK_SECONDS = 0.005
# idle ticks before the ticker rests, so that a busy proxy does not wake it for every run
_LINGER_TICKS = 200


class Ticker:
    """Advances an engine's epoch while sandboxes run; one thread, one for each engine.

    A deadline is a number of ticks: `ticks(ms)` from now, never early, and late by two ticks at
    most on a machine that lets the thread run.
    """

    def __init__(self, engine: Engine) -> None:
        self.ticked = 0
        """How often it ticked: where that has not changed, a deadline set before still holds."""
        self._engine = engine
        self._lock = threading.Lock()
        self._awake = threading.Event()
        self._running = 0
        self._closed = False
        self._thread = threading.Thread(target=self._tick, name="querymill-epoch", daemon=True)
        self._thread.start()

    @staticmethod
    def ticks(milliseconds: float) -> int:
        """The deadline for a run of that long: one tick more, since the next may be near."""
        return math.ceil(milliseconds / (TICK_SECONDS * 1000)) + 1

    def start(self) -> None:
        """A run begins: it ticks until `stop` was called as often."""
        with self._lock:
            self._running += 1
            if not self._awake.is_set():
                self._awake.set()

    def stop(self) -> None:
        with self._lock:
            self._running -= 1

    def close(self) -> None:
        """Ends the thread; the engine may be closed afterwards."""
        with self._lock:
            self._closed = True
            self._awake.set()
        self._thread.join()

    def _tick(self) -> None:
        idle = 0
        while True:
            self._awake.wait()
            if self._closed:
                return
            time.sleep(TICK_SECONDS)
            # Before the engine's: a deadline set in between comes a tick too early, of which
            # `ticks` gives one more, and none is taken to hold that does not.
            self.ticked += 1
            self._engine.increment_epoch()
            idle = 0 if self._running else idle + 1
            if idle >= _LINGER_TICKS:
                self._rest()

    def _rest(self) -> None:
        with self._lock:
            if not self._running and not self._closed:
                self._awake.clear()


class Runtime:
    """What all sandboxes of a process share: engine, interpreter, linker, ticker, code of UDFs.

    Make it after the process has forked and close it after every sandbox is closed.
    """

    def __init__(self, artefact: Path) -> None:
        """`artefact` is native code from our own cache: loading it is running it."""
        self.engine = Engine(engine_config())
        self.component = Component.deserialize_file(self.engine, str(artefact))
        self.line = Line()
        self.linker = build_linker(self.engine, self.component, self.line)
        self.exports = {name: self._export(name) for name in ("compile", "load", "run")}
        self.codes = Codes()
        self.ticker = Ticker(self.engine)

    @classmethod
    def open(cls, progress: Progress | None = None, cache_dir: Path | None = None) -> Runtime:
        """Takes the interpreter from the cache, or builds it first (some 15 s, once a machine).

        `progress(phase, fraction)` is told how far that is. Raises `BuildError`, and
        `DefinitionError` for a cache folder that cannot be used.
        """
        return cls(build(progress, cache_dir))

    def close(self) -> None:
        """Frees the engine. No sandbox may be alive."""
        self.ticker.close()
        self.linker.close()
        for index in self.exports.values():
            index.close()
        self.component.close()
        self.engine.close()

    def _export(self, name: str) -> ExportIndex:
        index = self.component.get_export_index(name)
        if index is None:
            raise BuildError(f"the built sandbox has no function {name!r}; clear the cache folder")
        return index
