"""Keep the data plane away from the store: no request that passes may name `.querymill`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from proxy.reach import check_name, expands_hidden, narrowed, reaches_store, refusal
from proxy.store import INDEX
from proxy.target import Target, with_names

# Members of bodies that hold index names, wherever they stand.
_INDEX_MEMBERS = frozenset({"index", "indices", "_index"})
# Without one of these a body cannot name the store: its name, its letters, patterns, date math.
_SIGNS = (b"querymill", b"\\u", b"*", b'"<')
# In a format that is not read: its name, date math, or what makes patterns reach it.
_UNREAD_SIGNS = (b"querymill", b"<", b"xpand")
# A text, or part of a list, that is date math or a pattern of hidden names.
_MADE_NAME = re.compile(rb'[",](?:<|\.[^",]*\*)')


def check_target(target: Target) -> Target:
    """The request without the store: a pattern that reaches it is narrowed.

    Refuses (403) one whose path or ``index`` parameter names the store, or that would reach it in a
    way that cannot be narrowed.
    """
    for place, segment in enumerate(target.segments):
        # An id may be any text.
        if place == target.place or segment != target.id:
            for expression in segment.split(","):
                check_name(expression)
    hidden = expands_hidden(target.query.get("expand_wildcards"))
    if target.place is None and target.parameter is None:
        check_names(target.names)
        if target.names or target.bypasses | target.phases:
            check_expansion(target.names, target.query.get("expand_wildcards"))
        return target
    more = narrowed(target.names or (("*",) if hidden else ()), hidden=hidden)
    return with_names(target, more) if more else target


def check_expansion(names: Iterable[str], expand: str | None) -> None:
    """Refuse index expressions (none: all) that, with this ``expand_wildcards``, mean the store."""
    if expands_hidden(expand) and narrowed(tuple(names) or ("*",), hidden=True):
        raise refusal(",".join(names) or "*")


def check_names(names: Iterable[object]) -> None:
    """Refuse index names found in a body."""
    for name in names:
        if isinstance(name, str):
            for expression in name.split(","):
                check_name(expression)
                if reaches_store(expression, hidden=False):
                    raise refusal(expression)


def check_body(body: bytes) -> None:
    """Refuse a body (JSON, or lines of it) that names the store anywhere indices are named.

    Only a body in which the name can occur at all is parsed; one that cannot be parsed is refused,
    as nobody knows what it says.
    """
    if not can_name_store(body):
        return
    for line in [body] if _is_one_value(body) else body.split(b"\n"):
        if line.strip():
            try:
                check_names(_index_names(orjson.loads(line)))
            except orjson.JSONDecodeError:
                check_broken(line)


def check_broken(body: bytes) -> None:
    """Refuse what is no JSON here and could name the store: the backend takes more for JSON.

    It reads comments, half surrogate pairs, UTF-16 and UTF-32.
    """
    text = _without_zeroes(body)
    if b"querymill" in text or b"\\u" in text or _MADE_NAME.search(text) is not None:
        raise refusal(INDEX)


def can_name_store(body: bytes) -> bool:
    """Whether the store's name, or what the backend could make it of, is anywhere in a body."""
    text = _without_zeroes(body)
    return any(sign in text for sign in _SIGNS)


def _without_zeroes(body: bytes) -> bytes:
    # In UTF-16 and UTF-32 a name is itself with zeroes in between.
    return body.replace(b"\0", b"") if b"\0" in body else body


def check_unread(body: bytes) -> None:
    """Refuse a body in a format that is not read here, if it could name the store."""
    for sign in _UNREAD_SIGNS:
        if sign in body:
            raise refusal(sign.decode())


def named_in(body: bytes) -> list[str]:
    """The index expressions a JSON body names, for requests that name them nowhere else."""
    try:
        found = _index_names(orjson.loads(body))
    except orjson.JSONDecodeError:
        return []
    return [part for name in found if isinstance(name, str) for part in name.split(",") if part]


def _is_one_value(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """All objects of parsed JSON, however deep."""
    # Not by recursion: bodies may be nested more deeply than that goes.
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _index_names(value: Any) -> Iterable[object]:
    for each in objects_in(value):
        for key, member in each.items():
            if key in _INDEX_MEMBERS:
                yield from member if isinstance(member, list) else [member]
