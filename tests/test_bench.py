"""The figures and the report of the benchmark; what it measures with is run by `make bench`."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench import report
from bench.figures import (
    Case,
    Sample,
    Spread,
    StageSample,
    percentile,
    rows,
    stage_rows,
)
from bench.plan import QUICK
from bench.results import Results
from bench.traffic import SEARCH_CASES, STATIC_CASES

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


def results() -> Results:
    """Two rounds of every case of the real plan; the cases are 1, 2, 3 ... ms."""
    samples = [
        sample(case.name, number, 1000.0 * place, connections=connections)
        for cases in (SEARCH_CASES, STATIC_CASES)
        for place, case in enumerate(cases, start=1)
        for connections in (1, 8)
        for number in (1, 2)
    ]
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
        static_bytes=6046,
        products=1200,
        samples=samples,
        stages=[stage, replace(stage, kind="native", p50_us=100.0)],
    )


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
    """The document can be made again from what it says, and each case stands in it twice."""
    text = report.markdown(results())
    assert "\n    make bench\n" in text
    assert "| CPU | one \\| two |" in text
    for case in (*SEARCH_CASES, *STATIC_CASES):
        assert text.count(f"\n| {case.name} |") == 2
    assert "6,046 bytes" in text
    assert "1,200 products" in text
    assert "0.25 cores" in text


def test_markdown_tables_are_whole() -> None:
    """Every line of a table has as many cells as its head."""
    widths: set[int] = set()
    for line in report.markdown(results()).replace("\\|", "").splitlines():
        if not line.startswith("|"):
            widths = set()
            continue
        widths.add(line.count("|"))
        assert len(widths) == 1, line


def test_proxy_cases_have_ratio_and_cpu() -> None:
    """A pass-through of 3 ms to a direct 1 ms is told as 3.00 times direct."""
    table = report.tables(results())[0]
    line = next(line for line in table.lines if line[0] == "proxy, no pipeline")
    assert line[1:] == ["3.00", "30.00", "3.00", "3.00", "2.00", "50", "150"]


def test_direct_cases_have_no_figures_of_a_proxy() -> None:
    """What has no proxy on its way shows no CPU and no added time."""
    line = report.tables(results())[0].lines[0]
    assert line == ["direct", "1.00", "10.00", "1.00", "1.00", "", "50", ""]


def test_degraded_answers_are_told() -> None:
    """A case on whose answers a pipeline did not run says so beside its name."""
    made = results()
    worse = [replace(s, degraded=2) if "result" in s.case else s for s in made.samples]
    cells = [line[0] for line in report.tables(replace(made, samples=worse))[0].lines]
    assert "proxy, query + result pipeline (4 degraded)" in cells


def test_warm_stage_is_compared_with_native() -> None:
    """300 us in the sandbox are 3 times 100 us outside of it."""
    warm, native = report.tables(results())[-1].lines
    assert warm[3:] == ["0.300", "0.900", "3.0", "30"]
    assert native[5] == ""


def test_spread_is_in_the_document_and_not_on_the_terminal() -> None:
    """Lowest and highest round stand in brackets; the terminal shows medians alone."""
    made = results()
    slower = [replace(s, p50_us=s.p50_us * s.round) for s in made.samples]
    made = replace(made, samples=slower)
    assert report.tables(made)[0].lines[0][1] == "1.50 (1.00 to 2.00)"
    assert report.tables(made, spread=False)[0].lines[0][1] == "1.50"


def test_terminal_shows_every_table() -> None:
    """Five tables: two backends at two numbers of connections, and the stages."""
    stream = io.StringIO()
    report.show(results(), Console(file=stream, width=160))
    shown = stream.getvalue()
    assert shown.count("┏") == 5
    assert "proxy, query + result pipeline" in shown


def test_results_are_written_whole(tmp_path: Path) -> None:
    """The file of raw figures holds every sample, with numbers of at most four decimals."""
    path = tmp_path / "results.json"
    made = results()
    replace(made, other_cores=0.123456789).save(path)
    data = json.loads(path.read_text())
    assert len(data["samples"]) == len(made.samples)
    assert data["other_cores"] == 0.1235
    assert data["plan"]["rounds"] == QUICK.rounds
