"""The texts in members of a JSON text, whoever else can read it. Pure.

A text that a backend reads may be broken behind what is read, and everything in it counts: nothing
is read but these members.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from proxy.protocol.bodies.tokens import Tokens

WINDOW: Final = 1024 * 1024
_DEEPER: Final = {"{": 1, "[": 1, "}": -1, "]": -1}
# A key of letters, some of which are escapes; names are not longer.
_KEY: Final = re.compile(r'"(?:[a-z_]|\\u[0-9a-fA-F]{4}){1,16}"')
_KEY_LENGTH: Final = 6 * 16


def first_text(text: str) -> str | None:
    """The first text in there: the key of the first member, of an object that begins the text."""
    for mark, begin, end in Tokens(text):
        if mark == '"':
            return _string(text[begin:end])
    return None


def texts_under(text: str, wanted: frozenset[str]) -> Iterator[str]:
    """The texts in all members of a text that are called as `wanted`, however deep in there.

    However broken, deep or doubled the text is. In a comment members count too. Names are of
    letters.
    """
    tokens = Tokens(text)
    # Where somebody reads a value, and how deep in it: who comes to the same place goes on as one.
    readers: dict[int, int] = {}
    for next_one in chain(_values(text, wanted, tokens), (len(text),)):
        while readers and (at := min(readers)) < next_one:
            depth = readers.pop(at)
            if (token := tokens.after(at)) is None:
                continue
            mark, begin, end = token
            if mark == '"':
                yield _string(text[begin:end])
            depth += _DEEPER.get(mark, 0)
            if depth > 0 or (depth == 0 and not mark):
                readers[end] = max(readers.get(end, 0), depth)
        readers.setdefault(next_one, 0)


def _values(text: str, wanted: frozenset[str], tokens: Tokens) -> Iterator[int]:
    """Where the values of members begin, by the places of their keys."""
    plain = (_spans(text, f'"{name}"') for name in wanted)
    for _, end in heapq.merge(*plain, _escaped_keys(text, wanted)):
        if (begin := tokens.colon(end)) is not None:
            yield begin


def _spans(text: str, part: str) -> Iterator[tuple[int, int]]:
    return ((at, at + len(part)) for at in _found(text, part))


def _escaped_keys(text: str, wanted: frozenset[str]) -> Iterator[tuple[int, int]]:
    end = 0
    for at in _found(text, "\\u"):
        # Quotes in strings are escaped, so that the one before begins this string.
        begin = text.rfind('"', max(end, at - _KEY_LENGTH), at)
        if begin >= 0 and (key := _KEY.match(text, begin)) and _string(key[0]) in wanted:
            end = key.end()
            yield key.span()


def _found(text: str, part: str) -> Iterator[int]:
    """Where `part` stands in a text. No single step takes long, so that other threads go on."""
    for begin in range(0, len(text), WINDOW):
        end = begin + WINDOW + len(part) - 1
        at = text.find(part, begin, end)
        while at >= 0:
            yield at
            at = text.find(part, at + 1, end)


class _Open:
    """A bracket that is open: where its texts begin, and those of its members that are wanted."""

    def __init__(self, begin: int, *, is_wanted: bool) -> None:
        self.begin = begin
        self.is_wanted = is_wanted
        self.has_other = False
        self.members: list[tuple[int, int]] = []


def texts_beside(text: str, wanted: frozenset[str], others: frozenset[str]) -> Iterator[str]:
    """The texts in members called as `wanted` of all objects that have one called as `others` too.

    Each is told once, however many of these objects it is in.
    """
    texts: list[str] = []
    reported: list[tuple[int, int]] = []
    opened = [_Open(0, is_wanted=False)]

    def close() -> None:
        closed = opened.pop()
        if closed.is_wanted:
            opened[-1].members.append((closed.begin, len(texts)))
        if closed.has_other:
            reported.extend(closed.members)

    key, is_wanted = "", False
    for mark, begin, end in Tokens(text):
        if not mark:
            continue
        if mark == '"':
            if is_wanted:
                opened[-1].members.append((len(texts), len(texts) + 1))
            texts.append(text[begin:end])
        elif mark in "{[":
            opened.append(_Open(len(texts), is_wanted=is_wanted))
        elif mark in "}]" and len(opened) > 1:
            close()
        name = _string(key) if key and mark == ":" else ""
        opened[-1].has_other |= name in others
        is_wanted = name in wanted
        key = texts[-1] if mark == '"' else ""
    while opened:
        close()
    done = 0
    for first, last in sorted(reported):
        yield from map(_string, texts[max(first, done) : last])
        done = max(done, last)


def _string(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    try:
        text: str = json.loads(token, strict=False)
    except ValueError:
        # The backends refuse all of it for an escape they do not know.
        return token[1:-1]
    return text
