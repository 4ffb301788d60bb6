"""The log of one run: what the UDF wrote, up to its limit."""

from __future__ import annotations


class RunLog:
    """Takes lines from the sandbox's thread; others may read `lines` at any time."""

    def __init__(self, limit: int) -> None:
        self.lines: list[str] = []
        self._limit = limit
        self._left = limit

    def clear(self) -> None:
        """Begins anew, for a run that is begun again."""
        self.lines, self._left = [], self._limit

    def write(self, line: str) -> None:
        """Keeps `line`, or, once, a note that there was no room for it."""
        if self._left < 0:
            return
        # every line counts one byte at least, or empty ones would be free
        if len(line) > self._left:
            self._left = -1
        else:
            self._left -= len(line.encode("utf-8", "replace")) + 1
        if self._left < 0:
            line = f"[the log is full: its limit is {self._limit} bytes a run]"
        self.lines.append(line)
