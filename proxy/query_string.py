"""A raw query string that can lose parameters without its other bytes changing."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus

# The backend's own parser takes both as separators.
_SEPARATOR = re.compile(r"([&;])")


@dataclass(frozen=True, slots=True)
class QueryString:
    """The part after ``?`` as received; names and values are decoded for looking only."""

    raw: str

    def get(self, name: str) -> str | None:
        """The last value of a parameter (as the backend takes it); None if it is absent."""
        if not self.raw:
            return None
        found = None
        for piece in _SEPARATOR.split(self.raw)[::2]:
            key, _, value = piece.partition("=")
            if unquote_plus(key) == name:
                found = unquote_plus(value)
        return found

    def names(self) -> set[str]:
        pieces = _SEPARATOR.split(self.raw)[::2]
        return {unquote_plus(piece.partition("=")[0]) for piece in pieces if piece}

    def without(self, names: Collection[str]) -> QueryString:
        """The same string less every occurrence of these parameters."""
        pieces = _SEPARATOR.split(self.raw)
        kept: list[str] = []
        for position in range(0, len(pieces), 2):
            if unquote_plus(pieces[position].partition("=")[0]) in names:
                continue
            if kept:
                kept.append(pieces[position - 1])
            kept.append(pieces[position])
        return QueryString("".join(kept))

    def with_parameter(self, name: str, value: str) -> QueryString:
        """The same string with one parameter more at the end."""
        pair = f"{quote(name, safe='')}={quote(value, safe=',*')}"
        return QueryString(f"{self.raw}&{pair}" if self.raw else pair)

    def after(self, path: str) -> str:
        """`path` with this query string, as a request target."""
        return f"{path}?{self.raw}" if self.raw else path


def is_true(value: str | None) -> bool:
    """How the backend reads a boolean parameter: present without a value is true."""
    return value is not None and value != "false"
