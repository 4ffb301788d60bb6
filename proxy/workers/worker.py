"""One worker process: an event loop, an engine and sandboxes of its own, on the shared sockets."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from types import FrameType
from typing import Any, Final, cast

import structlog
import uvloop
from gunicorn.workers.base import Worker

from pipelines.wasm import Runtime
from proxy.assembly import open_proxy
from proxy.place import Place
from proxy.server import ProxyServer
from proxy.tasks import Tasks
from proxy.workers.board import Notices
from proxy.workers.plan import Plan
from proxy.workers.share import Share

_log = structlog.get_logger("proxy.workers")

HEARTBEAT_SECONDS: Final = 1.0
# How long an old worker goes on taking connections while its successors start.
_HANDOVER_SECONDS: Final = 10.0
# How long idle clients may keep their connections then.
_RETIRE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.02
# A sandbox's thread keeps the interpreter's lock for this long before the event loop gets it.
_SWITCH_SECONDS: Final = 0.0005
_COLLECT_AFTER: Final = 10_000


class ProxyWorker(Worker):
    """What the supervisor forks. `plan` and `slot` are set on it before the fork."""

    plan: Plan
    slot: int
    generation: int
    delay: float

    def init_signals(self) -> None:
        """Any request to end is one to finish what is in flight; the loop handles them."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        # Until the loop runs; a reload is the supervisor's affair.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._told_early)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH):
            signal.signal(number, signal.SIG_IGN)

    def load_wsgi(self) -> None:
        """There is no WSGI application; `run` serves."""

    def run(self) -> None:
        """Serve until told to end."""
        if self.delay:
            # It replaces one that died, and so did the one before.
            time.sleep(self.delay)
        runtime = Runtime.open(cache_dir=self.plan.settings.cache_dir)
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve(runtime))
        finally:
            self.plan.board.clear(self.slot)
            runtime.close()

    async def _serve(self, runtime: Runtime) -> None:
        ending = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            loop.add_signal_handler(number, ending.set)
        if not self.alive:
            return
        tasks = Tasks()
        tasks.start("heartbeat", self._beat())
        place = Place(
            notices=Notices(self.plan.board, self.slot),
            share=Share(self.plan.board, self.slot, self.generation),
            folder=self.plan.folder,
            # gunicorn wraps them.
            listeners=tuple(cast("Any", wrapper).sock for wrapper in self.sockets),
        )
        async with open_proxy(self.plan.settings, runtime, place) as server:
            _calm_collector()
            self.plan.board.set_ready(self.slot, self.generation)
            if self.age == self.plan.count:
                await self._say_ready(server)
            await ending.wait()
            await self._hand_over(server)
        await tasks.close()

    async def _beat(self) -> None:
        while True:
            self.notify()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _say_ready(self, server: ProxyServer) -> None:
        """The last of the first workers waits for the others and tells that all serve."""
        while self.plan.board.ready(self.generation) < self.plan.count and self.alive:  # noqa: ASYNC110 - other processes do
            await asyncio.sleep(_LOOK_SECONDS)
        self.plan.say_ready(server)

    async def _hand_over(self, server: ProxyServer) -> None:
        """In a reload, serve until a new worker does, and then until the clients have left."""
        board, generation = self.plan.board, self.generation
        if board.generation == generation:
            return
        try:
            async with asyncio.timeout(_HANDOVER_SECONDS):
                while not board.ready(generation + 1):  # noqa: ASYNC110 - another process does
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            _log.warning("no new worker is ready; this one ends all the same")
        await server.retire(_RETIRE_SECONDS)

    def _told_early(self, number: int, frame: FrameType | None) -> None:
        self.alive = False

    def handle_abort(self, sig: Any, frame: Any) -> None:
        """The supervisor has heard nothing for too long."""
        sys.exit(1)


def _calm_collector() -> None:
    """Leave what lives as long as the process out of collections, and make them rarer.

    A request's objects go with their last reference; walking modules and tables for them is waste.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
