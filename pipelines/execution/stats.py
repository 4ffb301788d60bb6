"""Counts and latency percentiles of pipelines and stages, in mergeable sketches.

Latencies go into DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile
sketch with relative-error guarantees", VLDB 2019) with 1 % relative error, so figures of several
workers or hosts can be added up without losing that bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ddsketch import DDSketch

Outcome = Literal["done", "degraded", "failed", "rejected", "dropped"]
OUTCOMES: tuple[Outcome, ...] = ("done", "degraded", "failed", "rejected", "dropped")
StageOutcome = Literal["success", "failure", "skipped", "rejected", "dropped"]
STAGE_OUTCOMES: tuple[StageOutcome, ...] = (
    "success",
    "failure",
    "skipped",
    "rejected",
    "dropped",
)

QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
RELATIVE_ACCURACY = 0.01
# Three digits are off by half a percent at most, which leaves the sketch the other half.
_SKETCH_ACCURACY = RELATIVE_ACCURACY / 2
_HELD = 512


class Latency:
    """A mergeable distribution of durations in milliseconds.

    Durations are held back, in three digits, and go into the sketch with the number of each: a
    dictionary takes a tenth of the time.
    """

    def __init__(self) -> None:
        self._known = DDSketch(_SKETCH_ACCURACY)
        self._held: dict[str, int] = {}
        self._total_ms = 0.0

    def add(self, milliseconds: float, count: int = 1) -> None:
        """Count a duration, or `count` equal ones."""
        if not count:
            return
        held, digits = self._held, f"{milliseconds:.3g}"
        self._total_ms += milliseconds * count
        held[digits] = held.get(digits, 0) + count
        if len(held) > _HELD:
            self._settle()

    def merge(self, other: Latency) -> None:
        self._settle().merge(other._settle())
        self._total_ms += other._total_ms

    @property
    def count(self) -> int:
        return int(self._settle().count)

    @property
    def total_ms(self) -> float:
        return self._total_ms

    def quantiles(self) -> dict[str, float]:
        """P50, P95 and P99 in milliseconds; empty while nothing was measured."""
        if not self.count:
            return {}
        sketch = self._settle()
        return {
            name: round(sketch.get_quantile_value(q) or 0.0, 4) for name, q in QUANTILES.items()
        }

    def _settle(self) -> Any:
        """The sketch with all durations in it."""
        for digits, count in self._held.items():
            self._known.add(float(digits), count)
        self._held.clear()
        return self._known


class StageStats:
    """What one stage did: an outcome a run, its errors by kind, its time when it ran."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.retries = 0
        self.latency = Latency()

    def merge(self, other: StageStats) -> None:
        self.outcomes.update(other.outcomes)
        self.errors.update(other.errors)
        self.retries += other.retries
        self.latency.merge(other.latency)

    def as_dict(self) -> dict[str, Any]:
        return {
            "count": self.latency.count,
            **{outcome: self.outcomes[outcome] for outcome in STAGE_OUTCOMES},
            "timeouts": self.errors["timeout"],
            "retries": self.retries,
            "errors": dict(self.errors),
            "time_in_millis": round(self.latency.total_ms, 3),
            "latency_ms": self.latency.quantiles(),
        }


class PipelineStats:
    """What one pipeline did: an outcome a run, timeouts, time, and the same for each stage.

    `turned_off` are the runs that its breaker ended before they began; they have no time.
    `refused` are those whose request the backend refused.
    `left_out` are the lines that it was not allowed to write into the log.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.timeouts = 0
        self.turned_off = 0
        self.refused = 0
        self.left_out = 0
        self.latency = Latency()
        self.stages: dict[str, StageStats] = {}

    def stage(self, name: str) -> StageStats:
        """The figures of a stage, made at its first run."""
        found = self.stages.get(name)
        if found is None:
            found = self.stages[name] = StageStats()
        return found

    def merge(self, other: PipelineStats) -> None:
        self.outcomes.update(other.outcomes)
        self.timeouts += other.timeouts
        self.turned_off += other.turned_off
        self.refused += other.refused
        self.left_out += other.left_out
        self.latency.merge(other.latency)
        for name, stage in other.stages.items():
            self.stage(name).merge(stage)

    def as_dict(self) -> dict[str, Any]:
        """As `GET /_pipeline/{name}/_stats` shows it; times in milliseconds."""
        counts = {outcome: self.outcomes[outcome] for outcome in OUTCOMES}
        return {
            "count": sum(self.outcomes.values()),
            "success": counts["done"],
            "failure": counts["failed"],
            "degraded": counts["degraded"],
            "rejected": counts["rejected"],
            "dropped": counts["dropped"],
            "timeouts": self.timeouts,
            "turned_off": self.turned_off,
            "refused": self.refused,
            "log_lines_left_out": self.left_out,
            "time_in_millis": round(self.latency.total_ms, 3),
            "latency_ms": self.latency.quantiles(),
            "stages": {name: stage.as_dict() for name, stage in self.stages.items()},
        }


class Stats:
    """The figures of all pipelines of this process, by pipeline name. Used on one thread only."""

    def __init__(self) -> None:
        self._pipelines: dict[str, PipelineStats] = {}

    def pipeline(self, name: str) -> PipelineStats:
        found = self._pipelines.get(name)
        if found is None:
            found = self._pipelines[name] = PipelineStats()
        return found

    def forget(self, name: str) -> None:
        """Drop the figures of a deleted pipeline."""
        self._pipelines.pop(name, None)

    def items(self) -> Iterable[tuple[str, PipelineStats]]:
        return list(self._pipelines.items())

    def merge(self, others: Mapping[str, PipelineStats]) -> None:
        for name, stats in others.items():
            self.pipeline(name).merge(stats)
