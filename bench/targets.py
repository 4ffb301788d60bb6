"""What the figures are to reach, and whether they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench import (
    before,
    bound,
    overload,
    passing,
    scaling,
    searching,
    soak,
    starting,
    workers,
    writing,
)
from bench.figures import Row, rows
from bench.results import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`what` is to come to at most `limit` (at least, where `at_least`), in `unit`."""

    what: str
    limit: float
    unit: str
    at_least: bool = False
    measured: Callable[[Results], float | None]

    def met(self, value: float) -> bool:
        """Whether that is reached."""
        return value >= self.limit if self.at_least else value <= self.limit


def _row(results: Results, suite: str, case: str, connections: int) -> Row | None:
    for each in results.suites:
        if each.title == suite:
            for row in rows(each.samples, each.cases):
                if (row.case, row.connections) == (case, connections):
                    return row
    return None


def _cpu(suite: str, case: str, other: str, connections: int) -> Callable[[Results], float | None]:
    def measured(results: Results) -> float | None:
        one = _row(results, suite, case, connections)
        two = _row(results, suite, other, connections)
        if one is None or two is None or not one.cpu_us or not two.cpu_us:
            return None
        return one.cpu_us / two.cpu_us

    return measured


def _added_times(suite: str, case: str, other: str) -> Callable[[Results], float | None]:
    def measured(results: Results) -> float | None:
        one, two = _row(results, suite, case, 1), _row(results, suite, other, 1)
        if one is None or two is None or two.added_us.median <= 0:
            return None
        return one.added_us.median / two.added_us.median

    return measured


def _added(suite: str, case: str, connections: int = 1) -> Callable[[Results], float | None]:
    def measured(results: Results) -> float | None:
        row = _row(results, suite, case, connections)
        return None if row is None else row.added_us.median / 1000

    return measured


def _ratio(suite: str, case: str) -> Callable[[Results], float | None]:
    def measured(results: Results) -> float | None:
        row = _row(results, suite, case, 1)
        return None if row is None else row.ratio_p50.median

    return measured


def _throughput(suite: str, case: str, other: str) -> Callable[[Results], float | None]:
    def measured(results: Results) -> float | None:
        one, two = _row(results, suite, case, 1), _row(results, suite, other, 1)
        return None if not one or not two else one.requests_a_second / two.requests_a_second

    return measured


def _reading(section: str, what: str, factor: float = 1) -> Callable[[Results], float | None]:
    def measured(results: Results) -> float | None:
        found = [
            spread.median * factor
            for (title, name, _), spread in results.spreads.items()
            if (title, name) == (section, what)
        ]
        return found[0] if found else None

    return measured


def _native(results: Results) -> float | None:
    """Pass-through and, on top, the same work by Python itself."""
    way = _row(results, passing.REWRITE_TITLE, passing.QUERYMILL, 32)
    njs = _row(results, passing.REWRITE_TITLE, passing.NJS, 32)
    work = _reading(bound.BOUND_SECTION, bound.NATIVE)(results)
    if way is None or njs is None or work is None or not way.cpu_us or not njs.cpu_us:
        return None
    return (way.cpu_us + work) / njs.cpu_us


_SANDBOX_BOUND: Final = workers.TWO_TIMES_ONE.format(kind=workers.LONG)
_MOST: Final = {"count": 1000, "workers": 2}


def _before(what: str, connections: int) -> Callable[[Results], float | None]:
    now, then = before.case(before.NOW, what), before.case(before.BEFORE, what)
    return _cpu(before.TITLE, now, then, connections)


TARGETS: Final[Sequence[Target]] = (
    Target(
        what="pass-through, CPU a request at 32 connections, against nginx",
        limit=3,
        unit="x",
        measured=_cpu(passing.PASS_TITLE, passing.QUERYMILL, passing.NGINX, 32),
    ),
    Target(
        what="pass-through, added p50 at 1 connection, against nginx's",
        limit=3,
        unit="x",
        measured=_added_times(passing.PASS_TITLE, passing.QUERYMILL, passing.NGINX),
    ),
    Target(
        what="one warm query stage on top of pass-through, p50",
        limit=0.25,
        unit="ms",
        measured=_added(passing.REWRITE_TITLE, passing.QUERY),
    ),
    Target(
        what="rewrite and re-sort in Python, CPU a request at 32 connections, against nginx + njs",
        limit=2,
        unit="x",
        measured=_cpu(passing.REWRITE_TITLE, passing.BOTH_DECLARED, passing.NJS, 32),
    ),
    Target(
        what="the same by native Python in the proxy (a bound: it is measured beside), against njs",
        limit=1,
        unit="x",
        measured=_native,
    ),
    Target(
        what="a stage in request isolation, from stock, at 100 requests/s, on top of pass-through",
        limit=0.5,
        unit="ms",
        measured=_added(passing.PACED_TITLE, passing.PACED_FRESH, passing.PACED_CONNECTIONS),
    ),
    Target(
        what="re-ranking 100 hits with declared fields, on top of pass-through, p50",
        limit=0.6,
        unit="ms",
        measured=_added(passing.COST_TITLE, passing.DECLARED_100),
    ),
    Target(
        what="query + result pipeline on a search of 5 ms or more, p50, against direct",
        limit=1.1,
        unit="x",
        measured=_ratio(searching.SLOW_TITLE, searching.SLOW_BOTH),
    ),
    Target(
        what="sandbox-bound throughput of two workers, against one",
        limit=1.8,
        unit="x",
        at_least=True,
        measured=_reading(workers.WORKERS_SECTION, _SANDBOX_BOUND),
    ),
    Target(
        what="1,000 pipelines, 1,000 requests in flight: errors",
        limit=0,
        unit="",
        measured=_reading(scaling.MANY_SECTION, scaling.ERRORS.format(**_MOST)),
    ),
    Target(
        what="the same: memory of all workers (PSS)",
        limit=2,
        unit="GiB",
        measured=_reading(scaling.MANY_SECTION, scaling.MEMORY.format(**_MOST), 1 / 1024),
    ),
    Target(
        what="the same: slowest pipeline's p99, against the median pipeline's",
        limit=3,
        unit="x",
        measured=_reading(scaling.MANY_SECTION, scaling.SLOWEST.format(**_MOST)),
    ),
    Target(
        what="an overloaded index: p99 of the 429s",
        limit=10,
        unit="ms",
        measured=_reading(overload.OVERLOAD_SECTION, overload.REFUSED_P99),
    ),
    Target(
        what="an endless loop in one pipeline: p99 of the others, against without",
        limit=1.2,
        unit="x",
        measured=_reading(scaling.LOOP_SECTION, scaling.LOOP_TIMES),
    ),
    Target(
        what="bulk of 500 through a Python stage, documents/s, against ingest with Painless",
        limit=0.7,
        unit="x",
        at_least=True,
        measured=_throughput(writing.BULK_TITLE, writing.PYTHON, writing.PAINLESS),
    ),
    Target(
        what="start with a warm cache, to ready",
        limit=1.0,
        unit="s",
        measured=_reading(starting.START_SECTION, starting.WARM_START),
    ),
    Target(
        what="memory that 10 minutes at half load add, beyond the first minute",
        limit=soak.NOISE_MIB,
        unit="MiB",
        measured=_reading(soak.SOAK_SECTION, soak.GROWTH),
    ),
    Target(
        what="the same: open files",
        limit=soak.NOISE_FILES,
        unit="",
        measured=_reading(soak.SOAK_SECTION, soak.FILES),
    ),
    Target(
        what="the same: tasks",
        limit=0,
        unit="",
        measured=_reading(soak.SOAK_SECTION, soak.TASKS),
    ),
    Target(
        what="against the tree before: query + result stage, CPU a request at 32 connections",
        limit=0.75,
        unit="x",
        measured=_before(before.BOTH, 32),
    ),
    Target(
        what="against the tree before: one warm query stage on top of pass-through, p50",
        limit=0.75,
        unit="x",
        measured=_added_times(
            before.TITLE,
            before.case(before.NOW, before.QUERY),
            before.case(before.BEFORE, before.QUERY),
        ),
    ),
    Target(
        what="against the tree before: pass-through, CPU a request at 32 connections",
        limit=1,
        unit="x",
        measured=_before(before.PASS, 32),
    ),
    Target(
        what="against the tree before: bulks through a document stage, CPU",
        limit=1,
        unit="x",
        measured=_cpu(
            before.BULK_TITLE,
            before.case(before.NOW, before.DOCUMENT),
            before.case(before.BEFORE, before.DOCUMENT),
            1,
        ),
    ),
)
