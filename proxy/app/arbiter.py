"""gunicorn's arbiter, in which no signal is lost and none has to wait."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from gunicorn.arbiter import Arbiter

from proxy.workers.stop_signals import STOPS

# What a worker is told. A reload is the supervisor's affair, and SIGABRT comes much later.
HELD_BACK: Final = frozenset(STOPS)
_LOOK_SECONDS: Final = 0.02


class ProxyArbiter(Arbiter):
    """Forks, watches, replaces and ends the workers.

    `read_again` reads the settings for a reload, and says whether the workers are to be replaced.
    `ending` is called before the workers are told to end.
    """

    def __init__(
        self, app: Any, *, read_again: Callable[[], bool], ending: Callable[[], None]
    ) -> None:
        self._read_again = read_again
        self._ending = ending
        self._told_to_stop = False
        super().__init__(app)

    def signal(self, sig: int, frame: FrameType | None) -> None:
        """Note a signal, for the main loop and for what would hold that up."""
        if sig in STOPS:
            self._told_to_stop = True
        super().signal(sig, frame)

    def spawn_worker(self) -> int:
        """Fork a worker, which gets no signal before it can do what that says."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        try:
            return int(super().spawn_worker())
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)

    def spawn_workers(self) -> None:
        """Fork the workers that are missing."""
        self._spawn(self.num_workers - len(self.WORKERS))

    def reload(self) -> None:
        """Replace the workers if there are settings to do it with, and see the old ones off.

        They are told once: a second reload while they end has to wait for them.
        """
        if not self._read_again():
            return
        self.app.reload()
        self.setup(self.app)
        newest = self.worker_age
        self._spawn(self.cfg.workers)
        if self._told_to_stop:
            return
        self.manage_workers()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while (
            not self._told_to_stop
            and any(worker.age <= newest for worker in self.WORKERS.values())
            and time.monotonic() < deadline
        ):
            self.reap_workers()
            time.sleep(_LOOK_SECONDS)

    def stop(self, graceful: bool = True) -> None:
        """End all workers, and wait for them."""
        self._ending()
        super().stop(graceful)

    def _spawn(self, count: int) -> None:
        for _ in range(count):
            if self._told_to_stop:
                return
            self.spawn_worker()
