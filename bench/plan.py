"""How long is measured: everything is bounded in count and in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run's bounds.

    warm_up, rounds: how often each case is measured, before it counts and then.
    connections: each case is measured at each of these.
    requests, seconds: a case ends at whichever comes first, in each round.
    stage_rounds, stage_runs, stage_seconds: the same for a stage.
    """

    warm_up: int
    rounds: int
    connections: tuple[int, ...]
    requests: int
    seconds: float
    stage_rounds: int
    stage_runs: int
    stage_seconds: float


FULL: Final = Plan(
    warm_up=2,
    rounds=7,
    connections=(1, 8),
    requests=3000,
    seconds=1.2,
    stage_rounds=5,
    stage_runs=1000,
    stage_seconds=0.4,
)
QUICK: Final = Plan(
    warm_up=1,
    rounds=2,
    connections=(1, 8),
    requests=200,
    seconds=0.5,
    stage_rounds=2,
    stage_runs=30,
    stage_seconds=0.2,
)
