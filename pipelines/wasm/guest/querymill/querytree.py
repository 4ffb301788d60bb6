"""Walks and rewrites a query, so that a UDF need not know where clauses can hide.

A clause is a dict with one member: its kind and its body, {"match": {"title": "phone"}}. Plain
Python without imports from the sandbox: it runs anywhere.
"""

from collections.abc import Callable, Iterator
from typing import Any

Clause = dict[str, Any]
Visit = Callable[[str, Any], Clause | None]

MAX_DEPTH = 100

# kind -> the members of its body that hold a clause or a list of clauses
_HOLDERS: dict[str, tuple[str, ...]] = {
    "bool": ("must", "should", "filter", "must_not"),
    "boosting": ("positive", "negative"),
    "constant_score": ("filter",),
    "dis_max": ("queries",),
    "field_masking_span": ("query",),
    "function_score": ("query",),
    "has_child": ("query",),
    "has_parent": ("query",),
    "hybrid": ("queries", "filter"),
    "nested": ("query",),
    "pinned": ("organic",),
    "rule": ("organic",),
    "rule_query": ("organic",),
    "script_score": ("query",),
    "span_containing": ("big", "little"),
    "span_field_masking": ("query",),
    "span_first": ("match",),
    "span_multi": ("match",),
    "span_near": ("clauses",),
    "span_not": ("include", "exclude"),
    "span_or": ("clauses",),
    "span_within": ("big", "little"),
}
# Their filter stands beside `field`, or, as OpenSearch has it, below the field's name.
_FILTERED = ("knn", "neural")
# Its body is a clause itself.
_WRAPPING = ("template",)


def walk(query: Any) -> Iterator[tuple[str, Any]]:
    """Every clause of `query` as (kind, body), outer before inner, in the order they stand.

    Raises `ValueError` when clauses are nested deeper than `MAX_DEPTH`.
    """
    waiting: list[tuple[Any, int]] = [(query, 1)]
    while waiting:
        clause, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"the query nests clauses deeper than {MAX_DEPTH}")
        if not isinstance(clause, dict):
            continue
        for kind, body in clause.items():
            yield kind, body
            inner = [(holder[place], depth + 1) for holder, place in _places(clause, kind)]
            waiting.extend(reversed(inner))


def rewrite(query: Any, visit: Visit) -> Any:
    """A copy of `query` in which `visit(kind, body)` had its say on every clause.

    `visit` gets a clause after the clauses inside it are done, and returns the clause to stand in
    its place, or None to keep it. A replacement is not visited again, and `query` is not changed.
    Raises `ValueError` when clauses are nested deeper than `MAX_DEPTH`.
    """
    for _ in walk(query):
        pass  # the depth is checked before anything recurses
    return _rewrite(_copy(query), visit)


def _rewrite(clause: Any, visit: Visit) -> Any:
    """Works in place: `clause` is the caller's own copy, and not too deep."""
    if not isinstance(clause, dict):
        return clause
    done: Clause = {}
    for kind in clause:
        for holder, place in _places(clause, kind):
            holder[place] = _rewrite(holder[place], visit)
        replacement = visit(kind, clause[kind])
        if replacement is None:
            done[kind] = clause[kind]
        elif isinstance(replacement, dict):
            done.update(replacement)
        else:
            raise TypeError(
                f"visit({kind!r}, ...) returned {type(replacement).__name__}; "
                "it has to return a clause (a dict) or None"
            )
    return done


def _places(clause: Clause, kind: str) -> Iterator[tuple[Any, Any]]:
    """Where clauses stand inside that of this kind: (container, key or position)."""
    body = clause[kind]
    if not isinstance(body, dict):
        return
    if kind in _WRAPPING:
        yield clause, kind
    for name in _HOLDERS.get(kind, ()):
        yield from _at(body, name)
    if kind == "function_score" and isinstance(body.get("functions"), list):
        for entry in body["functions"]:
            yield from _at(entry, "filter")
    if kind in _FILTERED:
        for inner in [body] if isinstance(body.get("field"), str) else body.values():
            yield from _at(inner, "filter")


def _at(holder: Any, name: str) -> Iterator[tuple[Any, Any]]:
    place = holder.get(name) if isinstance(holder, dict) else None
    if isinstance(place, dict):
        yield holder, name
    elif isinstance(place, list):
        for position in range(len(place)):
            yield place, position


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
