"""The tokens of a JSON text, however broken, in time that grows with the text alone.

Whoever sends a text chooses how it is broken. So nothing that ends somewhere far away is looked for
again from each place before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

_MARK: Final = re.compile(r'/\*|//|[{}\[\]:,"]')
# It gives nothing back: a string without an end is left after one look.
_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_ENDS: Final = {"/*": re.compile(r"\*/"), "//": re.compile(r"(?=[\r\n])|\Z")}


# Its mark, begin and end. The mark of a whole string is a quote; brackets, colons and commas are
# their own; all the rest, as comments, has none.
Token: TypeAlias = tuple[str, int, int]


class Tokens:
    """The tokens of one text, from wherever somebody begins to read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._unclosed = len(text)
        # For each kind of comment: from where to where in a text its next end is this one.
        self._ends = {kind: (0, -1, 0) for kind in _ENDS}
        self._colons: dict[int, int | None] = {}

    def __iter__(self) -> Iterator[Token]:
        token = self.after(0)
        while token is not None:
            yield token
            token = self.after(token[2])

    def after(self, at: int) -> Token | None:
        """The first token at or after an index."""
        found = _MARK.search(self._text, at)
        if found is None:
            return None
        begin, end, mark = found.start(), found.end(), found[0]
        if mark in _ENDS:
            return "", begin, self._comment(mark, end)
        if mark == '"':
            string = _STRING.match(self._text, begin) if begin < self._unclosed else None
            if string is None:
                # Each quote after this one is escaped, so that no other string ends either.
                self._unclosed = min(self._unclosed, begin)
                return "", begin, end
            end = string.end()
        return mark, begin, end

    def colon(self, at: int) -> int | None:
        """Where a colon ends that comes next but for space and comments; None if none does."""
        passed: list[int] = []
        while at not in self._colons:
            passed.append(at)
            space = _SPACE.match(self._text, at)
            assert space is not None
            at = space.end()
            kind = self._text[at : at + 2]
            if kind not in _ENDS:
                found = at + 1 if kind[:1] == ":" else None
                break
            at = self._comment(kind, at + 2)
        else:
            found = self._colons[at]
        # What comes after a key alone is looked at once anyway.
        self._colons.update(dict.fromkeys(passed[1:], found))
        return found

    def _comment(self, kind: str, at: int) -> int:
        """The end of a comment in which an index is; the index, if it has none."""
        begin, last, end = self._ends[kind]
        if not begin <= at <= last:
            found = _ENDS[kind].search(self._text, at)
            last, end = found.span() if found else (len(self._text), -1)
            self._ends[kind] = at, last, end
        return end if end >= 0 else at
