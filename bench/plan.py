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
    starts: how often the proxy is started with a warm cache. cold: whether also without a cache.
    loop_rounds: of an endless loop beside others, whose p99 differs most from round to round.
    long_seconds: of what needs many requests: overload, an endless loop, many pipelines.
    pipelines: how many of them are run at once. clients: how many requests are in flight then.
    soak_seconds: of half load; 0 leaves that out.
    """

    warm_up: int
    rounds: int
    connections: tuple[int, ...]
    requests: int
    seconds: float
    stage_rounds: int
    stage_runs: int
    stage_seconds: float
    starts: int
    cold: bool
    loop_rounds: int
    long_seconds: float
    pipelines: tuple[int, ...]
    clients: int
    soak_seconds: float = 0


FULL: Final = Plan(
    warm_up=1,
    rounds=3,
    connections=(1, 32),
    requests=8000,
    seconds=0.7,
    stage_rounds=5,
    stage_runs=1000,
    stage_seconds=0.4,
    starts=5,
    cold=True,
    loop_rounds=7,
    long_seconds=4.0,
    pipelines=(1, 10, 100, 1000),
    clients=1000,
)
QUICK: Final = Plan(
    warm_up=1,
    rounds=2,
    connections=(1, 32),
    requests=300,
    seconds=0.25,
    stage_rounds=2,
    stage_runs=20,
    stage_seconds=0.1,
    starts=1,
    cold=False,
    loop_rounds=2,
    long_seconds=0.6,
    pipelines=(1, 10),
    clients=100,
)
SOAK_SECONDS: Final = 600.0
