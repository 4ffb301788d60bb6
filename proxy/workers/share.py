"""How many connections each worker holds, and whose turn it is to take the next one.

Clients keep connections for as long as they live. Of workers that wait at one socket the system
wakes any, and one that is awake is quicker than one that sleeps, so that of 32 connections that
came at once one of two workers had all once in fifty times.
"""

from __future__ import annotations

from proxy.workers.board import Board


class Share:
    """One worker's connections, told to the others of its host by the board."""

    def __init__(self, board: Board | None = None, slot: int = 0, generation: int = 0) -> None:
        self._board = board or Board()
        self._slot = slot
        self._generation = generation
        self._held = 0

    @property
    def is_ahead(self) -> bool:
        """Whether another worker that serves holds fewer connections than this one."""
        fewest = self._board.fewest(self._generation, besides=self._slot)
        return fewest is not None and fewest < self._held

    def add(self) -> None:
        """One connection more."""
        self._hold(self._held + 1)

    def remove(self) -> None:
        """One connection less."""
        self._hold(self._held - 1)

    def _hold(self, count: int) -> None:
        self._held = count
        self._board.hold(self._slot, count)
