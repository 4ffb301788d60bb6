"""Serving until told to stop: first what can go wrong once, then the workers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TextIO

import structlog

from pipelines.wasm import Runtime, build
from proxy.app.own_backend import refuse_own_backend
from proxy.app.supervisor import supervise
from proxy.config.settings import Settings
from proxy.server.server import ProxyServer
from proxy.workers.stop_signals import leaving_on_signals

_log = structlog.get_logger("proxy.app.serve")

# Goes there, and clears what it has.
_START_OF_LINE: Final = "\r\x1b[K"

Ready = Callable[[ProxyServer], None]


def run(
    read: Callable[[], Settings],
    set_logs: Callable[[Settings], None],
    stream: TextIO,
    ready: Ready,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is in flight; `ready` is told once serving.

    `read` gives the settings, and again for each SIGHUP; what they say of logs is in force with
    `set_logs`. Raises SettingsError, ListenError, BuildError, and DefinitionError for a cache
    folder that cannot be used; ends with SystemExit.
    """
    # Until the supervisor has handlers of its own.
    with leaving_on_signals(0):
        settings = read()
        set_logs(settings)
        refuse_own_backend(settings)
        # The workers find it in the cache: no engine may exist in a process that forks.
        build_runtime(settings, stream)
        supervise(read, set_logs, settings, ready)


def open_runtime(settings: Settings, stream: TextIO) -> Runtime:
    """Open the sandbox runtime, built first where it has to be. Raises what `build_runtime` does"""
    return Runtime(build_runtime(settings, stream))


def build_runtime(settings: Settings, stream: TextIO) -> Path:
    """Return the sandbox runtime's file, telling how far it is where it has to be built first.

    A terminal gets a line that goes when it is done, anything else a line a step, which is a log
    line where these are JSON. Raises BuildError and DefinitionError.
    """
    if settings.log_format == "json":
        return build(_each_step(_log.info), settings.cache_dir)
    if not stream.isatty():
        return build(_each_step(partial(_as_line, stream)), settings.cache_dir)
    try:
        return build(partial(_on_one_line, stream), settings.cache_dir)
    finally:
        stream.write(_START_OF_LINE)


def _as_line(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


def _on_one_line(stream: TextIO, phase: str, fraction: float) -> None:
    stream.write(f"{_START_OF_LINE}sandbox: {phase} {fraction:4.0%}")
    stream.flush()


def _each_step(report: Callable[[str], object]) -> Callable[[str, float], None]:
    reported: set[str] = set()

    def progress(phase: str, fraction: float) -> None:
        # A step that is told only as done was not needed: its result is in the cache.
        if phase not in reported and fraction < 1:
            reported.add(phase)
            report(phase)

    return progress
