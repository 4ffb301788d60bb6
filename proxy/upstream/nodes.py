"""The backend nodes: whose turn it is, and which of them are taken for dead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from proxy.upstream.connection_pool import Pool

_log = structlog.get_logger("proxy.upstream.nodes")

FIRST_REST: Final = 1.0
LONGEST_REST: Final = 30.0


class Node:
    """One backend node and its connections."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.failures = 0
        self.dead_until = 0.0

    def mark_dead(self, now: float) -> None:
        """Leave the node out for a while, twice as long after each failure in a row."""
        if not self.failures:
            _log.warning("backend node marked dead", node=str(self.pool.origin))
        self.dead_until = now + min(FIRST_REST * 2**self.failures, LONGEST_REST)
        self.failures = min(self.failures + 1, 16)

    def mark_live(self) -> None:
        """Take the node back in, after it answered."""
        if self.failures:
            self.failures = 0
            self.dead_until = 0.0
            _log.info("backend node is back", node=str(self.pool.origin))


class Nodes:
    """Round robin over the live nodes; with none live, the one that has rested longest."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.all = tuple(nodes)
        self._next = 0

    def pick(self, now: float) -> Node:
        """Return the node for the next request; `now` is the monotonic time."""
        count = len(self.all)
        if count == 1:
            return self.all[0]
        for step in range(count):
            node = self.all[(self._next + step) % count]
            if node.dead_until <= now:
                self._next = (self._next + step + 1) % count
                return node
        return min(self.all, key=lambda node: node.dead_until)
