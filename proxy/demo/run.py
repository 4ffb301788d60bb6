"""The demo from start to end: what is started in which order, shown, and stopped again."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop
from rich.console import Console

from pipelines.wasm import Runtime
from proxy.app.assembly import open_proxy
from proxy.app.serve import open_runtime
from proxy.config.settings import Settings, load
from proxy.demo.material import EXAMPLES, Material, load_material
from proxy.demo.measured import write_measured
from proxy.demo.response import Shown
from proxy.demo.screen import Screen
from proxy.demo.session import Session
from proxy.embedded import ClusterOptions, EmbeddedCluster, exit_on_signals, progress_on
from proxy.embedded.ready import HOST, require_free_port

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# How long a stop may have to wait for the thread that watches the backend.
_WATCH_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What can be chosen about the demo.

    port: of OpenSearch, on 127.0.0.1; 0 takes a free one. listen: HOST:PORT of the proxy.
    once: end after the showcases. write: put them into the examples' README files too.
    """

    port: int = 9200
    listen: str = "127.0.0.1:9280"
    once: bool = False
    write: bool = False
    examples: Path = EXAMPLES


def run_demo(options: DemoOptions) -> bool:
    """Run the demo on standard output; whether every showcase did what it should.

    Raises DemoError, EmbeddedError, SettingsError, and what `proxy.app.serve.run` raises;
    KeyboardInterrupt, SystemExit or CancelledError when told to stop before the showcases are
    done. Nothing is left running. For the main thread, whose signal handlers it takes.
    """
    material = load_material(options.examples)
    address = load({"listen": options.listen}, {}).listen
    if address.host == HOST:
        # Found now, not after the backend has taken its time to start.
        require_free_port(address.port, "the proxy's port")
    cluster = ClusterOptions(port=options.port)
    backend = EmbeddedCluster(cluster, progress=progress_on(sys.stdout))
    console = Console(file=sys.stdout)
    screen = Screen(console)
    with exit_on_signals(), backend:
        settings = load({"backend": (backend.url,), "listen": options.listen}, {})
        runtime = open_runtime(settings, sys.stdout)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_demo(options, material, screen, backend, settings, runtime))
        finally:
            runtime.close()


async def _demo(
    options: DemoOptions,
    material: Material,
    screen: Screen,
    backend: EmbeddedCluster,
    settings: Settings,
    runtime: Runtime,
) -> bool:
    _cancel_on_signals()
    async with open_proxy(settings, runtime) as server:
        url = f"http://{server.address}"
        screen.say(f"the proxy is on {url}, in front of OpenSearch on {backend.url}")
        shown = await play(url, material, screen)
        if options.write:
            write_measured(material.folder, shown)
        if not options.once:
            screen.hints(url, backend.url)
            await _stay(backend)
    return not any(each.faults for each in shown)


async def play(url: str, material: Material, screen: Screen) -> Sequence[Shown]:
    """Load the material through the proxy at `url` and run every showcase. Raises DemoError."""
    async with Session(url) as session:
        with screen.step(f"indexing {len(material.products):,} products through the proxy"):
            await session.index(material)
        for example in material.examples:
            kind = example.definition["type"]
            with screen.step(f"uploading {example.name}, a {kind} pipeline, and its UDF"):
                await session.upload(example)
        with screen.step(f"running {len(material.showcases)} showcases, each before and after"):
            shown = [await session.show(showcase) for showcase in material.showcases]
    screen.showcases(shown)
    return shown


async def _stay(backend: EmbeddedCluster) -> None:
    """Return when told to stop. Raises EmbeddedError when the backend ends by itself."""
    try:
        while not await asyncio.to_thread(backend.wait, _WATCH_SECONDS):
            continue
    except asyncio.CancelledError:
        # To be stopped is how this ends well.
        _this_task().uncancel()


def _cancel_on_signals() -> None:
    """From here on a signal ends this task, and every `with` block on the way out."""
    task, loop = _this_task(), asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, task.cancel)


def _this_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task
