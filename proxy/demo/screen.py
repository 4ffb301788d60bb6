"""What the demo prints: steps, the table of showcases, what to try; a terminal gets colours."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.demo.change import Line, Mark, change_of, request_text
from proxy.demo.hint import HINTS
from proxy.demo.response import Shown

_STYLES: dict[Mark, str] = {
    "head": "bold",
    "plain": "",
    "new": "green",
    "moved": "yellow",
    "note": "cyan",
    "error": "red",
}


class Screen:
    """Prints on a terminal or, where there is none, as plain lines without boxes or wrapping."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Tell of a piece of work while it is done, and how long it took."""
        began = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(Text(doing)):
                yield
        else:
            yield
        self.say(f"done: {doing} ({time.monotonic() - began:.1f} s)")

    def showcases(self, all_shown: Sequence[Shown]) -> None:
        """Every showcase before and after."""
        if self.console.is_terminal:
            self.console.print(_table(all_shown))
        else:
            for shown in all_shown:
                for line in plain_lines(shown):
                    self.say(line)
        for shown in all_shown:
            for fault in shown.faults:
                self.say(f"NOT AS EXPECTED: {shown.showcase.id}: {fault}")
        met = sum(not shown.faults for shown in all_shown)
        self.say(f"{met} of {len(all_shown)} showcases did what they should")

    def hints(self, url: str, backend_url: str) -> None:
        """Curl lines to try, and how to end."""
        self.say(f"\nThe proxy is on {url}, OpenSearch itself on {backend_url}. Try:")
        for hint in HINTS:
            self.say(f"\n# {hint.why}\n{hint.curl(url)}")
        self.say("\nCtrl-C stops everything and removes its data.")


def plain_lines(shown: Shown) -> Iterator[str]:
    """A showcase as lines of text."""
    showcase, change = shown.showcase, change_of(shown)
    yield ""
    yield f"{showcase.id}  ({', '.join(showcase.pipelines)})  {_verdict(shown)}"
    yield f"  {showcase.better}"
    yield f"  sent    {request_text(shown)}"
    for name, lines in (("before", change.before), ("after", change.after)):
        head, *rest = lines
        yield f"  {name:<7} {head.text}"
        for line in rest:
            yield f"          {line.text}"


def _table(all_shown: Sequence[Shown]) -> Table:
    table = Table(show_lines=True, expand=False)
    for title in ("showcase", "before", "after"):
        table.add_column(title, overflow="fold")
    for shown in all_shown:
        showcase, change = shown.showcase, change_of(shown)
        name = Text()
        name.append(f"{showcase.id}: {_verdict(shown)}", style="red" if shown.faults else "bold")
        name.append(f"\n{', '.join(showcase.pipelines)}", style="cyan")
        name.append(f"\n{showcase.better}", style="dim")
        table.add_row(name, _column(change.before), _column(change.after))
    return table


def _column(lines: Sequence[Line]) -> Text:
    return Text("\n").join(Text(line.text, style=_STYLES[line.mark]) for line in lines)


def _verdict(shown: Shown) -> str:
    return "not as expected" if shown.faults else "ok"
