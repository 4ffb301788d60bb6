"""A search as the backend would read it: URL parameters laid over the body.

The backend lets the URL win over the body, so a pipeline has to see the merged request, and what
was merged must leave the URL or it would override the pipeline's work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import orjson

from proxy.query_string import QueryString, is_true

Read = Callable[[str], Any]

# More digits fit into no integer of the backend.
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)


def merge_url(body: dict[str, Any], query: QueryString) -> tuple[dict[str, Any], QueryString]:
    """The search request that `body` and `query` make together, and what stays in the URL.

    A parameter whose value makes no sense stays where it is, for the backend to refuse.
    """
    merged = dict(body)
    taken: set[str] = {"source", "source_content_type"} & query.names()
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


def merge_query(body: dict[str, Any], query: QueryString) -> tuple[dict[str, Any], QueryString]:
    """The same for endpoints that take a query only: ``q`` and its companions."""
    merged = dict(body)
    taken: set[str] = {"source", "source_content_type"} & query.names()
    _merge_q(merged, query, taken)
    return merged, query.without(taken) if taken else query


def body_in_url(query: QueryString) -> bytes | None:
    """The body given as ``?source=``; None if there is none, or not one in JSON."""
    source = query.get("source")
    if source is None or "json" not in (query.get("source_content_type") or ""):
        return None
    return source.encode()


def _whole(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(text)
    return int(text)


def _flag(text: str) -> bool:
    if text not in ("", "true", "false"):
        raise ValueError(text)
    return is_true(text)


def _names(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def _total(text: str) -> bool | int:
    try:
        return _flag(text)
    except ValueError:
        return _whole(text)


def _sort(text: str) -> list[Any]:
    keys: list[Any] = []
    for part in _names(text):
        field, colon, order = part.rpartition(":")
        if colon and order in ("asc", "desc"):
            keys.append({field: {"order": order}})
        else:
            keys.append(part)
    return keys


_MEMBERS: dict[str, Read] = {
    "from": _whole,
    "size": _whole,
    "explain": _flag,
    "version": _flag,
    "seq_no_primary_term": _flag,
    "timeout": str,
    "terminate_after": _whole,
    "stored_fields": _names,
    "docvalue_fields": _names,
    "track_scores": _flag,
    "track_total_hits": _total,
    "sort": _sort,
    "stats": _names,
}

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


def _merge_source_filter(merged: dict[str, Any], query: QueryString, taken: set[str]) -> None:
    whole = query.get("_source")
    includes, excludes = query.get("_source_includes"), query.get("_source_excludes")
    if whole is None and includes is None and excludes is None:
        return
    if whole in ("true", "false", ""):
        fetch: Any = is_true(whole)
    else:
        fetch = _names(whole) if whole is not None else True
    if includes is not None or excludes is not None:
        listed = fetch if isinstance(fetch, list) else []
        fetch = {
            "includes": _names(includes) if includes is not None else listed,
            "excludes": _names(excludes or ""),
        }
    merged["_source"] = fetch
    taken |= {"_source", "_source_includes", "_source_excludes"} & query.names()


def _merge_suggest(merged: dict[str, Any], query: QueryString, taken: set[str]) -> None:
    field = query.get("suggest_field")
    if field is None:
        return
    term: dict[str, Any] = {"field": field, "size": 5}
    try:
        if (size := query.get("suggest_size")) is not None:
            term["size"] = _whole(size)
    except ValueError:
        return
    if (mode := query.get("suggest_mode")) is not None:
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
