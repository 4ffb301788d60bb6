"""Serving until told to stop: first what can go wrong once, then the workers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pipelines.wasm import Runtime, build
from proxy.app.own_backend import refuse_own_backend
from proxy.app.supervisor import supervise
from proxy.config.settings import Settings
from proxy.server.server import ProxyServer
from proxy.workers.stop_signals import leaving_on_signals

_log = structlog.get_logger("proxy.app.serve")

Ready = Callable[[ProxyServer], None]


def run(
    read: Callable[[], Settings],
    set_logs: Callable[[Settings], None],
    console: Console,
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
        build_runtime(settings, console)
        supervise(read, set_logs, settings, ready)


def open_runtime(settings: Settings, console: Console) -> Runtime:
    """Open the sandbox runtime, built first where it has to be. Raises what `build_runtime` does"""
    return Runtime(build_runtime(settings, console))


def build_runtime(settings: Settings, console: Console) -> Path:
    """Return the sandbox runtime's file, telling how far it is where it has to be built first.

    A terminal gets a bar, anything else a line a step, which is a log line where these are JSON.
    Raises BuildError and DefinitionError.
    """
    if settings.log_format == "json":
        return build(_each_step(_log.info), settings.cache_dir)
    if not console.is_terminal:
        line = partial(console.print, highlight=False, soft_wrap=True)
        return build(_each_step(line), settings.cache_dir)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
        bar = bars.add_task("sandbox", total=1.0)

        def progress(phase: str, fraction: float) -> None:
            bars.update(bar, description=f"sandbox: {phase}", completed=fraction)

        return build(progress, settings.cache_dir)


def _each_step(tell: Callable[[str], object]) -> Callable[[str, float], None]:
    told: set[str] = set()

    def progress(phase: str, fraction: float) -> None:
        # A step that is told only as done was not needed: its result is in the cache.
        if phase not in told and fraction < 1:
            told.add(phase)
            tell(phase)

    return progress
