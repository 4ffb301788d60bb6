"""The before and after in the examples' own README files, as Markdown made from a real run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

from proxy.demo.change import Line, change_of, request_text
from proxy.demo.errors import DemoError
from proxy.demo.response import Shown

BEGIN: Final = "<!-- measured:begin -->"
END: Final = "<!-- measured:end -->"

_BLOCK: Final = re.compile(f"{BEGIN}.*?{END}", re.DOTALL)
_NOTHING: Final = Line("")


def write_measured(folder: Path, all_shown: Sequence[Shown]) -> None:
    """Fill the block of each example's README under `folder`. Raises DemoError."""
    for name in dict.fromkeys(shown.showcase.example for shown in all_shown):
        path = folder / name / "README.md"
        mine = [shown for shown in all_shown if shown.showcase.example == name]
        try:
            path.write_text(filled(path.read_text(encoding="utf-8"), mine), encoding="utf-8")
        except (OSError, ValueError) as error:
            raise DemoError(f"{path} cannot be filled: {error}") from error


def filled(readme: str, mine: Sequence[Shown]) -> str:
    """`readme` with its block holding these showcases. ValueError unless it has exactly one."""
    if len(_BLOCK.findall(readme)) != 1:
        raise ValueError(f"it needs exactly one block {BEGIN}{END}")
    block = "\n\n".join([BEGIN, *(_markdown(shown) for shown in mine), END])
    return _BLOCK.sub(lambda _: block, readme)


def _markdown(shown: Shown) -> str:
    showcase, change = shown.showcase, change_of(shown)
    named = ", ".join(f"`{name}`" for name in showcase.pipelines)
    rows = list(zip_longest(change.before, change.after, fillvalue=_NOTHING))
    heads = ("without", f"with {named}")
    table = [heads, ("---", "---"), *((_cell(left), _cell(right)) for left, right in rows)]
    lines = "\n".join(f"| {left} | {right} |" for left, right in table)
    return f"{showcase.better} Sent:\n\n    {request_text(shown)}\n\n{lines}"


def _cell(line: Line) -> str:
    text = line.text.replace("|", "\\|")
    return f"**{text}**" if line.mark == "head" else text
