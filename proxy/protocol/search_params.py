"""A search as the backend would read it: URL parameters laid over the body.

The backend lets the URL win over the body, or adds it, so a pipeline has to see the merged request,
and what was merged must leave the URL or it would override the pipeline's work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import orjson

from proxy.http.query_string import QueryString, is_true

Read = Callable[[str], Any]

# More digits fit into no integer of the backend.
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)


def merge_url(body: dict[str, Any], query: QueryString) -> tuple[dict[str, Any], QueryString]:
    """The search request that `body` and `query` make together, and what stays in the URL.

    A parameter whose value makes no sense stays where it is, for the backend to refuse.
    """
    merged = dict(body)
    taken: set[str] = set()
    _merge_q(merged, query, taken)
    for name, read in _MEMBERS.items():
        raw = query.get(name)
        if raw is None:
            continue
        try:
            merged[name] = read(raw)
        except ValueError:
            continue
        taken.add(name)
    _merge_added(merged, query, taken)
    _merge_source_filter(merged, query, taken)
    _merge_suggest(merged, query, taken)
    return merged, query.without(taken) if taken else query


def merged_text(source: bytes, query: QueryString) -> str:
    """The JSON text of `merge_url`'s request; whole numbers of any size survive.

    `source` is a valid JSON object. Raises `ValueError` where it is nested too deeply.
    """
    try:
        return dump(merge_url(json.loads(source), query)[0])
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def merge_template(body: dict[str, Any], query: QueryString) -> tuple[dict[str, Any], QueryString]:
    """The same for what a template comes to, which the URL of the template says little of.

    The backend reads a search's parameters there, and uses none of them but this one.
    """
    merged, remaining = merge_url(body, query)
    name = "track_total_hits"
    added = {name: merged[name]} if name in merged and name not in body else {}
    return {**body, **added}, remaining


def merge_query(body: dict[str, Any], query: QueryString) -> tuple[dict[str, Any], QueryString]:
    """The same for endpoints that take a query only: ``q`` and its companions.

    For where they are read: only the calls by query read them beside a body.
    """
    merged = dict(body)
    taken: set[str] = set()
    _merge_q(merged, query, taken)
    return merged, query.without(taken) if taken else query


def _whole(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(text)
    return int(text)


def _flag(text: str) -> bool:
    if text not in ("", "true", "false"):
        raise ValueError(text)
    return is_true(text)


def _set_flag(text: str) -> bool:
    # What one without a value means is another thing to each backend.
    return _flag(text or "?")


def _above_none(text: str) -> int:
    # So is what 0 does to the body's, and less is refused in the URL alone.
    if (number := _whole(text)) < 1:
        raise ValueError(text)
    return number


def _names(text: str) -> list[str]:
    """The parts of a list; as in the backend, empty ones at its end are none."""
    return text.rstrip(",").split(",") if text.rstrip(",") else []


def _total(text: str) -> bool | int:
    return text == "true" if text in ("true", "false") else _whole(text)


def _sort(text: str) -> list[Any]:
    keys: list[Any] = []
    for part in _names(text):
        field, colon, order = part.rpartition(":")
        if colon and order in ("asc", "desc"):
            keys.append({field: {"order": order}})
        elif not colon:
            # With any other order the backend leaves the field out.
            keys.append(part)
    return keys


def _merge_added(merged: dict[str, Any], query: QueryString, taken: set[str]) -> None:
    """The parameters that add to what the body has. One that cannot be added stays in the URL."""
    for name, read in _ADDED.items():
        raw = query.get(name)
        if raw is None:
            continue
        given = merged.get(name, [])
        if name == "sort" and isinstance(given, str | dict):
            given = [given]
        if not isinstance(given, list):
            continue
        if more := read(raw):
            merged[name] = [*given, *more]
        taken.add(name)


_MEMBERS: dict[str, Read] = {
    "from": _whole,
    "size": _whole,
    "explain": _set_flag,
    "version": _set_flag,
    "seq_no_primary_term": _set_flag,
    "timeout": str,
    "terminate_after": _above_none,
    "stored_fields": _names,
    "track_scores": _flag,
    "track_total_hits": _total,
    "stats": _names,
}

_ADDED: dict[str, Callable[[str], list[Any]]] = {"sort": _sort, "docvalue_fields": _names}

_Q_OPTIONS: dict[str, tuple[str, Read]] = {
    "df": ("default_field", str),
    "analyzer": ("analyzer", str),
    "analyze_wildcard": ("analyze_wildcard", _flag),
    "default_operator": ("default_operator", str),
    "lenient": ("lenient", _flag),
}


def _merge_q(merged: dict[str, Any], query: QueryString, taken: set[str]) -> None:
    text = query.get("q")
    if text is None:
        return
    clause: dict[str, Any] = {"query": text}
    names = {"q"}
    for name, (member, read) in _Q_OPTIONS.items():
        raw = query.get(name)
        if raw is None:
            continue
        try:
            clause[member] = read(raw)
        except ValueError:
            return
        names.add(name)
    merged["query"] = {"query_string": clause}
    taken |= names


_SOURCE = ("_source", "_source_includes", "_source_excludes", "_source_exclude_vectors")


def _merge_source_filter(merged: dict[str, Any], query: QueryString, taken: set[str]) -> None:
    given = {name: raw for name in _SOURCE if (raw := query.get(name)) is not None}
    if not given:
        return
    whole = given.get("_source")
    fetch: Any = whole != "false"
    includes = _names(whole) if whole not in (None, "true", "false") else None
    if (listed := given.get("_source_includes")) is not None:
        includes = _names(listed)
    excludes = given.get("_source_excludes")
    if fetch and (includes is not None or excludes is not None):
        fetch = {"includes": includes or [], "excludes": _names(excludes or "")}
    if (vectors := given.get("_source_exclude_vectors")) is not None and fetch:
        if vectors not in ("true", "false"):
            return
        fetch = fetch if isinstance(fetch, dict) else {}
        fetch["exclude_vectors"] = vectors == "true"
    if given.keys() == {"_source"} and includes is not None:
        fetch = includes
    merged["_source"] = fetch
    taken.update(given)


def _merge_suggest(merged: dict[str, Any], query: QueryString, taken: set[str]) -> None:
    field = query.get("suggest_field")
    mode = query.get("suggest_mode")
    if field is None or mode is None:
        # Without a mode both backends fail.
        return
    term: dict[str, Any] = {"field": field, "size": 5}
    try:
        if (size := query.get("suggest_size")) is not None:
            term["size"] = _whole(size)
    except ValueError:
        return
    term["suggest_mode"] = mode
    text = query.get("suggest_text") or query.get("q") or ""
    merged["suggest"] = {field: {"text": text, "term": term}}
    names = {"suggest_field", "suggest_text", "suggest_size", "suggest_mode"}
    taken |= names & query.names()


def dump(request: dict[str, Any]) -> str:
    """The JSON text of a merged request; whole numbers of any size survive."""
    try:
        return orjson.dumps(request).decode()
    except TypeError:
        return json.dumps(request)
