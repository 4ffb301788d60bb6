"""The report: tables, charts and targets."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console

from bench import passing, plot, report, searching, workers
from bench.figures import (
    rows,
)
from bench.limits import LIMITS
from bench.plan import QUICK
from bench.results import Results
from bench.targets import TARGETS, Target
from tests.bench.made import (
    PASS_CASES,
    TWO_WORKERS,
    results,
    suite,
)


def measured(made: Results, what: str) -> tuple[Target, float | None]:
    """The target whose text begins so, and what it came to."""
    (target,) = [target for target in TARGETS if target.what.startswith(what)]
    return target, target.measured(made)


def test_markdown_reports_command_machine_and_every_case() -> None:
    """The document can be made again from what it says, and has each case at each level."""
    text = report.markdown(results())
    assert "\n    make bench\n" in text
    assert "| CPU | one \\| two |" in text
    for case in (passing.NGINX, passing.QUERYMILL, searching.PASS):
        assert text.count(f"\n| {case} |") == 2
    assert "Of 1,200 products." in text
    assert "0.25 cores" in text
    assert "took 21.0 ms, 20.0 at best and 30.0 at worst" in on_one_line(text)
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


def test_degraded_responses_are_reported() -> None:
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
    made, limit = results(), on_one_line(f"**P{near[1:]}.** {LIMITS[near]}")
    assert limit not in on_one_line(report.markdown(made))
    first = made.suites[0]
    slow = [
        replace(s, cpu_us=s.cpu_us * 3) if s.case == passing.QUERYMILL and s.cpu_us else s
        for s in first.samples
    ]
    text = report.markdown(replace(made, suites=[replace(first, samples=slow)]))
    assert limit in on_one_line(text)


def on_one_line(text: str) -> str:
    return " ".join(text.split())


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
