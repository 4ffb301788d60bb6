"""Puts the parts that an edit did not touch back as they were written.

A stage sees values, so what it gives back is written anew: ``1.10`` becomes ``1.1``, ``1e5``
becomes ``100000.0``, and of two equal keys one is left. Here the old text is read along the new
value, once; each part that is equal to the part at the same place before is cut out of the old
text. The place of an object's member is its key. In an array it is the index, but hits (objects
with an ``_id``) are known by it wherever they moved, and other elements that did not change are
found where they went.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from pipelines.jsontext.json_text import one_line, parse, same, scan, write

_SPACE: Final = re.compile(r"[ \t\r\n]*").match
_SEPARATOR: Final = re.compile(r"[ \t\r\n]*[:,]?[ \t\r\n]*").match
_WHITE: Final = b" \t\r\n"


def graft(old: str, new: str) -> str:
    """The JSON text `new` with all its unchanged parts as they are in `old`, on one line.

    Both are valid JSON. The result has the value of `new`. What is nested too deeply to be walked
    comes back as it came.
    """
    try:
        return one_line(_Grafter(old).whole(parse(old), parse(new)))
    except (RecursionError, ValueError, TypeError):
        return one_line(new)


def loses_nothing(text: str, value: Any, written: bytes | None = None) -> bool:
    """Whether writing `value`, which was read from `text`, gives `text`, whoever writes it.

    White space between values does not count. There is nothing to put back then. Takes a tenth of
    the time of `graft`. `written` is the value as orjson writes it, if the caller has that.
    """
    if written is None:
        try:
            written = orjson.dumps(value)
        except TypeError:
            return False
    return is_plain(text, written) and not _has_small_float(text)


def is_plain(text: str, written: bytes) -> bool:
    """Whether what orjson writes of the value of `text` differs from it in white space alone.

    What `graft` would make of a new value that orjson wrote differs in no more, either.
    """
    raw = text.encode()
    # Without all white space on both sides: what is inside strings was read from there.
    return written == raw or written.translate(None, _WHITE) == raw.translate(None, _WHITE)


def _has_small_float(text: str) -> bool:
    """Whether there may be a float below 0.0001, of which writers of JSON differ in the form."""
    # The first look takes a third of the time of the second.
    if ".0000" in text and "0.0000" in text:
        return True
    # Not by a pattern of a digit before it, which takes ten times as long to find nothing.
    at = text.find("e-")
    while at > 0:
        if text[at - 1].isdigit():
            return True
        at = text.find("e-", at + 2)
    return False


class _Grafter:
    """Walks one text from left to right. Each method takes the index of a value's first character,
    and returns the text to write for it and the index after its last.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def whole(self, old: Any, new: Any) -> str:
        return self._value(self._inside(-1), old, new)[0]

    def _value(self, at: int, old: Any, new: Any) -> tuple[str, int]:
        first = self._text[at]
        if same(old, new):
            return self._slice(at)
        if first == "{" and isinstance(old, dict) and isinstance(new, dict):
            return self._object(at, old, new)
        if first == "[" and isinstance(old, list) and isinstance(new, list):
            return self._array(at, old, new)
        return write(new), self._end(at)

    def _object(self, at: int, old: dict[str, Any], new: dict[str, Any]) -> tuple[str, int]:
        # Of a key that stands there twice the last value counts. If that did not change both stay,
        # if it did the last is written; until then `old` may tell nothing of what stands there.
        written: dict[str, list[str]] = {}
        unchanged = {key for key, value in old.items() if key in new and same(value, new[key])}
        at = self._inside(at)
        while self._text[at] != "}":
            key, end = scan(self._text, at)
            name = self._text[at:end]
            at = self._next(end)
            if key in unchanged:
                value, at = self._slice(at)
                written.setdefault(key, []).append(f"{name}:{value}")
            elif key in old and key in new:
                value, at = self._value(at, old[key], new[key])
                written[key] = [f"{name}:{value}"]
            else:
                at = self._end(at)
            at = self._next(at)
        members = (
            member
            for key, value in new.items()
            for member in written.get(key) or (f"{write(key)}:{write(value)}",)
        )
        return "{" + ",".join(members) + "}", at + 1

    def _array(self, at: int, old: list[Any], new: list[Any]) -> tuple[str, int]:
        went = dict(_places(old, new))
        written: dict[int, str] = {}
        at = self._inside(at)
        index = 0
        while self._text[at] != "]":
            place = went.get(index)
            if place is None:
                at = self._end(at)
            else:
                written[place], at = self._value(at, old[index], new[place])
            at = self._next(at)
            index += 1
        elements = (written.get(place) or write(value) for place, value in enumerate(new))
        return "[" + ",".join(elements) + "]", at + 1

    def _slice(self, at: int) -> tuple[str, int]:
        end = self._end(at)
        return self._text[at:end], end

    def _end(self, at: int) -> int:
        end: int = scan(self._text, at)[1]
        return end

    def _inside(self, at: int) -> int:
        """The index of what comes after the bracket at `at`."""
        found = _SPACE(self._text, at + 1)
        assert found is not None
        return found.end()

    def _next(self, at: int) -> int:
        """The index of what comes after the colon or comma at or behind `at`, if there is one."""
        found = _SEPARATOR(self._text, at)
        assert found is not None
        return found.end()


def _places(old: list[Any], new: list[Any]) -> Iterator[tuple[int, int]]:
    """For elements of an old array, their index there and in the new one; no index comes twice."""
    by_id = _ids(old)
    if by_id and (ids := _ids(new)):
        yield from ((index, ids[key]) for key, index in by_id.items() if key in ids)
        return
    yield from _moved(old, new)


def _ids(elements: list[Any]) -> dict[tuple[Any, Any], int]:
    """The index of each hit by what identifies it; empty where these are no hits, or not unique."""
    found = {
        (element.get("_index"), element["_id"]): index
        for index, element in enumerate(elements)
        if isinstance(element, dict)
        and isinstance(element.get("_id"), str)
        and isinstance(element.get("_index"), str | None)
    }
    return found if len(found) == len(elements) else {}


def _moved(old: list[Any], new: list[Any]) -> Iterator[tuple[int, int]]:
    before, after = [write(element) for element in old], [write(element) for element in new]
    stays = {index for index, (a, b) in enumerate(zip(before, after, strict=False)) if a == b}
    free: dict[str, list[int]] = {}
    for place in reversed(range(len(new))):
        if place not in stays:
            free.setdefault(after[place], []).append(place)
    moved = {
        index: free[text].pop()
        for index, text in enumerate(before)
        if index not in stays and free.get(text)
    }
    yield from ((index, index) for index in stays)
    yield from moved.items()
    # What changed where it stands may still hold parts that did not.
    taken = stays | set(moved.values())
    yield from (
        (index, index)
        for index in range(min(len(old), len(new)))
        if index not in taken and index not in moved
    )
