"""Charts of bars as SVG, written by hand: a reader needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from bench import passing, searching
from bench.cells import number
from bench.figures import Row, rows
from bench.results import Results

_WIDTH: Final = 720
_LABELS: Final = 260
_VALUES: Final = 90
_BAR: Final = 18
_STEP: Final = 26
_TOP: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Bars with a name and a value each, for one section of the report."""

    section: str
    title: str
    file: str
    bars: Sequence[tuple[str, float]]

    def svg(self) -> str:
        """The picture, readable on light and dark."""
        height = _TOP + _STEP * len(self.bars) + 8
        longest = max((value for _, value in self.bars), default=0.0) or 1.0
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="13">',
            f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
            f'<text x="8" y="22" font-size="15" fill="#222">{escape(self.title)}</text>',
        ]
        room = _WIDTH - _LABELS - _VALUES
        for place, (name, value) in enumerate(self.bars):
            top = _TOP + _STEP * place
            wide = max(value, 0.0) / longest * room
            text = f'y="{top + 13}" fill="#222"'
            parts += [
                f'<text x="{_LABELS - 8}" {text} text-anchor="end">{escape(name)}</text>',
                f'<rect x="{_LABELS}" y="{top}" width="{wide:.1f}" height="{_BAR}" '
                f'fill="{"#2b6cb0" if name.startswith("querymill") else "#90a4ae"}"/>',
                f'<text x="{_LABELS + wide + 6:.1f}" {text}>{number(value)}</text>',
            ]
        return "\n".join([*parts, "</svg>", ""])


def charts(results: Results) -> list[Chart]:
    """Those for which something was measured."""
    return [chart for chart in _charts(results) if chart.bars]


def _charts(results: Results) -> Iterator[Chart]:
    yield Chart(
        section=passing.PASS_TITLE,
        title="CPU of a pass-through, microseconds a request at 32 connections",
        file="pass-through-cpu.svg",
        bars=[(r.case, r.cpu_us) for r in _rows(results, passing.PASS_TITLE, 32) if r.cpu_us],
    )
    yield Chart(
        section=passing.REWRITE_TITLE,
        title="CPU of a rewrite, microseconds a request at 32 connections",
        file="rewrite-cpu.svg",
        bars=[(r.case, r.cpu_us) for r in _rows(results, passing.REWRITE_TITLE, 32) if r.cpu_us],
    )
    for section, file, title in (
        (passing.COST_TITLE, "hits-and-stages.svg", "Added p50, ms, by hits and by stages"),
        (searching.SEARCH_TITLE, "searches.svg", "Added p50 of a search, ms"),
    ):
        added = [r for r in _rows(results, section, 1) if r.added_to]
        bars = [(r.case, r.added_us.median / 1000) for r in added]
        yield Chart(section=section, title=f"{title}, at 1 connection", file=file, bars=bars)


def _rows(results: Results, title: str, connections: int) -> list[Row]:
    return [
        row
        for suite in results.suites
        if suite.title == title
        for row in rows(suite.samples, suite.cases)
        if row.connections == connections
    ]
