"""How long is measured: everything is bounded in count and in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run's bounds.

    rounds: how often each case is measured; the warm-up comes before and is thrown away.
    connections: each case is measured at each of these.
    requests, seconds: a case ends at whichever comes first, in each round.
    stage_rounds, stage_runs, stage_seconds: the same for a stage.
    """

    rounds: int
    connections: tuple[int, ...]
    requests: int
    seconds: float
    stage_rounds: int
    stage_runs: int
    stage_seconds: float


FULL: Final = Plan(
    rounds=7,
    connections=(1, 8),
    requests=3000,
    seconds=1.5,
    stage_rounds=5,
    stage_runs=1000,
    stage_seconds=0.4,
)
QUICK: Final = Plan(
    rounds=2,
    connections=(1, 8),
    requests=200,
    seconds=0.5,
    stage_rounds=2,
    stage_runs=30,
    stage_seconds=0.2,
)
