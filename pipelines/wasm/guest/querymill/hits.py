"""The hits of a response as a stage with declared `input` has them: parts to read, and edits.

What is set, deleted, dropped or moved here is written down and sent; the host does it to the whole
hits. The parts are changed as well, so that a UDF reads what it wrote.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from sys import getrefcount
from typing import Any, NoReturn

from querymill.access import MISSING, lookup
from querymill.declared import Declared, part_of

_SCORE = "_score"
_NAMES_MAX = 20
_CHARS_MAX = 500
_GONE = object()


class _Table:
    """What is known of the hits, and what was done to them. It does not refer to any `Hit`.

    What was declared comes as columns, by path, and is kept so until an object is wanted, or a
    path is written that is none of them; or, from hits of odd shapes, as an object each.
    """

    def __init__(self, given: dict, declared: Declared | None) -> None:
        self.declared = declared
        self.given: dict[str, list] = given.get("columns", {})
        for path, gaps in given.get("gaps", {}).items():
            for at in gaps:
                self.given[path][at] = MISSING
        self.parts: list[dict] | None = given.get("parts")
        self.count = given["count"] if self.parts is None else len(self.parts)
        self.dropped: set[int] = set()
        # what was set and deleted, path by path: values by position
        self.columns: list[tuple[str, dict[int, Any]]] = []
        self._open: dict[str, dict[int, Any]] = {}

    def find(self, at: int, path: str) -> Any:
        """The value at a path that is no column, or a marker that nothing is there."""
        if not isinstance(path, str):
            _check(path)
        dot = path.find(".")
        while dot >= 0:
            if path[:dot] in self.given:
                return lookup(self.given[path[:dot]][at], path[dot + 1 :])
            dot = path.find(".", dot + 1)
        return lookup(self.part(at), path)

    def missing(self, path: str) -> None:
        """Raises `NotDeclared` where nothing is at a path that was neither declared nor written."""
        if self.declared is None or any(
            f"{path}.".startswith(f"{each}.") or each.startswith(f"{path}.")
            for each, _ in self.columns
        ):
            return
        self.declared.check(path)

    def shown(self, path: str, found: Any) -> Any:
        """What was found, by the look of it for a UDF: of an object it may be only a part."""
        if self.declared is not None and type(found) is dict and path in self.declared.above:
            return part_of(self.declared.kind(f"{path}."), found)
        return found

    def has_column(self, path: str) -> bool:
        """Whether a path is a column; one name that nothing is known below becomes one."""
        given = self.given
        if path in given:
            return True
        if self.parts is not None or "." in path or any(p.startswith(f"{path}.") for p in given):
            return False
        given[path] = [MISSING] * self.count
        return True

    def part(self, at: int) -> dict:
        """What is known of a hit, as an object; made of the columns for each look."""
        if self.parts is not None:
            return self.parts[at]
        part: dict = {}
        for path, column in self.given.items():
            *above, last = path.split(".")
            node = part
            for name in above:
                node = node.setdefault(name, {})
            if column[at] is not MISSING:
                node[last] = column[at]
        return part

    def own_part(self, at: int) -> dict:
        """The same to write to: from now on objects are what is known."""
        if self.parts is None:
            self.parts = [self.part(each) for each in range(self.count)]
            self.given = {}
        return self.parts[at]

    def column(self, path: str, at: int, set: bool) -> dict[int, Any]:
        """Where what is set or deleted at `path` of hit `at` is written down.

        Columns are done one after the other, which must come to the same as what the UDF did. So
        all of before are closed by a path that leads to or from one of them, and by deleting what
        was set in this one or the other way round.
        """
        column = self._open.get(path)
        if column is None:
            _check(path)
            if any(f"{path}.".startswith(f"{p}.") or p.startswith(f"{path}.") for p in self._open):
                self._open.clear()
        elif at not in column or (column[at] is not _GONE) is set:
            return column
        else:
            self._open.clear()
        column = self._open[path] = {}
        self.columns.append((path, column))
        return column


class Hit:
    """One hit: what was declared of it can be read, and any path of it set or deleted.

    A path is names joined by dots, as in `_source.brand.name`.
    """

    __slots__ = ("_at", "_table")

    def __init__(self, table: _Table, at: int) -> None:
        self._table = table
        self._at = at

    def __getitem__(self, path: str) -> Any:
        found = self.get(path, MISSING)
        if found is MISSING:
            raise KeyError(path)
        return found

    def __contains__(self, path: str) -> bool:
        return self.get(path, MISSING) is not MISSING

    def __setitem__(self, path: str, value: Any) -> NoReturn:
        raise TypeError(f"a hit is no dict: write hit.set({path!r}, ...)")

    def __delitem__(self, path: str) -> NoReturn:
        raise TypeError(f"a hit is no dict: write hit.delete({path!r})")

    def __iter__(self) -> NoReturn:
        raise TypeError('a hit is no dict: write hit["_source.title"] for each path that is read')

    def __repr__(self) -> str:
        return f"Hit({self._table.part(self._at)!r})"

    def get(self, path: str, default: Any = None) -> Any:
        """The value at `path`, or `default` where there is none.

        Raises `NotDeclared` for a path that the stage does not declare.
        """
        table = self._table
        column = table.given.get(path)
        if column is None:
            found = table.find(self._at, path)
            if found is MISSING:
                table.missing(path)
            else:
                found = table.shown(path, found)
        else:
            found = column[self._at]
        return default if found is MISSING else found

    def set(self, path: str, value: Any) -> None:
        """Gives the hit `value` at `path`, and the objects on the way there if need be.

        Raises `ValueError` for what is no path, or leads into something else than an object.
        """
        table, at = self._table, self._at
        column = table.column(path, at, set=True)
        if table.has_column(path):
            table.given[path][at] = value
        else:
            _put(table.own_part(at), path, value)
        column[at] = value

    def delete(self, path: str) -> None:
        """Takes away what the hit has at `path`, whether it was declared or not."""
        table, at = self._table, self._at
        column = table.column(path, at, set=False)
        if path in table.given:
            table.given[path][at] = MISSING
        else:
            _put(table.own_part(at), path, _GONE)
        column[at] = _GONE

    def drop(self) -> None:
        """Leaves the hit out of the response."""
        self._table.dropped.add(self._at)


class Hits:
    """The hits that are left, in their order now. Iterating goes over those there at its start.

    Each hit is one object, from when someone holds it. What only asks every hit for something makes
    none: a hundred take longer to make than to ask.
    """

    def __init__(self, given: dict, declared: Declared | None = None) -> None:
        # Nothing of a run refers to itself: the garbage collector has nothing to find.
        self._table = _Table(given, declared)
        self._order = list(range(self._table.count))
        self._made: dict[int, Hit] | None = None
        self._lent: Hit | None = None

    def __len__(self) -> int:
        return len(self._left())

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._objects())

    def __getitem__(self, index: Any) -> Any:
        try:
            return self._objects()[index]
        except TypeError:
            raise TypeError(
                f"context.hits has its hits by number, and not {index!r}: write "
                f"for hit in context.hits: hit[{index!r}]"
            ) from None

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError(
            "context.hits is no list: write hit.set(path, value) to change a hit, "
            "context.hits.sort(key) or .rescore(scores) to move hits"
        )

    def __delitem__(self, index: Any) -> NoReturn:
        raise TypeError(
            "context.hits is no list: write hit.drop() to leave a hit out, or "
            "for hit in context.hits[10:]: hit.drop()"
        )

    def rescore(self, scores: Callable[[Hit], float] | Iterable[float]) -> None:
        """Gives every hit a new `_score`, and sorts them by it, the highest first.

        `scores` is a function of a hit, or a score for each in their order. Equal scores keep
        theirs. Raises `ValueError` and `TypeError` for scores that are none.
        """
        places = self._left()
        given = self._each(scores, places) if callable(scores) else list(scores)
        if len(given) != len(places):
            raise ValueError(f"rescore() was given {len(given)} scores for {len(places)} hits")
        numbers = [score if type(score) is float else _number(score) for score in given]
        if not all(map(math.isfinite, numbers)):
            raise ValueError("rescore() was given a score that is infinite or not a number")
        column = self._table.column(_SCORE, -1, set=True)
        column.update(zip(places, numbers, strict=True))
        if self._table.has_column(_SCORE):
            known = self._table.given[_SCORE]
            for at, score in zip(places, numbers, strict=True):
                known[at] = score
        else:
            for at, score in zip(places, numbers, strict=True):
                self._table.parts[at][_SCORE] = score
        self._arrange(places, numbers, reverse=True)

    def sort(self, key: Callable[[Hit], Any], reverse: bool = False) -> None:
        """Sorts the hits by `key(hit)`; equal ones keep their order. Scores stay."""
        places = self._left()
        self._arrange(places, self._each(key, places), reverse)

    def keep(self, function: Callable[[Hit], Any]) -> None:
        """Drops every hit for which `function(hit)` is not true."""
        places = self._left()
        wanted = self._each(function, places)
        self._table.dropped.update([at for at, yes in zip(places, wanted, strict=True) if not yes])

    def edits(self) -> dict:
        """What is to be done to the response, as the host reads it."""
        order = self._left()
        found: dict[str, Any] = {}
        if order != list(range(self._table.count)):
            found["order"] = order
        edits: list[list] = []
        for path, column in self._table.columns:
            values = {at: value for at, value in column.items() if value is not _GONE}
            if values:
                edits.append([path, list(values), list(values.values())])
            if len(values) < len(column):
                edits.append([path, [at for at in column if at not in values]])
        if edits:
            found["edits"] = edits
        return found

    def _left(self) -> list[int]:
        """The places of the hits that are left."""
        dropped = self._table.dropped
        if dropped:
            self._order = [at for at in self._order if at not in dropped]
            dropped.clear()
        return self._order

    def _arrange(self, places: list[int], keys: list[Any], reverse: bool) -> None:
        key_of = dict(zip(places, keys, strict=True))
        self._order = sorted(places, key=key_of.__getitem__, reverse=reverse)

    def _objects(self) -> list[Hit]:
        made = self._all()
        return [made[at] for at in self._left()]

    def _all(self) -> dict[int, Hit]:
        """Every hit by its place, dropped ones included; one that is lent stays what it is."""
        if self._made is None:
            self._made = {at: Hit(self._table, at) for at in range(self._table.count)}
            if self._lent is not None:
                self._made[self._lent._at] = self._lent
        return self._made

    def _each(self, function: Callable[[Hit], Any], places: list[int]) -> list[Any]:
        """What `function` gives for the hits at `places`, lent one object that stands for each in
        turn, until someone holds on to it.
        """
        found: list[Any] = []
        if self._made is None and self._lent is None:
            hit = self._lent = Hit(self._table, -1)
            free = getrefcount(hit)
            try:
                for at in places:
                    hit._at = at
                    found.append(function(hit))
                    # `_all` would hold it, too.
                    if getrefcount(hit) > free:
                        break
                else:
                    return found
                self._all()
            finally:
                self._lent = None
        made = self._all()
        return found + [function(made[at]) for at in places[len(found) :]]


def _check(path: Any) -> None:
    if not isinstance(path, str):
        raise TypeError(f"a path is a text such as '_source.title', not {type(path).__name__}")
    names = path.split(".")
    if not all(names) or len(names) > _NAMES_MAX or len(path) > _CHARS_MAX:
        raise ValueError(
            f"{path[:100]!r} is no path: 1 to {_NAMES_MAX} names joined by dots, "
            f"at most {_CHARS_MAX} characters"
        )


def _number(score: Any) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise TypeError(f"a score is a number, not {type(score).__name__}")
    return float(score)


def _put(node: dict, path: str, value: Any) -> None:
    """Sets `path` below `node`, or takes it away; a key that holds dots itself wins."""
    while path not in node:
        dot = path.find(".")
        while dot >= 0 and not isinstance(node.get(path[:dot]), dict):
            dot = path.find(".", dot + 1)
        if dot < 0:
            break
        node, path = node[path[:dot]], path[dot + 1 :]
    if value is _GONE:
        node.pop(path, None)
        return
    *above, last = [path] if path in node else path.split(".")
    for name in above:
        below = node.get(name)
        if below is not None:
            raise ValueError(f"{path!r}: {name!r} is {type(below).__name__}, not an object")
        node[name] = node = {}
    node[last] = value
