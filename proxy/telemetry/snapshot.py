"""What a proxy counts, in a form that can be added up over processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pipelines.execution.breaker import BreakerFigure
from pipelines.execution.stats import Stats


@dataclass(slots=True)
class Figures:
    """Counts since the start, by what they are of, and the state of things now.

    `requests` are by operation and class of status (``2xx``), `refused` by reason, `sandboxes` by
    state or event, `tasks` those of the event loop. `breakers` has for each pipeline the state in
    every worker.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    conflicts: int = 0
    sandboxes: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    waiting: int = 0
    tasks: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    breakers: dict[str, list[BreakerFigure]] = field(default_factory=dict)
    pipelines: Stats = field(default_factory=Stats)

    def add(self, other: Figures) -> None:
        """Add another process's figures."""
        self.requests.update(other.requests)
        self.conflicts += other.conflicts
        self.sandboxes.update(other.sandboxes)
        self.in_flight += other.in_flight
        self.waiting += other.waiting
        self.tasks += other.tasks
        self.refused.update(other.refused)
        for name, states in other.breakers.items():
            self.breakers.setdefault(name, []).extend(states)
        self.pipelines.merge(dict(other.pipelines.items()))

    def forget_state(self) -> None:
        """Leave what was counted of a process that has ended, not the state it was in."""
        self.sandboxes.clear()
        self.in_flight = self.waiting = self.tasks = 0
        self.breakers.clear()


Gather = Callable[[], Awaitable[Figures]]
"""Adds up the figures of all workers."""
