"""The embedded backend: one real node, started, watched and stopped by this process."""

from __future__ import annotations

import time
from pathlib import Path

from proxy.embedded.errors import EmbeddedError
from proxy.embedded.installation import Installation, prepare
from proxy.embedded.launch import command
from proxy.embedded.layout import Layout, lay_out
from proxy.embedded.node import Node
from proxy.embedded.options import ClusterOptions
from proxy.embedded.progress import Advance, Progress, Silent
from proxy.embedded.ready import HOST, READY, bound_port, health, require_free_port

_POLL = 0.1


class EmbeddedCluster:
    """Owns one node from `start` (or `with`) until `stop`; may be started again after that.

    Its calls block, so an event loop runs them in a thread. However this process ends, killed
    included, the node, its children and its temporary folder go with it.
    """

    def __init__(
        self, options: ClusterOptions | None = None, *, progress: Progress | None = None
    ) -> None:
        self.options = options or ClusterOptions()
        self._progress = progress or Silent()
        self._node: Node | None = None
        self._layout: Layout | None = None
        self._port = 0
        self._title = ""
        self._stopped = False

    @property
    def url(self) -> str:
        """Where the node answers, without a slash at the end."""
        self._running()
        return f"http://{HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of the node, which leads the process group of all its children."""
        return self._running().pid

    @property
    def log_path(self) -> Path:
        """What the node writes; removed at the stop unless a data folder was named."""
        self._running()
        assert self._layout is not None
        return self._layout.console

    def start(self) -> None:
        """Prepare, start, and return when the cluster answers and is not red.

        Raises EmbeddedError; then, and on any other exception, nothing is left running.
        """
        if self._node is not None:
            raise EmbeddedError(f"{self._title} is already running: stop it first")
        require_free_port(self.options.port, "port")
        require_free_port(self.options.transport_port or 0, "transport port")
        installation = prepare(self.options, self._progress)
        self._title = installation.title
        self._stopped = False
        try:
            self._launch(installation)
            self._until_ready(installation)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the node and its children and remove what is temporary; again is harmless."""
        self._stopped = True
        node, self._node = self._node, None
        if node is not None:
            node.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the node has ended: True after `stop`, False when `timeout` (s) is over.

        Raises EmbeddedError with the last lines of its log when the node ended by itself.
        """
        node = self._node
        if node is None:
            return True
        if not node.ended.wait(timeout):
            return False
        if self._stopped:
            return True
        raise self._ended("has ended by itself", node)

    def __enter__(self) -> EmbeddedCluster:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _running(self) -> Node:
        if self._node is None:
            raise EmbeddedError("the embedded backend is not running: call start() first")
        return self._node

    def _launch(self, installation: Installation) -> None:
        layout = lay_out(installation, self.options.data_dir)
        self._layout = layout
        try:
            started = command(installation, layout, self.options)
            self._node = Node(started, layout, installation.account, self.options.stop_timeout)
        except BaseException:
            layout.remove()
            raise

    def _until_ready(self, installation: Installation) -> None:
        usual = installation.distribution.usual_start
        node, layout = self._running(), self._layout
        assert layout is not None
        deadline = time.monotonic() + self.options.start_timeout
        with self._progress.bar(f"starting {self._title}", usual, "seconds") as advance:
            self._poll(node, layout, deadline, advance)

    def _poll(self, node: Node, layout: Layout, deadline: float, advance: Advance) -> None:
        state, seen = "no answer on any port yet", time.monotonic()
        while (now := time.monotonic()) < deadline:
            advance(now - seen)
            seen = now
            port = bound_port(layout.http_ports)
            if port is not None:
                self._port = port
                state = health(port, min(5.0, deadline - now + _POLL))
                if state in READY:
                    return
            if node.ended.wait(_POLL):
                raise self._ended("ended while starting", node)
        raise EmbeddedError(
            f"{self._title} was not ready after {self.options.start_timeout:g} s "
            f"(last seen: {state}). Its last lines:\n{node.tail()}\n"
            "give it more time or memory, or see what else the machine is doing"
        )

    def _ended(self, what: str, node: Node) -> EmbeddedError:
        code = "its guardian was killed" if node.exit_code is None else _reported(node.exit_code)
        kept = ""
        if self._layout is not None and self.options.data_dir is not None:
            kept = f"\nthe whole log is in {self._layout.console}"
        return EmbeddedError(
            f"{self._title} {what} ({code}). Its last lines:\n{node.tail()}{kept}\n"
            "mend what they name; with too little memory, choose a smaller heap"
        )


def _reported(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
