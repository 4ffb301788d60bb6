"""Results as tables: on the terminal, and as the Markdown of docs/BENCHMARKS.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable

from bench.figures import Case, Row, Spread, StageRow, rows, stage_rows
from bench.prose import CAVEATS, INTRODUCTION, SEARCH_NOTE, STAGE_KINDS, STAGE_NOTE, STATIC_NOTE
from bench.results import Results
from bench.traffic import SEARCH_CASES, STATIC_CASES

Write = Callable[[Spread, int], str]


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
    write = _with_spread if spread else _median
    static = "Pass-through to a static backend"
    return [
        *_traffic("Searches on OpenSearch", SEARCH_NOTE, results, SEARCH_CASES, write),
        *_traffic(static, STATIC_NOTE, results, STATIC_CASES, write),
        _stages(results, write),
    ]


def show(results: Results, console: Console) -> None:
    """Print the tables, of medians alone."""
    for table in tables(results, spread=False):
        shown = RichTable(title=table.title, title_justify="left")
        for number, column in enumerate(table.columns):
            shown.add_column(column, justify="left" if number < table.words else "right")
        for line in table.lines:
            shown.add_row(*line)
        console.print(shown)
    console.print(_neighbours(results), highlight=False)


def markdown(results: Results) -> str:
    """The whole document."""
    blocks = ["# Benchmarks", INTRODUCTION.format(command=results.command, made=results.made)]
    blocks += ["## Machine", _markdown_lines(("what", "value"), list(results.machine.items()), 2)]
    blocks += [_bounds(results), _neighbours(results)]
    title = ""
    for table in tables(results):
        section, _, part = table.title.partition(", ")
        if section != title:
            title = section
            sizes = {"products": results.products, "bytes": results.static_bytes}
            blocks += [f"## {section}", table.note.format(**sizes)]
        blocks += [f"### {part[:1].upper()}{part[1:]}"] if part else []
        blocks.append(_markdown_lines(table.columns, table.lines, table.words))
    blocks += ["## How to read this", "\n".join(f"- {caveat}" for caveat in CAVEATS)]
    return "\n\n".join(blocks) + "\n"


def _traffic(
    title: str, note: str, results: Results, cases: Sequence[Case], write: Write
) -> Iterator[Table]:
    names = {case.name for case in cases}
    found = rows([s for s in results.samples if s.case in names], cases)
    for level in sorted({row.connections for row in found}):
        connections = f"{level} connection" + ("s" if level > 1 else "")
        yield Table(
            title=f"{title}, {connections}",
            note=note,
            columns=(
                "case",
                "p50 ms",
                "p99 ms",
                "p50, times direct",
                "p99, times direct",
                "proxy adds, ms",
                "requests/s",
                "proxy CPU, us/request",
            ),
            lines=[_line(row, write) for row in found if row.connections == level],
        )


def _line(row: Row, write: Write) -> list[str]:
    through = row.cpu_us is not None
    return [
        row.case + (f" ({row.degraded} degraded)" if row.degraded else ""),
        _milliseconds(row.p50_us, write),
        _milliseconds(row.p99_us, write),
        write(row.ratio_p50, 2),
        write(row.ratio_p99, 2),
        _milliseconds(row.added_us, write) if through else "",
        f"{row.requests_a_second:,.0f}",
        f"{row.cpu_us:,.0f}" if row.cpu_us is not None else "",
    ]


def _stages(results: Results, write: Write) -> Table:
    found = stage_rows(results.stages)
    native = {(r.function, r.given): r.p50_us.median for r in found if r.kind == "native"}
    return Table(
        title="Stages",
        note=STAGE_NOTE,
        columns=("what", "function", "given", "p50 ms", "p99 ms", "p50, times native", "runs"),
        lines=[_stage_line(row, native.get((row.function, row.given)), write) for row in found],
        words=3,
    )


def _stage_line(row: StageRow, native: float | None, write: Write) -> list[str]:
    return [
        STAGE_KINDS[row.kind],
        row.function,
        row.given,
        _milliseconds(row.p50_us, write),
        _milliseconds(row.p99_us, write),
        f"{row.p50_us.median / native:.1f}" if native and row.kind == "warm" else "",
        f"{row.runs:,}",
    ]


def _bounds(results: Results) -> str:
    plan = results.plan
    return (
        f"{plan.rounds} rounds; in each, every case for {plan.seconds:g} s or "
        f"{plan.requests:,} requests at {' and '.join(map(str, plan.connections))} connections. "
        f"Stages: {plan.stage_rounds} rounds of {plan.stage_seconds:g} s or "
        f"{plan.stage_runs:,} runs."
    )


def _neighbours(results: Results) -> str:
    return (
        f"Other processes kept {results.other_cores:.2f} cores busy while searches were measured: "
        "the nearer to 0, the better the figures."
    )


def _markdown_lines(columns: Sequence[str], lines: Sequence[Sequence[str]], words: int) -> str:
    rules = ["---" if number < words else "---:" for number in range(len(columns))]
    cells = [columns, rules, *([text.replace("|", "\\|") for text in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _milliseconds(spread: Spread, write: Write) -> str:
    thousandth = Spread(spread.median / 1000, spread.low / 1000, spread.high / 1000)
    return write(thousandth, 3 if abs(thousandth.median) < 1 else 2)


def _median(spread: Spread, digits: int) -> str:
    return f"{spread.median:.{digits}f}"


def _with_spread(spread: Spread, digits: int) -> str:
    if f"{spread.low:.{digits}f}" == f"{spread.high:.{digits}f}":
        return f"{spread.median:.{digits}f}"
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"
