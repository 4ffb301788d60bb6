"""The edits a UDF made to the hits of a search response: read, then applied.

They come as JSON: `order`, the positions of the hits that stay in their new order (missing: all as
they are), and `edits`, one after the other: `[path, positions, values]` sets, `[path, positions]`
deletes. Positions are those of the response. Nothing of it is believed before it is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pipelines.jsontext.json_text import same
from pipelines.jsontext.projection import check_path, hits_of

_SCORE: Final = "_score"
# What a name of a path takes in JSON beside its letters: two quotes, a colon, two braces.
_NAME_BYTES: Final = 5


@dataclass(frozen=True, slots=True)
class Edit:
    """One path set (to a value for each position) or, without `values`, deleted."""

    path: str
    positions: list[int]
    values: list[Any] | None


@dataclass(frozen=True, slots=True)
class Edits:
    """All edits to one response, their shapes checked against its number of hits."""

    order: list[int] | None
    each: list[Edit]

    @property
    def path_bytes(self) -> int:
        """Most that the paths come to when they are written at every hit they are for."""
        return sum(
            len(edit.positions) * (len(edit.path.encode()) + _NAME_BYTES * edit.path.count(".") + 5)
            for edit in self.each
        )


def read_edits(value: Any, count: int) -> Edits:
    """The edits in parsed JSON, to a response with `count` hits. Raises `ValueError`."""
    if not isinstance(value, dict) or not value.keys() <= {"order", "edits"}:
        raise ValueError("its edits are not an object with order and edits")
    order, edits = value.get("order"), value.get("edits", [])
    if order is not None:
        _check_positions(order, count, "order")
    if not isinstance(edits, list):
        raise ValueError("its edits are not a list")
    return Edits(order, [_read(edit, count, f"edits[{n}]") for n, edit in enumerate(edits)])


def edited(response: dict[str, Any], edits: Edits) -> tuple[dict[str, Any], bool]:
    """The response with `edits`, and whether that differs from what it was.

    `response` is not changed, and shares what was not edited with the new one. `max_score` follows
    the scores. Raises `ValueError` for an edit of what is not there, `RecursionError` for values
    that are nested too deeply.
    """
    old = hits_of(response)
    hits = _Hits(old)
    for edit in edits.each:
        hits.apply(edit)
    moved = edits.order is not None and edits.order != list(range(len(old)))
    if not hits.settle() and not moved:
        return response, False
    new = hits.new if edits.order is None else [hits.new[position] for position in edits.order]
    around = {**response["hits"], "hits": new}
    if "max_score" in around and any(edit.path == _SCORE for edit in edits.each):
        around["max_score"] = max(_scores(new), default=None)
    return {**response, "hits": around}, True


class _Hits:
    """Hits that are copied as far as they are written to."""

    def __init__(self, old: list[Any]) -> None:
        self._old = old
        self.new = list(old)
        self._owned: set[int] = set()
        # Objects inside hits, by id; none is freed before the end, so that no id comes twice.
        self._copies: dict[int, dict[str, Any]] = {}

    def apply(self, edit: Edit) -> None:
        for position in edit.positions:
            self._own(position)
        if edit.values is None:
            for position in edit.positions:
                self._delete(position, edit.path)
        elif "." not in edit.path:
            for position, value in zip(edit.positions, edit.values, strict=True):
                self.new[position][edit.path] = value
        else:
            for position, value in zip(edit.positions, edit.values, strict=True):
                self._set(position, edit.path, value)

    def settle(self) -> bool:
        """Put back what came to the same in the end; whether anything differs."""
        differs = False
        for position in self._owned:
            if same(self._old[position], self.new[position]):
                self.new[position] = self._old[position]
            else:
                differs = True
        return differs

    def _own(self, position: int) -> None:
        if position not in self._owned:
            if not isinstance(self.new[position], dict):
                raise ValueError(f"hit {position} of the response is not an object")
            self.new[position] = dict(self.new[position])
            self._owned.add(position)

    def _set(self, position: int, path: str, value: Any) -> None:
        node = self.new[position]
        *above, last = _keys(node, path)
        for key in above:
            below = node.get(key)
            if not isinstance(below, dict | None):
                raise ValueError(f"[{path[:100]}] of hit {position}: [{key[:100]}] is no object")
            node[key] = node = self._copy({} if below is None else below)
        node[last] = value

    def _delete(self, position: int, path: str) -> None:
        node = self.new[position]
        *above, last = _keys(node, path)
        for key in above:
            below = node.get(key)
            if not isinstance(below, dict):
                return
            node[key] = node = self._copy(below)
        node.pop(last, None)

    def _copy(self, value: dict[str, Any]) -> dict[str, Any]:
        if id(value) not in self._copies:
            value = dict(value)
            self._copies[id(value)] = value
        return value


def _keys(node: dict[str, Any], path: str) -> list[str]:
    """The keys that lead to where `path` is or would be; one that holds dots itself wins."""
    keys: list[str] = []
    while path not in node:
        dot = path.find(".")
        while dot >= 0 and not isinstance(node.get(path[:dot]), dict):
            dot = path.find(".", dot + 1)
        if dot < 0:
            return keys + path.split(".")
        keys.append(path[:dot])
        node, path = node[path[:dot]], path[dot + 1 :]
    return [*keys, path]


def _read(value: Any, count: int, where: str) -> Edit:
    match value:
        case [str(path), positions]:
            values = None
        case [str(path), positions, list(values)]:
            pass
        case _:
            raise ValueError(f"{where} is not a path, positions and, to set it, values")
    check_path(path)
    _check_positions(positions, count, where)
    if values is not None:
        if len(values) != len(positions):
            raise ValueError(f"{where} has {len(values)} values for {len(positions)} hits")
        if path == _SCORE and not all(type(score) in (int, float, type(None)) for score in values):
            raise ValueError(f"{where} sets a _score that is no number")
    if path.startswith(f"{_SCORE}."):
        raise ValueError(f"{where} sets a part of a _score, which is a number")
    return Edit(path, positions, values)


def _check_positions(value: Any, count: int, where: str) -> None:
    if not isinstance(value, list):
        raise ValueError(f"{where} has no list of positions")
    for position in value:
        if type(position) is not int or not 0 <= position < count:
            raise ValueError(f"{where} names a hit that is not among the {count} of the response")
    if len(set(value)) != len(value):
        raise ValueError(f"{where} names a hit twice")


def _scores(hits: list[Any]) -> Iterator[float]:
    for hit in hits:
        score = hit.get(_SCORE) if isinstance(hit, dict) else None
        if type(score) in (int, float):
            yield score  # type: ignore[misc]
