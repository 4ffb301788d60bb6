"""Samples summed up. Times are microseconds unless the name says otherwise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

StageKind = Literal["warm", "fresh", "stock", "load", "native"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A way to answer a search.

    baseline: the case its ratio is to; its own name for a baseline.
    same_work: the case that its added time is told against: one that gives the backend the same
    work, which leaves what is between.
    """

    name: str
    baseline: str
    same_work: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One case in one round; `cpu_us` is the proxy's CPU for each request, None without a proxy.

    `degraded` counts responses with a Warning: a pipeline did not run on them. `errors` counts
    those with another status than 200, which only the suites that overload allow.
    """

    case: str
    connections: int
    round: int
    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    cpu_us: float | None
    degraded: int
    errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Cases that are compared with each other, and what they came to."""

    title: str
    note: str
    cases: Sequence[Case]
    samples: Sequence[Sample]

    @property
    def levels(self) -> list[int]:
        """The numbers of connections."""
        return sorted({sample.connections for sample in self.samples})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One figure that is no latency, in one round; `unit` says how it is shown."""

    section: str
    what: str
    unit: str
    round: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSample:
    """One function on one input in one round; `kind` says what was timed."""

    kind: StageKind
    function: str
    given: str
    round: int
    runs: int
    p50_us: float
    p99_us: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The median over the rounds, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Raises ValueError when there is no value."""
        held = sorted(values)
        if not held:
            raise ValueError("no round was measured: give the plan at least one")
        return cls(statistics.median(held), held[0], held[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A case at a number of connections over all rounds."""

    case: str
    connections: int
    p50_us: Spread
    p99_us: Spread
    ratio_p50: Spread
    ratio_p99: Spread
    added_us: Spread
    added_p99_us: Spread
    added_to: str
    requests_a_second: float
    cpu_us: float | None
    degraded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """A function on an input over all rounds."""

    kind: StageKind
    function: str
    given: str
    runs: int
    p50_us: Spread
    p99_us: Spread


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the lowest value that `share` (0 to 1) of all do not exceed.

    `ordered` is ascending. Raises ValueError when it is empty or `share` is out of bounds.
    """
    if not ordered:
        raise ValueError("nothing was measured: a percentile needs at least one value")
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}: a percentile has one from 0 to 1")
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def rows(samples: Sequence[Sample], cases: Sequence[Case]) -> list[Row]:
    """A row for each number of connections and case, in that order.

    Ratios are made in each round and then summed up. Raises ValueError naming what a case needs
    and was not measured.
    """
    found = {(s.case, s.connections, s.round): s for s in samples}
    levels = sorted({s.connections for s in samples})
    measured = {key[:2] for key in found}
    return [
        _row(found, case, level)
        for level in levels
        for case in cases
        if (case.name, level) in measured
    ]


def _row(found: dict[tuple[str, int, int], Sample], case: Case, connections: int) -> Row:
    own = [s for key, s in sorted(found.items()) if key[:2] == (case.name, connections)]
    base = [_other(found, s, case.baseline) for s in own]
    same = [_other(found, s, case.same_work) for s in own]
    measured = [s for s in own if s.cpu_us is not None]
    requests = sum(s.requests for s in own)
    cpu = sum((s.cpu_us or 0.0) * s.requests for s in measured)
    return Row(
        case=case.name,
        connections=connections,
        p50_us=Spread.of(s.p50_us for s in own),
        p99_us=Spread.of(s.p99_us for s in own),
        ratio_p50=Spread.of(s.p50_us / b.p50_us for s, b in zip(own, base, strict=True)),
        ratio_p99=Spread.of(s.p99_us / b.p99_us for s, b in zip(own, base, strict=True)),
        added_us=Spread.of(s.p50_us - w.p50_us for s, w in zip(own, same, strict=True)),
        added_p99_us=Spread.of(s.p99_us - w.p99_us for s, w in zip(own, same, strict=True)),
        added_to=case.same_work if case.same_work != case.name else "",
        requests_a_second=statistics.median(s.requests / s.seconds for s in own),
        cpu_us=cpu / requests if measured else None,
        degraded=sum(s.degraded for s in own),
    )


def _other(found: dict[tuple[str, int, int], Sample], sample: Sample, case: str) -> Sample:
    try:
        return found[case, sample.connections, sample.round]
    except KeyError:
        raise ValueError(
            f"round {sample.round} at {sample.connections} connections has [{sample.case}] "
            f"without [{case}] to compare it with: measure both in every round"
        ) from None


def stage_rows(samples: Sequence[StageSample]) -> list[StageRow]:
    """A row for each kind, function and input, in the order they were first measured."""
    groups: dict[tuple[StageKind, str, str], list[StageSample]] = {}
    for sample in samples:
        groups.setdefault((sample.kind, sample.function, sample.given), []).append(sample)
    return [
        StageRow(
            kind=kind,
            function=function,
            given=given,
            runs=sum(s.runs for s in group),
            p50_us=Spread.of(s.p50_us for s in group),
            p99_us=Spread.of(s.p99_us for s in group),
        )
        for (kind, function, given), group in groups.items()
    ]


def reading_spreads(readings: Sequence[Reading]) -> dict[tuple[str, str, str], Spread]:
    """The spread of each section, thing and unit over the rounds, in the order first measured."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for reading in readings:
        groups.setdefault((reading.section, reading.what, reading.unit), []).append(reading.value)
    return {key: Spread.of(values) for key, values in groups.items()}
