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


def walk_request(request: Any) -> Iterator[tuple[str, Any]]:
    """`walk` for every clause of a whole search request, wherever it has one."""
    for holder, place in _places_in_request(request, 1):
        yield from walk(holder[place])


def rewrite_request(request: Any, visit: Visit) -> Any:
    """A copy of a whole search request, `rewrite` done to each clause it has.

    Beside its `query` those are in `post_filter`, `rescore`, `knn`, aggregations, the filters of a
    nested sort, `highlight`, `sub_searches` and retrievers.
    """
    for _ in walk_request(request):
        pass
    new = _copy(request)
    for holder, place in _places_in_request(new, 1):
        holder[place] = _rewrite(holder[place], visit)
    return new


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


def _places_in_request(request: Any, depth: int) -> Iterator[tuple[Any, Any]]:
    """Where clauses stand in a request, or in a part of one that is made like it."""
    if depth > MAX_DEPTH:
        raise ValueError(f"the request nests deeper than {MAX_DEPTH}")
    if not isinstance(request, dict):
        return
    for name in ("query", "post_filter"):
        yield from _at(request, name)
    for rescorer in _each(request.get("rescore")):
        yield from _at(rescorer.get("query"), "rescore_query")
    for search in _each(request.get("knn")):
        yield from _at(search, "filter")
    for search in _each(request.get("sub_searches")):
        yield from _at(search, "query")
    for name in ("aggs", "aggregations"):
        yield from _places_in_aggs(request.get(name), depth)
    for key in _each(request.get("sort")):
        for options in _each(list(key.values())):
            yield from _places_in_sort(options, depth)
    highlight = request.get("highlight")
    for place in (highlight, *_fields_of(highlight)):
        yield from _at(place, "highlight_query")
    yield from _places_in_retriever(request.get("retriever"), depth)


def _places_in_aggs(aggs: Any, depth: int) -> Iterator[tuple[Any, Any]]:
    if depth > MAX_DEPTH:
        raise ValueError(f"the request nests aggregations deeper than {MAX_DEPTH}")
    for aggregation in _each(list(aggs.values()) if isinstance(aggs, dict) else None):
        yield from _at(aggregation, "filter")
        for kind in ("filters", "adjacency_matrix"):
            filters = aggregation.get(kind)
            clauses = filters.get("filters") if isinstance(filters, dict) else None
            if isinstance(clauses, dict):
                for name in clauses:
                    yield from _at(clauses, name)
            else:
                yield from _at(filters, "filters")
        for kind in ("significant_terms", "significant_text"):
            yield from _at(aggregation.get(kind), "background_filter")
        for name in ("aggs", "aggregations"):
            yield from _places_in_aggs(aggregation.get(name), depth + 1)


def _places_in_sort(options: Any, depth: int) -> Iterator[tuple[Any, Any]]:
    nested = options.get("nested")
    while isinstance(nested, dict) and depth <= MAX_DEPTH:
        yield from _at(nested, "filter")
        nested, depth = nested.get("nested"), depth + 1


def _places_in_retriever(retriever: Any, depth: int) -> Iterator[tuple[Any, Any]]:
    if depth > MAX_DEPTH:
        raise ValueError(f"the request nests retrievers deeper than {MAX_DEPTH}")
    for body in _each(list(retriever.values()) if isinstance(retriever, dict) else None):
        for name in ("query", "filter"):
            yield from _at(body, name)
        for rescorer in _each(body.get("rescore")):
            yield from _at(rescorer.get("query"), "rescore_query")
        yield from _places_in_retriever(body.get("retriever"), depth + 1)
        for inner in _each(body.get("retrievers")):
            # `linear` has each beside its weight
            yield from _places_in_retriever(inner.get("retriever", inner), depth + 1)


def _each(value: Any) -> list[dict]:
    """The objects of a list, or the one that stands for it."""
    return [each for each in (value if isinstance(value, list) else [value]) if _is_dict(each)]


def _fields_of(highlight: Any) -> list[dict]:
    fields = highlight.get("fields") if isinstance(highlight, dict) else None
    named = [each for fields in _each(fields) for each in fields.values()]
    return _each(named)


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


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
