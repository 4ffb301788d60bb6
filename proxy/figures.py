"""What a proxy counts, in a form that can be added up over processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pipelines.stats import Stats


@dataclass(slots=True)
class Figures:
    """Counts since the start, by what they are of, and the state of the sandboxes now.

    `requests` are by operation and class of status (``2xx``), `sandboxes` by state or event.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    conflicts: int = 0
    sandboxes: Counter[str] = field(default_factory=Counter)
    pipelines: Stats = field(default_factory=Stats)

    def add(self, other: Figures) -> None:
        """Add another process's figures."""
        self.requests.update(other.requests)
        self.conflicts += other.conflicts
        self.sandboxes.update(other.sandboxes)
        self.pipelines.merge(dict(other.pipelines.items()))


Gather = Callable[[], Awaitable[Figures]]
"""Adds up the figures of all workers."""
