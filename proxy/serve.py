"""Serving until told to stop: the sandbox runtime, the proxy, and the signals that end them."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pipelines.wasm import Runtime
from proxy.assembly import open_proxy
from proxy.server import ProxyServer
from proxy.settings import Settings

Ready = Callable[[ProxyServer], None]

SWITCH_SECONDS = 0.0005


def run(settings: Settings, console: Console, ready: Ready) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is in flight; `ready` is told once listening.

    Raises ListenError, BuildError, and DefinitionError for a cache folder that cannot be used.
    For the main thread, whose signal handlers it takes.
    """
    runtime = open_runtime(settings, console)
    # A sandbox's thread keeps the interpreter's lock for this long before the event loop gets it.
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, runtime, ready))
    finally:
        runtime.close()


async def _serve(settings: Settings, runtime: Runtime, ready: Ready) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with open_proxy(settings, runtime) as server:
        ready(server)
        await stopped.wait()


def open_runtime(settings: Settings, console: Console) -> Runtime:
    """Open the sandbox runtime, telling how far it is where it has to be built first.

    A terminal gets a bar, anything else a line a step. Raises BuildError and DefinitionError.
    """
    if not console.is_terminal:
        return Runtime.open(_line_a_step(console), settings.cache_dir)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bars:
        bar = bars.add_task("sandbox", total=1.0)

        def progress(phase: str, fraction: float) -> None:
            bars.update(bar, description=f"sandbox: {phase}", completed=fraction)

        return Runtime.open(progress, settings.cache_dir)


def _line_a_step(console: Console) -> Callable[[str, float], None]:
    told: set[str] = set()

    def progress(phase: str, fraction: float) -> None:
        # A step that is told only as done was not needed: its result is in the cache.
        if phase not in told and fraction < 1:
            told.add(phase)
            console.print(phase, highlight=False, soft_wrap=True)

    return progress
