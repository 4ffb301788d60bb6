"""Where log lines go. A reader that does not keep up loses lines, and holds up nobody."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TextIO

_Write = Callable[[bytes], int]

# By the file they write to, so that a reload opens none anew.
_writes: Final[dict[tuple[int, int], _Write]] = {}


class Outlet:
    """Writes lines to `stream`, each in one piece, and counts those that found no room.

    Into a pipe or socket, whose reader may have stopped reading, it never waits. What cannot be
    written is lost: no request fails of it.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._write = _write_of(stream)
        self._lock = threading.Lock()
        # What there was no room for of the line that was written last.
        self._rest = b""
        self._lost = 0

    def put(self, line: str) -> int:
        """Write a line. Gives how many were lost before it, if it was written."""
        # A full disk, a reader that is gone, a stream that is closed.
        with suppress(OSError, ValueError), self._lock:
            if self._write is None:
                self._put_text(line)
            elif not self._fits(f"{line}\n".encode("utf-8", "backslashreplace")):
                self._lost += 1
            else:
                lost, self._lost = self._lost, 0
                return lost
        return 0

    def _put_text(self, line: str) -> None:
        try:
            self.stream.write(line + "\n")
        except UnicodeEncodeError:
            self.stream.write(line.encode("ascii", "backslashreplace").decode() + "\n")
        self.stream.flush()

    def _fits(self, data: bytes) -> bool:
        """Write what there is room for; False where nothing of `data` was written."""
        assert self._write is not None
        try:
            while self._rest:
                self._rest = self._rest[self._write(self._rest) :]
            self._rest = data[self._write(data) :]
        except BlockingIOError:
            return False
        return True


def _write_of(stream: TextIO) -> _Write | None:
    """Writes without waiting; None for files and terminals, and where the system has no such way.

    The mark of a file that is not to be waited for is shared by all who have it open, so that a
    pipe is opened once more.
    """
    try:
        number = stream.fileno()
        found = os.fstat(number)
        key = (found.st_dev, found.st_ino)
        if key not in _writes:
            if stat.S_ISFIFO(found.st_mode):
                own = os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK)
                _writes[key] = partial(os.write, own)
            elif stat.S_ISSOCK(found.st_mode):
                _writes[key] = partial(_send, number)
    except (OSError, ValueError, AttributeError):
        return None
    return _writes.get(key)


def _send(number: int, data: bytes) -> int:
    peer = socket.socket(fileno=number)
    try:
        return peer.send(data, socket.MSG_DONTWAIT)
    finally:
        # It is not ours to close.
        peer.detach()
