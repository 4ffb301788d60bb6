"""One worker process: an event loop, an engine and sandboxes of its own, on the shared sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Final, cast

import structlog
import uvloop
from gunicorn.workers.base import Worker

from pipelines.errors import DefinitionError
from pipelines.wasm import BuildError, Runtime
from proxy.app.arbiter import HELD_BACK
from proxy.app.assembly import open_proxy
from proxy.app.plan import Plan
from proxy.server.server import ProxyServer
from proxy.tasks import Tasks
from proxy.workers.board import Notices
from proxy.workers.context import Place
from proxy.workers.share import Share
from proxy.workers.stop_signals import STOPS

_log = structlog.get_logger("proxy.workers")

HEARTBEAT_SECONDS: Final = 1.0
# How long an old worker goes on taking connections while its successors start.
_HANDOVER_SECONDS: Final = 10.0
# How long idle clients may keep their connections then.
_RETIRE_SECONDS: Final = 5.0
# How long a worker whose supervisor is gone goes on with what is in flight.
_ALONE_SECONDS: Final = 3.0
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
    _loop: asyncio.AbstractEventLoop
    _stop: Callable[[], None] | None = None
    _alone = False

    def init_process(self) -> None:
        """Live from here on, for as long as the supervisor does."""
        self.plan.lifeline.hold(self._left_alone)
        super().init_process()

    def init_signals(self) -> None:
        """Any request to end is one to finish what is in flight; the loop handles them."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        # Until the loop runs; a reload is the supervisor's affair.
        for number in STOPS:
            signal.signal(number, self._told_early)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH):
            signal.signal(number, signal.SIG_IGN)
        # Now comes what was sent since the fork.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)

    def load_wsgi(self) -> None:
        """There is no WSGI application; `run` serves."""

    def run(self) -> None:
        """Serve until told to end."""
        if self.delay:
            # It replaces one that died, and so did the one before.
            time.sleep(self.delay)
        try:
            self._run()
        except (BuildError, DefinitionError) as error:
            _log.error("a worker cannot start", reason=str(error))
            sys.exit(1)
        except Exception:
            _log.exception("a worker failed")
            sys.exit(1)
        # All is closed. Taking the interpreter apart takes a second or two of a busy machine.
        os._exit(0)

    def _run(self) -> None:
        runtime = Runtime.open(cache_dir=self.plan.settings.cache_dir)
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                self._loop = runner.get_loop()
                runner.run(self._serve(runtime))
        finally:
            self.plan.board.clear(self.slot)
            runtime.close()
            if self._alone:
                self._clear_away()

    async def _serve(self, runtime: Runtime) -> None:
        ending = asyncio.Event()
        loop = asyncio.get_running_loop()
        starting = asyncio.current_task()

        def stop() -> None:
            ending.set()
            if starting is not None:
                # It may be waiting for a backend that does not answer.
                starting.cancel()

        for number in STOPS:
            loop.add_signal_handler(number, stop)
        self._stop = stop
        if not self.alive or self.plan.board.ending:
            return
        tasks = Tasks()
        tasks.start("heartbeat", self._beat())
        place = Place(
            notices=Notices(self.plan.board, self.slot),
            share=Share(self.plan.board, self.slot, self.generation),
            folder=self.plan.folder,
            name=self.plan.name,
            # gunicorn wraps them.
            listeners=tuple(cast("Any", wrapper).sock for wrapper in self.sockets),
        )
        try:
            async with open_proxy(self.plan.settings, runtime, place) as server:
                starting = None
                _calm_collector()
                self.plan.board.set_ready(self.slot, self.generation)
                if self.age == self.plan.count:
                    await self._say_ready(server, ending)
                await ending.wait()
                await self._hand_over(server, tasks)
        except asyncio.CancelledError:
            if not ending.is_set():
                raise
        await tasks.close()

    async def _beat(self) -> None:
        while True:
            self.notify()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _say_ready(self, server: ProxyServer, ending: asyncio.Event) -> None:
        """The last of the first workers waits for the others and tells that all serve."""
        while self.plan.board.ready(self.generation) < self.plan.count:
            if ending.is_set():
                return
            await asyncio.sleep(_LOOK_SECONDS)
        self.plan.say_ready(server)

    async def _hand_over(self, server: ProxyServer, tasks: Tasks) -> None:
        """In a reload, serve until a new worker does, and then until the clients have left."""
        board, generation = self.plan.board, self.generation
        if board.generation == generation:
            return
        deadline = time.monotonic() + _HANDOVER_SECONDS
        while not board.ending and not board.ready(generation + 1):
            if time.monotonic() > deadline:
                _log.warning("no new worker is ready; this one ends all the same")
                break
            await asyncio.sleep(_LOOK_SECONDS)
        retiring = tasks.start("retire", server.retire(_RETIRE_SECONDS))
        while not board.ending and not retiring.done():  # noqa: ASYNC110 - another process says so
            await asyncio.sleep(_LOOK_SECONDS)

    def _told_early(self, number: int, frame: FrameType | None) -> None:
        self.alive = False
        sys.exit(0)

    def _left_alone(self) -> None:
        """End, as the supervisor is gone: who starts it again needs its address."""
        self._alone = True
        try:
            _log.error("the supervisor is gone; this worker ends")
            self.plan.board.end()
            # A loop that is closed already has no more to do.
            with suppress(RuntimeError):
                if self._stop is not None:
                    self._loop.call_soon_threadsafe(self._stop)
                    time.sleep(_ALONE_SECONDS)
        finally:
            self._clear_away()
            # Whatever a thread or the event loop is at.
            os._exit(1)

    def _clear_away(self) -> None:
        shutil.rmtree(self.plan.folder, ignore_errors=True)

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
