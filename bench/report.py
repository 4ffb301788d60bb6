"""Results as tables: on the terminal, and as the Markdown of docs/BENCHMARKS.md."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table as RichTable

from bench import prose
from bench.cells import Write, median, milliseconds, number, with_spread
from bench.figures import Row, StageRow, Suite, rows, stage_rows
from bench.history import SHOWN, Run
from bench.limits import LIMITS
from bench.plot import Chart
from bench.results import Results
from bench.targets import TARGETS, Target

_LINE_CHARS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A titled table of texts; the columns after the first `words` hold numbers."""

    title: str
    note: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    words: int = 1


def tables(results: Results, *, spread: bool = True) -> list[Table]:
    """The report's tables, of medians alone or with the `spread` over the rounds.

    Raises ValueError when a case was not measured in some round.
    """
    write = with_spread if spread else median
    suites = [table for suite in results.suites for table in _suite(suite, write)]
    stages = [_stages(results, write)] if results.stages else []
    return [targets(results), *suites, *_readings(results, write), *stages]


def targets(results: Results) -> Table:
    """What was to be reached, and what was."""
    lines = []
    for target in TARGETS:
        value = target.measured(results)
        shown = "" if value is None else f"{number(value)} {target.unit}".strip()
        met = "not measured" if value is None else "yes" if target.met(value) else "no"
        lines.append([target.what, _limit(target), shown, met])
    return Table(
        title="Targets",
        note=prose.TARGETS_NOTE,
        columns=("what", "target", "measured", "met"),
        lines=lines,
    )


def _limit(target: Target) -> str:
    sign = "at least" if target.at_least else "at most"
    return f"{sign} {number(target.limit)} {target.unit}".strip()


def _earlier(runs: Sequence[Run]) -> list[str]:
    """The targets as the last of these runs measured them."""
    shown = runs[-SHOWN:]
    if not shown:
        return []
    lines = [
        ["machine", "", *(run.machine for run in shown)],
        ["Python", "", *(run.python for run in shown)],
        ["the fixed piece of Python, ms", "", *(_range(run.reference_ms) for run in shown)],
    ]
    for target in TARGETS:
        values = (run.measured.get(target.what) for run in shown)
        texts = ["" if value is None else number(value) for value in values]
        lines.append([target.what, _limit(target), *texts])
    columns = ("what", "target", *(run.made for run in shown))
    return [
        "### On other days and machines",
        prose.EARLIER_NOTE,
        _markdown_lines(columns, lines, 1),
    ]


def _range(times: Sequence[float]) -> str:
    return f"{min(times):.1f} to {max(times):.1f}" if times else ""


def _limits(results: Results) -> list[str]:
    """Why what is not reached is not."""
    missed = []
    for target in TARGETS:
        value = target.measured(results)
        if value is not None and not target.met(value):
            why = LIMITS.get(target.what, "")
            text = f"**{target.what[:1].upper()}{target.what[1:]}.** {why}"
            missed.append(textwrap.fill(text, _LINE_CHARS))
    return ["### What is not reached, and why", *missed] if missed else []


def show(results: Results, console: Console) -> None:
    """Print the tables, of medians alone."""
    for table in tables(results, spread=False):
        shown = RichTable(title=table.title, title_justify="left")
        for place, column in enumerate(table.columns):
            shown.add_column(column, justify="left" if place < table.words else "right")
        for line in table.lines:
            shown.add_row(*line)
        console.print(shown)
    console.print(_neighbours(results), highlight=False)
    for missing in results.missing:
        console.print(_missing(missing.name, missing.remedy), highlight=False)


def markdown(
    results: Results,
    charts: Sequence[Chart] = (),
    folder: str = "",
    earlier: Sequence[Run] = (),
) -> str:
    """The whole document; `folder` is where the charts are, seen from it."""
    blocks = ["# Benchmarks", prose.INTRODUCTION.format(command=results.command, made=results.made)]
    blocks += ["## Machine", _markdown_lines(("what", "value"), list(results.machine.items()), 2)]
    blocks += [_bounds(results), _neighbours(results)]
    blocks += [_missing(missing.name, missing.remedy) for missing in results.missing]
    sizes = {
        "products": f"{results.products:,}",
        "clients": f"{results.plan.clients:,}",
        "loop_rounds": results.plan.loop_rounds,
    }
    title = ""
    for table in tables(results):
        section, _, part = table.title.partition(", ")
        if section != title:
            title = section
            blocks += [f"## {section}", table.note.format(**sizes)]
            shown = [chart for chart in charts if chart.section == section]
            blocks += [f"![{chart.title}]({folder}/{chart.file})" for chart in shown]
        blocks += [f"### {part[:1].upper()}{part[1:]}"] if part else []
        blocks.append(_markdown_lines(table.columns, table.lines, table.words))
        if title == "Targets":
            blocks += [*_limits(results), *_earlier(earlier)]
    blocks += ["## How to read this", "\n".join(f"- {caveat}" for caveat in prose.CAVEATS)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _suite(suite: Suite, write: Write) -> Iterator[Table]:
    found = rows(suite.samples, suite.cases)
    for level in suite.levels:
        yield Table(
            title=f"{suite.title}, {level} connection" + ("s" if level > 1 else ""),
            note=suite.note,
            columns=(
                "case",
                "p50 ms",
                "p99 ms",
                "p50, times the first",
                "adds to p50, ms",
                "adds to p99, ms",
                "requests/s",
                "CPU, us/request",
            ),
            lines=[_line(row, write) for row in found if row.connections == level],
        )


def _line(row: Row, write: Write) -> list[str]:
    adds = bool(row.added_to)
    return [
        row.case + (f" ({row.degraded} degraded)" if row.degraded else ""),
        milliseconds(row.p50_us, write),
        milliseconds(row.p99_us, write),
        write(row.ratio_p50, 2),
        milliseconds(row.added_us, write) if adds else "",
        milliseconds(row.added_p99_us, write) if adds else "",
        f"{row.requests_a_second:,.0f}",
        f"{row.cpu_us:,.0f}" if row.cpu_us is not None else "",
    ]


def _readings(results: Results, write: Write) -> Iterator[Table]:
    spreads = results.spreads
    for section in dict.fromkeys(section for section, _, _ in spreads):
        lines = []
        for (found, what, unit), spread in spreads.items():
            if found == section:
                digits = 0 if spread.median >= 100 or not unit else 2
                lines.append([what, unit, write(spread, digits)])
        note = prose.SECTION_NOTES.get(section, "")
        yield Table(
            title=section, note=note, columns=("what", "unit", "value"), lines=lines, words=2
        )


def _stages(results: Results, write: Write) -> Table:
    found = stage_rows(results.stages)
    native = {(r.function, r.given): r.p50_us.median for r in found if r.kind == "native"}
    return Table(
        title="Stages",
        note=prose.STAGE_NOTE,
        columns=("what", "function", "given", "p50 ms", "p99 ms", "p50, times native", "runs"),
        lines=[_stage_line(row, native.get((row.function, row.given)), write) for row in found],
        words=3,
    )


def _stage_line(row: StageRow, native: float | None, write: Write) -> list[str]:
    return [
        prose.STAGE_KINDS[row.kind],
        row.function,
        row.given,
        milliseconds(row.p50_us, write),
        milliseconds(row.p99_us, write),
        f"{row.p50_us.median / native:.1f}" if native and row.kind == "warm" else "",
        f"{row.runs:,}",
    ]


def _bounds(results: Results) -> str:
    plan = results.plan
    return (
        f"{plan.rounds} rounds; in each, every case for {plan.seconds:g} s or "
        f"{plan.requests:,} requests at {' and '.join(map(str, plan.connections))} connections. "
        f"Stages: {plan.stage_rounds} rounds of {plan.stage_seconds:g} s or "
        f"{plan.stage_runs:,} runs. Where a suite differs, it says so."
    )


def _neighbours(results: Results) -> str:
    text = (
        f"Other processes kept {results.other_cores:.2f} cores busy meanwhile: "
        "the nearer to 0, the better the figures."
    )
    times = results.reference_ms
    if times:
        text += (
            f" A fixed piece of Python took {statistics.median(times):.1f} ms, "
            f"{min(times):.1f} at best and {max(times):.1f} at worst, at {len(times)} moments: "
            "the nearer these, the steadier the machine. It is the measure for runs elsewhere, too."
        )
    return textwrap.fill(text, _LINE_CHARS)


def _missing(name: str, remedy: str) -> str:
    return f"Not measured: {name} is not installed here ({remedy})."


def _markdown_lines(columns: Sequence[str], lines: Sequence[Sequence[str]], words: int) -> str:
    rules = ["---" if place < words else "---:" for place in range(len(columns))]
    cells = [columns, rules, *([text.replace("|", "\\|") for text in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
