"""Figures made up for the tests of what is done with them."""

from __future__ import annotations

from dataclasses import replace

from bench import passing, searching, workers
from bench.figures import (
    Case,
    Reading,
    Sample,
    StageSample,
    Suite,
)
from bench.peers import Missing
from bench.plan import QUICK
from bench.results import Results

TWO_WORKERS = workers.TWO_TIMES_ONE.format(kind=workers.LONG)

DIRECT = Case(name="direct", baseline="direct", same_work="direct")
REWRITTEN = Case(name="rewritten", baseline="direct", same_work="rewritten")
PROXY = Case(name="proxy", baseline="direct", same_work="rewritten")


def sample(case: str, round: int, p50_us: float, *, connections: int = 1) -> Sample:
    through = "proxy" in case and "direct" not in case
    return Sample(
        case=case,
        connections=connections,
        round=round,
        requests=100,
        seconds=2.0,
        p50_us=p50_us,
        p99_us=p50_us * 10,
        cpu_us=150.0 if through else None,
        degraded=0,
    )


SEARCH_CASES = (
    Case(name=searching.DIRECT, baseline=searching.DIRECT, same_work=searching.DIRECT),
    Case(name=searching.PASS, baseline=searching.DIRECT, same_work=searching.DIRECT),
)
PASS_CASES = tuple(
    Case(name=name, baseline=passing.DIRECT, same_work=passing.DIRECT)
    for name in (passing.DIRECT, passing.NGINX, passing.QUERYMILL)
)


def suite(title: str, cases: tuple[Case, ...]) -> Suite:
    """Two rounds of every case at 1 and 32 connections; the cases are 1, 2, 3 ... ms."""
    samples = [
        replace(
            sample(case.name, number, 1000.0 * place, connections=connections),
            cpu_us=None if case.name == "direct" else 50.0 * place,
        )
        for place, case in enumerate(cases, start=1)
        for connections in (1, 32)
        for number in (1, 2)
    ]
    return Suite(title=title, note="Of {products} products.", cases=cases, samples=samples)


def reading(section: str, what: str, value: float, *, unit: str = "x", round: int = 1) -> Reading:
    return Reading(section=section, what=what, unit=unit, round=round, value=value)


def results() -> Results:
    """Two suites, a section of readings, and a stage."""
    stage = StageSample(
        kind="warm",
        function="identity",
        given="a search",
        round=1,
        runs=30,
        p50_us=300.0,
        p99_us=900.0,
    )
    return Results(
        made="2026-01-02",
        command="make bench",
        plan=QUICK,
        machine={"CPU": "one | two"},
        other_cores=0.25,
        reference_ms=[20.0, 30.0, 21.0],
        products=1200,
        missing=[Missing(name="haproxy", remedy="apt-get install haproxy")],
        suites=[
            suite(passing.PASS_TITLE, PASS_CASES),
            suite(searching.SEARCH_TITLE, SEARCH_CASES),
        ],
        readings=[
            reading(workers.WORKERS_SECTION, TWO_WORKERS, value, round=number)
            for number, value in enumerate((1.5, 1.9, 1.7), start=1)
        ],
        stages=[stage, replace(stage, kind="native", p50_us=100.0)],
    )
