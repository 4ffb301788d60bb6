"""Figures as the texts of table cells."""

from __future__ import annotations

from collections.abc import Callable

from bench.figures import Spread

Write = Callable[[Spread, int], str]


def milliseconds(spread: Spread, write: Write) -> str:
    """Microseconds, told in milliseconds."""
    thousandth = Spread(spread.median / 1000, spread.low / 1000, spread.high / 1000)
    return write(thousandth, 3 if abs(thousandth.median) < 1 else 2)


def median(spread: Spread, digits: int) -> str:
    """The median alone."""
    return f"{spread.median:,.{digits}f}"


def with_spread(spread: Spread, digits: int) -> str:
    """The median, and the lowest and highest round where they differ."""
    low, high = f"{spread.low:,.{digits}f}", f"{spread.high:,.{digits}f}"
    shown = f"{spread.median:,.{digits}f}"
    return shown if low == high else f"{shown} ({low} to {high})"


def number(value: float) -> str:
    """Three digits or so: 0.25, 1.8, 103."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
