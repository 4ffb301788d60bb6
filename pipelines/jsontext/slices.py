"""Where the parts of a JSON text lie, so that those nobody changed go on as they were written.

The scanning itself is the standard library's C decoder; this only walks one level at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.jsontext.json_text import scan

_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Slice:
    """A value in a text: ``text[start:end]``; `key` is its name where it is an object's member."""

    start: int
    end: int
    key: str = ""


def members(text: str, start: int = 0) -> list[Slice]:
    """The values of the object that begins at `start` (white space before it is skipped).

    Raises `ValueError` where no object begins there, or it is not JSON or nested too deeply.
    """
    return list(_walk(text, start, "{", "}"))


def first_member(text: str) -> Slice:
    """The value of the first member of the object that `text` begins with; no more is read."""
    return next(_walk(text, 0, "{", "}"))


def elements(text: str, start: int = 0) -> list[Slice]:
    """The elements of the array that begins at `start`. Raises `ValueError` as `members` does."""
    return list(_walk(text, start, "[", "]"))


def member(text: str, name: str, start: int = 0) -> Slice | None:
    """The member `name` of the object at `start`; the last one, if there are several."""
    found = [part for part in members(text, start) if part.key == name]
    return found[-1] if found else None


def replaced(text: str, changes: list[tuple[Slice, str]]) -> str:
    """`text` with other texts in the places of some slices, which must not overlap."""
    pieces: list[str] = []
    position = 0
    for part, new in sorted(changes, key=lambda change: change[0].start):
        pieces += [text[position : part.start], new]
        position = part.end
    return "".join([*pieces, text[position:]])


def with_member(text: str, name: str, value: str) -> str:
    """The object `text` with one member: its value replaced, or added at the end.

    `value` is JSON. Raises `ValueError` where `text` is no JSON object.
    """
    parts = members(text)
    found = [part for part in parts if part.key == name]
    if found:
        return replaced(text, [(part, value) for part in found])
    end = text.rindex("}")
    return f"{text[:end]}{',' if parts else ''}{json.dumps(name)}:{value}{text[end:]}"


def without_member(text: str, name: str) -> str:
    """The object `text` less its members `name`. Raises `ValueError` where it is no JSON object."""
    kept: list[str] = []
    begin = text.index("{") + 1
    for part in members(text):
        if part.key != name:
            kept.append(text[begin : part.end])
        begin = text.find(",", part.end) + 1
    end = text.rindex("}")
    return f"{text[: text.index('{') + 1]}{','.join(kept)}{text[end:]}"


def _walk(text: str, start: int, opening: str, closing: str) -> Iterator[Slice]:
    position = _skip(text, start)
    if text[position : position + 1] != opening:
        raise ValueError(f"expected [{opening}] at character {position}")
    position = _skip(text, position + 1)
    if text[position : position + 1] == closing:
        return
    while True:
        key = ""
        if opening == "{":
            key, position = _key(text, position)
        _, end = _decoded(text, position)
        yield Slice(position, end, key)
        position = _skip(text, end)
        mark = text[position : position + 1]
        if mark == closing:
            return
        if mark != ",":
            raise ValueError(f"expected [,] or [{closing}] at character {position}")
        position = _skip(text, position + 1)


def _key(text: str, position: int) -> tuple[str, int]:
    key, end = _decoded(text, position)
    colon = _skip(text, end)
    if text[position] != '"' or text[colon : colon + 1] != ":":
        raise ValueError(f"expected a member at character {position}")
    return key, _skip(text, colon + 1)


def _decoded(text: str, position: int) -> tuple[Any, int]:
    try:
        return scan(text, position)
    except RecursionError as error:
        raise ValueError(f"nested too deeply at character {position}") from error


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
