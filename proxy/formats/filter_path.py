"""The backend's `filter_path`: which parts of a response are written at all. Pure.

The grammar: paths by comma, names by dot, ``*`` for any part of a name, ``**`` for any names (one
at least), ``\\`` before a dot that belongs to a name. A path that begins with ``-`` excludes; where
there are both kinds, a part has to be included and not excluded. OpenSearch and Elasticsearch
differ in corners: whether exclusions leave containers that were empty, and what dots and
backslashes mean where they make no sense.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

# Stands for a part that is left out; None is a value.
_NOTHING: Final = object()
_ESCAPED: Final = re.compile(r"\\.")
# A dot with no backslash before it that makes it part of the name.
_DOT: Final = re.compile(r"(?<!\\)\.")

Name = re.Pattern[str] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """What is left of one path: a `name` to be matched (None: ``**``) and the `rest` behind it.

    A path's parts are shared by all that got to the same place in it, and known by identity.
    """

    name: Name
    rest: _Path | None

    def into(self, name: str) -> tuple[_Path | None, ...]:
        """The paths that go on below a member called `name`; None for one that ends there."""
        if self.name is None:
            return (self, self.rest) if self.rest else (None,)
        return (self.rest,) if self.name.fullmatch(name) else ()


@dataclass(frozen=True, slots=True)
class FilterPath:
    """A parsed `filter_path`. With neither kind of path it leaves everything as it is.

    `keep_empty`: exclusions leave containers that were empty before.
    """

    included: tuple[_Path, ...]
    excluded: tuple[_Path, ...]
    keep_empty: bool = False

    @classmethod
    def parse(cls, text: str, *, elasticsearch: bool = False) -> FilterPath:
        """Raises `ValueError` for an exclusion of nothing, which the backend refuses."""
        paths = [path for part in text.split(",") if (path := part.strip())]
        excluding = [path[1:].strip() for path in paths if path.startswith("-")]
        if excluding and not any(excluding):
            raise ValueError("filter_path excludes nothing; a name has to follow the -")
        return cls(
            _compiled((path for path in paths if not path.startswith("-")), elasticsearch),
            _compiled((path for path in excluding if path), elasticsearch),
            keep_empty=elasticsearch,
        )

    def __bool__(self) -> bool:
        return bool(self.included or self.excluded)

    def apply(self, response: dict[str, Any]) -> dict[str, Any]:
        """What is left of a response; parts that are left whole are shared with it.

        Raises `RecursionError` where it is nested too deeply.
        """
        if self.included:
            response = _included(response, self.included)
        if self.excluded:
            response = _less(response, self.excluded, self.keep_empty)
        return response


def _compiled(paths: Iterable[str], elasticsearch: bool) -> tuple[_Path, ...]:
    split, name = (_split_elastic, _name_elastic) if elasticsearch else (_split, _name)
    compiled: list[_Path] = []
    for path in paths:
        rest: _Path | None = None
        for part in reversed(split(path)):
            rest = _Path(name(part), rest)
        if rest is not None:
            compiled.append(rest)
    return tuple(compiled)


def _split(path: str) -> list[str]:
    """The names of a path, still escaped; dots at its end are nothing."""
    names = _DOT.split(path)
    while len(names) > 1 and not names[-1]:
        names.pop()
    return names


def _split_elastic(path: str) -> list[str]:
    """The names of a path; where one would be empty, all from there on is one name."""
    names = _DOT.split(path)
    whole = names.index("") if "" in names else len(names)
    return [*names[:whole], *([".".join(names[whole:])] if whole < len(names) else [])]


def _name(part: str) -> Name:
    # A backslash and whatever follows it are a dot.
    return _glob(_ESCAPED.sub(".", part))


def _name_elastic(part: str) -> Name:
    return _glob(_ESCAPED.sub(".", part) if "\\." in part else part)


def _glob(part: str) -> Name:
    if part == "**":
        return None
    first, *pieces = map(re.escape, part.split("*"))
    if not pieces:
        return re.compile(first)
    # Each piece at its first place and never elsewhere: going back would take exponential time.
    middle = "".join(f"(?>.*?{piece})" for piece in pieces[:-1] if piece)
    return re.compile(f"{first}{middle}.*{pieces[-1]}", re.DOTALL)


def _below(paths: tuple[_Path, ...], name: str) -> tuple[tuple[_Path, ...], bool]:
    """The paths that lead on into a member, and whether one ends at it."""
    # Two ``**`` get to the same place in many ways; each place counts once.
    below = dict.fromkeys(path for each in paths for path in each.into(name))
    return tuple(path for path in below if path is not None), None in below


def _included(value: dict[str, Any], paths: tuple[_Path, ...]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, member in value.items():
        below, ends = _below(paths, name)
        part = member if ends else _reached(member, below) if below else _NOTHING
        if part is not _NOTHING:
            kept[name] = part
    return kept


def _reached(value: Any, paths: tuple[_Path, ...]) -> Any:
    if isinstance(value, dict):
        return _included(value, paths) or _NOTHING
    if isinstance(value, list):
        parts = (_reached(element, paths) for element in value)
        return [part for part in parts if part is not _NOTHING] or _NOTHING
    return _NOTHING


def _less(value: dict[str, Any], paths: tuple[_Path, ...], keep_empty: bool) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, member in value.items():
        below, ends = _below(paths, name)
        part = _NOTHING if ends else _left(member, below, keep_empty) if below else member
        if part is not _NOTHING:
            kept[name] = part
    return kept


def _left(value: Any, paths: tuple[_Path, ...], keep_empty: bool) -> Any:
    left = value
    if isinstance(value, dict):
        left = _less(value, paths, keep_empty)
    elif isinstance(value, list):
        parts = (_left(element, paths, keep_empty) for element in value)
        left = [part for part in parts if part is not _NOTHING]
    else:
        return value
    return left if left or (keep_empty and not value) else _NOTHING
