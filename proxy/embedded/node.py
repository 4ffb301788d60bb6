"""A running node, seen from the caller: its guardian's other end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from proxy.embedded.account import Account
from proxy.embedded.errors import EmbeddedError
from proxy.embedded.launch import Command
from proxy.embedded.layout import Layout

_GUARDIAN = Path(__file__).with_name("guardian.py")
_TAIL_BYTES = 64 * 1024


class Node:
    """Owns one node process, by way of its guardian, from the constructor until `stop`.

    `ended` is set when the node has ended for whatever reason. Safe to use from any thread.
    """

    def __init__(self, command: Command, layout: Layout, account: Account, grace: float) -> None:
        self.ended = threading.Event()
        self.exit_code: int | None = None
        self._layout = layout
        self._grace = grace
        self._stopping = threading.Lock()
        self._stopped = False
        order: dict[str, object] = {
            "argv": command.argv,
            "env": command.env,
            "cwd": str(command.cwd),
            "uid": account.uid,
            "gid": account.gid,
            "groups": account.groups,
            "grace": grace,
            "caller": os.getpid(),
            "remove": [str(layout.scratch)],
        }
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        console = os.open(layout.console, flags, 0o644)
        try:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", _GUARDIAN],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=console,
                bufsize=0,
                start_new_session=True,
            )
        finally:
            os.close(console)
        assert self._guardian.stdin is not None
        assert self._guardian.stdout is not None
        self._input, self._output = self._guardian.stdin, self._guardian.stdout
        self._listener = threading.Thread(target=self._listen, name="backend-node", daemon=True)
        try:
            self.pid = self._order(order)
        except BaseException:
            self.stop()
            raise
        self._listener.start()

    def stop(self) -> None:
        """End the node with its children and remove its scratch folder; again is harmless.

        Interrupted, it leaves the rest to the guardian, who goes on alone.
        """
        with self._stopping:
            if self._stopped:
                return
            self._input.close()
            try:
                self._guardian.wait(self._grace + 20)
            except subprocess.TimeoutExpired:
                self._guardian.kill()
                self._guardian.wait()
            if self._listener.ident is not None:
                self._listener.join()
            self._output.close()
            self._layout.remove()
            self._stopped = True

    def tail(self, lines: int = 25) -> str:
        """The last lines the node wrote, without stack frames; empty once they are removed."""
        try:
            with self._layout.console.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        reported = [
            line for line in text.splitlines() if not line.lstrip().startswith(("at ", "..."))
        ]
        return "\n".join(reported[-lines:])

    def _order(self, order: dict[str, object]) -> int:
        message = memoryview(json.dumps(order).encode() + b"\n")
        with suppress(BrokenPipeError):
            while message:
                message = message[self._input.write(message) :]
        line = self._output.readline()
        event = json.loads(line) if line else {"failed": self.tail() or "its guardian ended"}
        if "failed" in event:
            raise EmbeddedError(
                f"{order['cwd']}: the backend cannot be executed: {event['failed']}\n"
                "check that this user may start processes as another user, and the Java chosen"
            )
        pid = event["pid"]
        assert isinstance(pid, int)
        return pid

    def _listen(self) -> None:
        for line in self._output:
            self.exit_code = json.loads(line)["exit"]
            self.ended.set()
        # The guardian ends the group before it goes; one that was killed could not.
        if self._guardian.wait() != 0:
            end_abandoned(self.pid)
        self.ended.set()


def end_abandoned(group: int) -> None:
    """Kill what lives in a process group, and wait until nothing does."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _living(group) and time.monotonic() < deadline:
        time.sleep(0.02)


def _living(group: int) -> bool:
    """Zombies do not count: nobody may be there to reap them."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
