"""Progress: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from proxy.embedded import Bars, Lines, Silent, progress_on


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_lines_tell_start_quarters_and_end() -> None:
    """However many steps a download takes, five lines at most tell of it."""
    stream = io.StringIO()
    with Lines(stream).bar("downloading a.zip", 1_000_000, "bytes") as advance:
        for _ in range(1000):
            advance(1000)
    reported = stream.getvalue().splitlines()
    assert reported[:4] == [
        "downloading a.zip (1.0 MB)",
        "downloading a.zip: 25 %",
        "downloading a.zip: 50 %",
        "downloading a.zip: 75 %",
    ]
    assert reported[4].startswith("downloading a.zip: done in ")
    assert len(reported) == 5


def test_lines_know_their_units_and_an_empty_piece_of_work() -> None:
    """Seconds are estimates, files are counted, and nothing to do is no division by zero."""
    stream = io.StringIO()
    lines = Lines(stream)
    with lines.bar("starting", 14, "seconds") as advance:
        advance(30)
    with lines.bar("copying", 0, "files") as advance:
        advance(0)
    lines.say("waiting")
    reported = stream.getvalue().splitlines()
    assert reported[0] == "starting (about 14 s)"
    assert "copying (0 files)" in reported
    assert reported[-1] == "waiting"
    assert not any("%" in line for line in reported)


def test_bars_are_drawn_on_a_terminal() -> None:
    """Each unit has its own columns; a piece of work ends full even if it took less."""
    stream = Terminal()
    bars = Bars(Console(file=stream, force_terminal=True, width=100))
    with bars.bar("downloading [a]", 2_000_000, "bytes") as advance:
        advance(2_000_000)
    with bars.bar("copying", 3, "files") as advance:
        advance(1)
    with bars.bar("starting", 14, "seconds") as advance:
        advance(1)
    bars.say("plain [text]")
    drawn = stream.getvalue()
    assert "downloading [a]" in drawn
    assert "2.0/2.0 MB" in drawn
    assert "3/3 files" in drawn
    assert "of about 14 s" in drawn
    assert "plain [text]" in drawn


def test_the_stream_decides() -> None:
    """A terminal gets bars, anything else lines; silence is silent."""
    assert isinstance(progress_on(Terminal()), Bars)
    assert isinstance(progress_on(io.StringIO()), Lines)
    with Silent().bar("x", 1, "bytes") as advance:
        advance(1)
    Silent().say("x")
