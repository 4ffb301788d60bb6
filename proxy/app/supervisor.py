"""The parent of the workers: gunicorn's arbiter, which forks, watches, replaces and ends them.

It serves nothing and has no event loop. SIGTERM and SIGINT end all workers once what they have in
flight is done; SIGHUP reads the settings again and replaces the workers one generation by the next,
on the same sockets. A worker that dies is replaced, after a pause where several died in a row.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from pipelines.cache import cache_folder
from pipelines.errors import DefinitionError
from proxy.app.arbiter import ProxyArbiter
from proxy.app.own_backend import refuse_own_backend
from proxy.app.plan import Plan
from proxy.app.worker import HEARTBEAT_SECONDS, ProxyWorker
from proxy.config.settings import Address, Settings, SettingsError
from proxy.server.listener import BACKLOG, listen_on
from proxy.server.server import ProxyServer
from proxy.telemetry.aggregate import fold, salvage
from proxy.workers.board import SLOTS
from proxy.workers.cores import usable_cores

_log = structlog.get_logger("proxy.workers")

# A worker whose event loop stood still for so long is killed and replaced.
SILENCE_SECONDS: Final = 60
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0
# Deaths longer ago than this are forgotten.
MEMORY_SECONDS: Final = 60.0
# What a worker needs besides its requests' own time to end.
_GRACE_SECONDS: Final = 20


def supervise(
    read: Callable[[], Settings],
    set_logs: Callable[[Settings], None],
    settings: Settings,
    say_ready: Callable[[ProxyServer], None],
) -> None:
    """Serve with worker processes until told to stop; does not return but raises SystemExit.

    `read` gives the settings anew for a reload, `set_logs` puts in force what they say of logs.
    Raises ListenError, and OSError where there is no place for temporary files.
    """
    listeners = [listen_on(settings.listen)]
    if settings.admin_listen is not None:
        listeners.append(listen_on(settings.admin_listen))
    folder = Path(tempfile.mkdtemp(prefix="querymill-workers-"))
    supervisor = os.getpid()
    plan = Plan(settings=settings, count=_count(settings), folder=folder, say_ready=say_ready)
    try:
        app = _Supervisor(plan, read, set_logs, listeners)
        ProxyArbiter(app, read_again=app.read_again, ending=plan.board.end).run()
    finally:
        # A worker leaves by the same way.
        if os.getpid() == supervisor:
            shutil.rmtree(folder, ignore_errors=True)


def _count(settings: Settings) -> int:
    return settings.workers or usable_cores()


class _Supervisor(BaseApplication):
    """The arbiter's configuration, and what it calls as workers come and go."""

    def __init__(
        self,
        plan: Plan,
        read: Callable[[], Settings],
        set_logs: Callable[[Settings], None],
        listeners: list[socket.socket],
    ) -> None:
        self._plan = plan
        self._read = read
        self._set_logs = set_logs
        self._listeners = listeners
        # A reload does not change them, whatever it says of the settings.
        self._listening = {
            name: Address(*listener.getsockname()[:2])
            for name, listener in zip(("listen", "admin_listen"), listeners, strict=False)
        }
        self._bound = [f"fd://{listener.detach()}" for listener in listeners]
        self._slots = deque(range(SLOTS))
        self._deaths: deque[float] = deque(maxlen=16)
        super().__init__()

    def load_config(self) -> None:
        """Set the arbiter up, by the settings in force."""
        for name, value in {
            "bind": self._bound,
            "backlog": BACKLOG,
            "workers": self._plan.count,
            "worker_class": ProxyWorker,
            "logger_class": _Quiet,
            "timeout": SILENCE_SECONDS,
            "graceful_timeout": int(self._plan.settings.shutdown_timeout) + _GRACE_SECONDS,
            "control_socket_disable": True,
            "proc_name": "querymill",
            "pre_fork": self._before_fork,
            "child_exit": self._after_exit,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """There is no WSGI application."""
        return None

    def read_again(self) -> bool:
        """Read the settings for a reload, and say whether there is something to reload with."""
        try:
            settings = self._read()
            cache_folder(settings.cache_dir)
            refuse_own_backend(settings, self._listening)
        except (SettingsError, DefinitionError, OSError) as error:
            _log.error(
                "the settings cannot be used; the old ones stay, and so do the workers",
                reason=str(error),
            )
            return False
        self._set_logs(settings)
        old = self._plan.settings
        if (settings.listen, settings.admin_listen) != (old.listen, old.admin_listen):
            _log.warning("listen and admin_listen change with a restart, not with a reload")
        self._plan.settings, self._plan.count = settings, _count(settings)
        self._plan.board.next_generation()
        self._deaths.clear()
        _log.info("replacing the workers", workers=self._plan.count)
        return True

    def _before_fork(self, arbiter: Arbiter, worker: ProxyWorker) -> None:
        worker.plan = self._plan
        worker.slot = self._slots.popleft()
        worker.generation = self._plan.board.generation
        worker.delay = self._pause()
        self._plan.board.clear(worker.slot)

    def _after_exit(self, arbiter: Arbiter, worker: ProxyWorker) -> None:
        self._slots.append(worker.slot)
        self._plan.board.clear(worker.slot)
        if arbiter.LISTENERS and worker.generation == self._plan.board.generation:
            _log.error("a worker died and is replaced", pid=worker.pid)
            self._deaths.append(time.monotonic())
        (self._plan.folder / f"{worker.pid}.sock").unlink(missing_ok=True)
        salvage(self._plan.folder, f"{worker.pid}")
        fold(self._plan.folder)

    def _pause(self) -> float:
        """Seconds a new worker waits: none after one death, then twice as long each time."""
        since = time.monotonic() - MEMORY_SECONDS
        recent = sum(death > since for death in self._deaths)
        return min(FIRST_PAUSE * 2 ** (recent - 2), LONGEST_PAUSE) if recent > 1 else 0.0


class _Quiet(Logger):
    """The arbiter's own lines go where ours go."""

    def setup(self, cfg: Any) -> None:
        """Leave handlers and levels to the root logger."""
        self.cfg = cfg
        self.error_log.propagate = True
        self.error_log.handlers.clear()


assert HEARTBEAT_SECONDS * 2 < SILENCE_SECONDS
