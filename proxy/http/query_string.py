"""A raw query string that can lose parameters without its other bytes changing."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote_plus

# The backend's own parser takes both as separators.
_SEPARATOR = re.compile(r"([&;])")


@dataclass(frozen=True, slots=True)
class QueryString:
    """The part after ``?`` as received; names and values are decoded for looking only.

    `bare` is a ``?`` with nothing after it, which goes on as well.
    """

    raw: str
    bare: bool = False

    def get(self, name: str) -> str | None:
        """The last value of a parameter (as the backend takes it); None if it is absent."""
        if not self.raw:
            return None
        return _values(self.raw).get(name)

    def names(self) -> set[str]:
        return set(_values(self.raw))

    def pairs(self) -> list[tuple[str, str]]:
        """Every parameter with its value, in order; one that is there twice comes twice."""
        return _pairs(self.raw)

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
        return QueryString("".join(kept), self.bare)

    def with_parameter(self, name: str, value: str) -> QueryString:
        """The same string with one parameter more at the end."""
        pair = f"{quote(name, safe='')}={quote(value, safe=',*')}"
        return QueryString(f"{self.raw}&{pair}" if self.raw else pair)

    def after(self, path: str) -> str:
        """`path` with this query string, as a request target."""
        return f"{path}?{self.raw}" if self.raw or self.bare else path


# A search asks one query string for some thirty names.
@lru_cache(maxsize=256)
def _values(raw: str) -> Mapping[str, str]:
    return dict(_pairs(raw))


def _pairs(raw: str) -> list[tuple[str, str]]:
    pieces = (piece.partition("=") for piece in _SEPARATOR.split(raw)[::2] if piece)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pieces]


def is_true(value: str | None) -> bool:
    """How the backend reads a boolean parameter: present without a value is true."""
    return value is not None and value != "false"
