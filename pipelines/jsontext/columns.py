"""The declared fields of hits as columns, a list for each path: read and written in a third of the
time that an object for each hit takes.

Only hits of one plain shape make columns: objects whose members on the way to a path are objects
too, without a key that is itself a path. Other hits go as parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import contains
from typing import Any, Final, TypeAlias

_MISSING: Final = object()

Columns: TypeAlias = dict[str, list[Any]]
Gaps: TypeAlias = dict[str, list[int]]
"""By path, the positions of the hits that have nothing there; the column holds null for them."""


class Column:
    """One declared path, ready for use on any hits."""

    def __init__(self, path: str) -> None:
        self.path = path
        *above, self._leaf = names = path.split(".")
        # At each object on the way, the keys with dots that would be found before its name.
        self._above = [(name, _joined(names[at:])) for at, name in enumerate(above)]

    def of(self, hits: Sequence[Any]) -> list[Any] | None:
        """The value of each hit, or a marker for none; None where the hits are not plain."""
        nodes = hits
        for name, others in self._above:
            if not _are_objects(nodes) or any(_has(nodes, other) for other in others):
                return None
            nodes = [node.get(name) for node in nodes]
        if not _are_objects(nodes):
            return None
        leaf = self._leaf
        return [node.get(leaf, _MISSING) for node in nodes]


def columns_for(paths: Sequence[str]) -> list[Column] | None:
    """A column for each path; None where one path leads into another, as a value has one place."""
    if any(path.startswith(f"{other}.") for path in paths for other in paths):
        return None
    return [Column(path) for path in paths]


def read_columns(columns: Sequence[Column], hits: Sequence[Any]) -> tuple[Columns, Gaps] | None:
    """The columns of `hits` and their gaps; None where one of the hits is not plain."""
    read: Columns = {}
    gaps: Gaps = {}
    for column in columns:
        values = column.of(hits)
        if values is None:
            return None
        if _MISSING in values:
            gaps[column.path] = [at for at, value in enumerate(values) if value is _MISSING]
            values = [None if value is _MISSING else value for value in values]
        read[column.path] = values
    return read, gaps


def _are_objects(values: Iterable[Any]) -> bool:
    return set(map(type, values)) <= {dict}


def _has(nodes: Iterable[Any], key: str) -> bool:
    return any(map(contains, nodes, repeat(key)))


def _joined(names: Sequence[str]) -> list[str]:
    """The keys with dots in them that `names` begin with."""
    return [".".join(names[:count]) for count in range(2, len(names) + 1)]
