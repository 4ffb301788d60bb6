"""The figures and the report of the benchmark; what it measures with is run by `make bench`."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench import load, passing, plot, report, searching, workers
from bench.figures import (
    Case,
    Reading,
    Sample,
    Spread,
    StageSample,
    Suite,
    percentile,
    rows,
    stage_rows,
)
from bench.limits import LIMITS
from bench.peers import Missing
from bench.plan import QUICK
from bench.results import Results
from bench.targets import TARGETS, Target

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


def measured(made: Results, what: str) -> tuple[Target, float | None]:
    """The target whose text begins so, and what it came to."""
    (target,) = [target for target in TARGETS if target.what.startswith(what)]
    return target, target.measured(made)


@pytest.mark.parametrize(("share", "expected"), [(0, 1), (0.5, 50), (0.99, 99), (1, 100)])
def test_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    """Of 1 to 100, the n-th percentile is n."""
    assert percentile(range(1, 101), share) == expected


@given(st.lists(st.integers(), min_size=1), st.floats(0, 1))
def test_percentile_is_a_value_that_so_many_do_not_exceed(values: list[int], share: float) -> None:
    """A percentile was measured, and at least its share of all values is not above it."""
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


def test_percentile_of_nothing_is_refused() -> None:
    """Without a measurement there is no percentile, and it says so."""
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 0.5)


def test_percentile_has_a_share_of_at_most_one() -> None:
    """99 for the 99th percentile is a mistake that is told."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        percentile([1], 99)


def test_spread_is_median_lowest_and_highest() -> None:
    """A spread does not depend on the order of the rounds."""
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)


def test_spread_of_no_round_is_refused() -> None:
    """A plan without rounds is told, not divided by."""
    with pytest.raises(ValueError, match="no round"):
        Spread.of([])


def test_ratios_are_made_within_a_round() -> None:
    """A machine that is slower in one round changes no ratio."""
    samples = [sample("direct", 1, 100), sample("proxy", 1, 200), sample("rewritten", 1, 100)]
    samples += [sample("direct", 2, 900), sample("proxy", 2, 1800), sample("rewritten", 2, 900)]
    direct, _, proxy = rows(samples, [DIRECT, REWRITTEN, PROXY])
    assert direct.ratio_p50 == Spread(1.0, 1.0, 1.0)
    assert proxy.ratio_p50 == proxy.ratio_p99 == Spread(2.0, 2.0, 2.0)
    assert proxy.p50_us == Spread(1000.0, 200.0, 1800.0)


def test_what_the_proxy_adds_leaves_out_other_work_of_the_backend() -> None:
    """Added time is told against the same query sent directly, the ratio against the baseline."""
    samples = [sample("direct", 1, 100), sample("rewritten", 1, 300), sample("proxy", 1, 350)]
    *_, proxy = rows(samples, [DIRECT, REWRITTEN, PROXY])
    assert proxy.added_us.median == 50
    assert proxy.ratio_p50.median == 3.5


def test_rows_come_by_connections_then_case() -> None:
    """A table of one number of connections is a run of rows in the order of the cases."""
    samples = [
        sample(case, 1, 100, connections=connections)
        for case in ("rewritten", "direct")
        for connections in (8, 1)
    ]
    found = [(row.connections, row.case) for row in rows(samples, [DIRECT, REWRITTEN])]
    assert found == [(1, "direct"), (1, "rewritten"), (8, "direct"), (8, "rewritten")]


def test_cpu_is_weighted_by_requests() -> None:
    """A round with more requests counts more; a case without a proxy has no CPU figure."""
    samples = [sample("direct", number, 100) for number in (1, 2)]
    samples += [sample("rewritten", number, 100) for number in (1, 2)]
    samples += [
        replace(sample("proxy", 1, 100), cpu_us=100.0, requests=300),
        replace(sample("proxy", 2, 100), cpu_us=200.0, requests=100),
    ]
    direct, _, proxy = rows(samples, [DIRECT, REWRITTEN, PROXY])
    assert proxy.cpu_us == 125.0
    assert direct.cpu_us is None


def test_a_round_without_its_baseline_is_refused() -> None:
    """The error names the round and what is missing in it."""
    samples = [sample("direct", 1, 100), sample("proxy", 2, 100)]
    with pytest.raises(ValueError, match=r"round 2 .* \[proxy\] without \[direct\]"):
        rows(samples, [DIRECT, PROXY])


def test_stage_rows_sum_up_rounds() -> None:
    """Rounds of one function on one input become one row, kinds stay apart."""
    first = results().stages[0]
    found = stage_rows([first, replace(first, round=2, p50_us=500.0), replace(first, kind="load")])
    assert [(row.kind, row.runs) for row in found] == [("warm", 60), ("load", 30)]
    assert found[0].p50_us == Spread(400.0, 300.0, 500.0)


def test_markdown_tells_command_machine_and_every_case() -> None:
    """The document can be made again from what it says, and has each case at each level."""
    text = report.markdown(results())
    assert "\n    make bench\n" in text
    assert "| CPU | one \\| two |" in text
    for case in (passing.NGINX, passing.QUERYMILL, searching.PASS):
        assert text.count(f"\n| {case} |") == 2
    assert "Of 1,200 products." in text
    assert "0.25 cores" in text
    assert "haproxy is not installed here (apt-get install haproxy)" in text


def test_markdown_shows_the_charts_of_a_section() -> None:
    """A chart stands below the heading it belongs to, as a file beside the document."""
    made = results()
    text = report.markdown(made, plot.charts(made), "BENCHMARKS")
    section = text[text.index("## Pass-through") : text.index("## Searches")]
    assert "(BENCHMARKS/pass-through-cpu.svg)" in section
    assert "rewrite-cpu.svg" not in text


def test_charts_are_pictures_with_a_bar_for_each_case() -> None:
    """Bars are as long as their values, and names are escaped."""
    bars = [("one & two", 10.0), ("querymill", 5.0), ("less", -1.0)]
    chart = plot.Chart(section="a", title="a < b", file="a.svg", bars=bars)
    widths = [
        float(each.attrib["width"])
        for each in ElementTree.fromstring(chart.svg())
        if each.tag.endswith("rect")
    ][1:]
    assert widths[0] == 2 * widths[1] > 0
    assert widths[2] == 0


def test_markdown_tables_are_whole() -> None:
    """Every line of a table has as many cells as its head."""
    widths: set[int] = set()
    for line in report.markdown(results()).replace("\\|", "").splitlines():
        if not line.startswith("|"):
            widths = set()
            continue
        widths.add(line.count("|"))
        assert len(widths) == 1, line


def table(made: Results, title: str) -> report.Table:
    return next(each for each in report.tables(made) if each.title == title)


def test_proxy_cases_have_ratio_and_cpu() -> None:
    """A pass-through of 3 ms to a direct 1 ms is told as 3.00 times direct."""
    lines = table(results(), "Pass-through, 1 connection").lines
    line = next(line for line in lines if line[0] == "querymill")
    assert line[1:] == ["3.00", "30.00", "3.00", "2.00", "20.00", "50", "150"]


def test_direct_cases_add_nothing() -> None:
    """What has no proxy on its way shows no CPU and no added time."""
    line = table(results(), "Pass-through, 1 connection").lines[0]
    assert line == ["direct", "1.00", "10.00", "1.00", "", "", "50", ""]


def test_cases_of_some_levels_are_in_their_tables_only() -> None:
    """A case that was measured at one number of connections has no row at the other."""
    made = suite("some", PASS_CASES)
    samples = [s for s in made.samples if s.case != "querymill" or s.connections == 1]
    found = [(row.case, row.connections) for row in rows(samples, PASS_CASES)]
    assert ("querymill", 1) in found
    assert ("querymill", 32) not in found


def test_degraded_answers_are_told() -> None:
    """A case on whose answers a pipeline did not run says so beside its name."""
    made = results()
    first = made.suites[0]
    worse = [replace(s, degraded=2) if s.case == "querymill" else s for s in first.samples]
    made = replace(made, suites=[replace(first, samples=worse)])
    cells = [line[0] for line in table(made, "Pass-through, 1 connection").lines]
    assert "querymill (4 degraded)" in cells


def test_targets_are_taken_from_the_figures() -> None:
    """3 times nginx's added time is above it by twice; CPU is 1.5 times; both are within 3."""
    made = results()
    target, value = measured(made, "pass-through, added p50")
    assert value == 2.0
    assert target.met(2.0)
    assert not target.met(3.1)
    assert measured(made, "pass-through, CPU")[1] == 1.5


def test_targets_of_readings_are_medians() -> None:
    """Of three rounds the middle one counts; two workers are to be at least 1.8 times one."""
    target, value = measured(results(), "sandbox-bound throughput")
    assert value == 1.7
    assert not target.met(1.7)
    assert target.met(1.8)


def test_what_was_not_measured_meets_no_target() -> None:
    """A target without figures says so, and is neither met nor missed."""
    lines = {line[0]: line[2:] for line in report.targets(results()).lines}
    assert lines["start with a warm cache, to ready"] == ["", "not measured"]
    assert lines["pass-through, CPU a request at 32 connections, against nginx"] == [
        "1.5 x",
        "yes",
    ]


def test_what_is_missed_is_explained() -> None:
    """Of a target that is not met the report says why, of no other; each text is of a target."""
    assert LIMITS.keys() <= {target.what for target in TARGETS}
    near = "pass-through, CPU a request at 32 connections, against nginx"
    made = results()
    assert LIMITS[near] not in report.markdown(made)
    first = made.suites[0]
    slow = [
        replace(s, cpu_us=s.cpu_us * 3) if s.case == passing.QUERYMILL and s.cpu_us else s
        for s in first.samples
    ]
    text = report.markdown(replace(made, suites=[replace(first, samples=slow)]))
    assert f"**P{near[1:]}.** {LIMITS[near]}" in text


def test_pass_through_without_nginx_has_no_target() -> None:
    """What is to be compared with a peer that is missing was not measured."""
    made = results()
    first = made.suites[0]
    others = [s for s in first.samples if s.case != passing.NGINX]
    cases = [case for case in first.cases if case.name != passing.NGINX]
    made = replace(made, suites=[replace(first, cases=cases, samples=others)])
    assert measured(made, "pass-through, CPU")[1] is None
    assert measured(made, "pass-through, added p50")[1] is None


def test_readings_have_a_table_for_each_section() -> None:
    """Rounds of a reading become a row with their spread."""
    assert table(results(), workers.WORKERS_SECTION).lines == [
        [TWO_WORKERS, "x", "1.70 (1.50 to 1.90)"]
    ]


def test_warm_stage_is_compared_with_native() -> None:
    """300 us in the sandbox are 3 times 100 us outside of it."""
    warm, native = report.tables(results())[-1].lines
    assert warm[3:] == ["0.300", "0.900", "3.0", "30"]
    assert native[5] == ""


def test_spread_is_in_the_document_and_not_on_the_terminal() -> None:
    """Lowest and highest round stand in brackets; the terminal shows medians alone."""
    made = results()
    first = made.suites[0]
    slower = [replace(s, p50_us=s.p50_us * s.round) for s in first.samples]
    made = replace(made, suites=[replace(first, samples=slower)])
    assert report.tables(made)[1].lines[0][1] == "1.50 (1.00 to 2.00)"
    assert report.tables(made, spread=False)[1].lines[0][1] == "1.50"


def test_terminal_shows_every_table() -> None:
    """Targets, two suites at two numbers of connections, readings, and the stages."""
    stream = io.StringIO()
    report.show(results(), Console(file=stream, width=160))
    shown = stream.getvalue()
    assert shown.count("┏") == 7
    assert "proxy, no pipeline" in shown
    assert "haproxy is not installed" in shown


def test_results_are_written_whole(tmp_path: Path) -> None:
    """The file of raw figures holds every sample, with numbers of at most four decimals."""
    path = tmp_path / "results.json"
    made = results()
    replace(made, other_cores=0.123456789).save(path)
    data = json.loads(path.read_text())
    assert [len(each["samples"]) for each in data["suites"]] == [12, 8]
    assert len(data["readings"]) == 3
    assert data["other_cores"] == 0.1235
    assert data["plan"]["rounds"] == QUICK.rounds


async def answered(job: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What the load generator says of a job, and the bodies that a real server got."""
    bodies: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        bodies.append(await request.text())
        if request.path == "/odd":
            return web.json_response({"errors": True}, status=429)
        return web.json_response({"errors": False})

    server = web.Server(answer, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    whole = {"host": "127.0.0.1", "port": port, "case": "a case", "seconds": 10.0} | job
    try:
        return await load.run_job(whole), bodies
    finally:
        listener.close()
        await server.shutdown(1.0)


async def test_load_sends_each_request_in_turn() -> None:
    """So many requests are counted as were asked for, one more a connection opens it."""
    asks = [("POST", "/", "one"), ("POST", "/", "two"), ("GET", "/", "")]
    told, bodies = await answered({"asks": asks, "connections": 3, "requests": 30, "by_ask": True})
    assert sorted(bodies) == sorted(["one", "two", ""] * 11)
    assert told["statuses"] == {200: 33}
    assert len(told["latencies_ns"]) == len(told["numbers"]) == 30
    assert set(told["numbers"]) == {0, 1, 2}


async def test_load_tells_statuses_and_refused_answers() -> None:
    """An answer that is no good is counted, and ends nothing."""
    asks = [("POST", "/odd", "a"), ("POST", "/", "b")]
    refuse = '"errors": true'
    told, _ = await answered({"asks": asks, "connections": 1, "requests": 9, "refuse": refuse})
    assert told["statuses"] == {200: 5, 429: 5}
    assert told["refused"] == 5


async def test_paced_load_sends_no_more_than_its_rate() -> None:
    """At 200 a second for a tenth of one, not more than 20 requests are due."""
    job = {"asks": [("GET", "/", "")], "connections": 2, "requests": 1000, "rate": 200.0}
    told, _ = await answered(job | {"seconds": 0.1})
    assert 1 <= len(told["latencies_ns"]) <= 20
