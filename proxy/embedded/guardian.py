"""A process between the caller and the node: when the caller is gone, it ends the node.

It runs by its path with the standard library alone. Its first line of input is the command as
JSON; the end of its input, a signal, or the death of the process named there ends the node's
whole process group and removes its scratch folder. It tells `{"pid": n}`, `{"exit": code}` or
`{"failed": reason}`, one JSON object a line.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
_STEP = 0.02
# How often one without a handle on its caller looks whether that is still there.
_LOOK_MS = 500


def main() -> int:
    """Start the node, watch over it, end it. Returns the guardian's own exit code."""
    os.chdir("/")
    wake, waker = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda sign, frame: asked.append(sign))
    # A terminal's Ctrl-C and hang-up are the caller's to answer; its end is what counts here.
    # A handler, unlike SIG_IGN, is not inherited by the node.
    for sign in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, lambda sign, frame: None)
    with open(0, "rb", buffering=0, closefd=False) as source:
        line = source.readline()
    if not line:
        return 1
    order = json.loads(line)
    try:
        return _guard(order, wake, asked)
    finally:
        for folder in order["remove"]:
            shutil.rmtree(folder, ignore_errors=True)


def _guard(order: dict[str, Any], wake: int, asked: list[int]) -> int:
    # Orphans of the node come to this process, which reaps them whatever the machine's init does.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        node = subprocess.Popen(
            order["argv"],
            env=order["env"],
            cwd=order["cwd"],
            user=order["uid"],
            group=order["gid"],
            extra_groups=order["groups"],
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=2,
            start_new_session=True,
        )
    except OSError as error:
        _report({"failed": str(error)})
        return 1
    _report({"pid": node.pid})
    _watch(node, order["caller"], wake, asked)
    _end_group(node.pid, order["grace"])
    return 0


def _watch(
    node: subprocess.Popen[bytes],
    caller: int,
    wake: int,
    asked: list[int],
    handle_of: Callable[[int], int | None] | None = None,
) -> None:
    """Return when the node must end; tell of its end before that and go on.

    `handle_of` gives what is readable once a process is dead, where the system has that.
    """
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(wake, select.POLLIN)
    # A forked child of the caller may hold the pipe open after the caller itself has died.
    watched = (handle_of or _process_handle)(caller)
    if watched is not None:
        poll.register(watched, select.POLLIN)
    reported = False
    while not asked:
        if watched is None and os.getppid() != caller:
            return
        for source, _ in poll.poll(_LOOK_MS if watched is None else None):
            if source == wake:
                os.read(wake, 4096)
                if not reported and (code := _exit_code(node.pid)) is not None:
                    reported = True
                    _report({"exit": code})
            elif source == watched or not os.read(0, 4096):
                return


def _end_group(group: int, grace: float) -> None:
    """End a process group: ask it, and kill what is left after `grace` seconds.

    Returns when no process is left in it; children that ended are reaped on the way.
    """
    for sign, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        try:
            os.killpg(group, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            _reap()
            if not _alive(group):
                return
            time.sleep(_STEP)


def _process_handle(pid: int) -> int | None:
    """Something that becomes readable when a process dies; None where the kernel, or Python as it
    was built, has no such.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _exit_code(pid: int) -> int | None:
    """How a child ended, None while it lives; negative for a signal.

    The child stays a zombie, so that its number, which is its group's, is not given to others.
    """
    result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if result is None:
        return None
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


def _reap() -> None:
    """Let go of every child that ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _report(event: dict[str, Any]) -> None:
    try:
        os.write(1, json.dumps(event).encode() + b"\n")
    except BrokenPipeError:
        return


if __name__ == "__main__":
    sys.exit(main())
