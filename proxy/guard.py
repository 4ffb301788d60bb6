"""Keep the data plane away from the store: no request that passes may name `.querymill`."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import orjson

from proxy.errors import ErrorAnswer
from proxy.store import INDEX
from proxy.target import Target

# Members of bodies that hold index names, wherever they stand.
_INDEX_MEMBERS = frozenset({"index", "indices", "_index"})
# Reads that show what exists, not what is in it: expanding to the store does no harm there.
_METADATA = frozenset(
    {"_settings", "_mapping", "_mappings", "_alias", "_stats", "_segments", "_recovery"}
)


def check_target(method: str, target: Target) -> None:
    """Refuse (403) a request whose path or ``index`` parameter reaches the store."""
    for segment in (*target.segments, *target.names):
        for expression in segment.split(","):
            if expression == INDEX or expression.startswith(f"{INDEX}:"):
                raise _refusal(expression)
    hidden = {"hidden", "all"} & set((target.query.get("expand_wildcards") or "").split(","))
    if method in ("GET", "HEAD") and not _METADATA.isdisjoint(target.segments):
        return
    if not target.names and not (hidden and target.bypasses | target.phases):
        return
    for expression in target.names or ("*",):
        if _reaches(expression) and (hidden or expression.startswith(".")):
            raise _refusal(expression)


def check_names(names: Iterable[object]) -> None:
    """Refuse index names found in a body."""
    for name in names:
        if isinstance(name, str):
            for expression in name.split(","):
                if _reaches(expression) and expression.startswith("."):
                    raise _refusal(expression)


def check_body(body: bytes) -> None:
    """Refuse a body (JSON, or lines of it) that names the store anywhere indices are named.

    Only a body in which the name can occur at all is parsed; one that cannot be parsed is refused,
    as nobody knows what it says.
    """
    if b"querymill" not in body and b"\\u" not in body and b"*" not in body:
        return
    for line in [body] if _is_one_value(body) else body.split(b"\n"):
        if line.strip():
            try:
                check_names(_index_names(orjson.loads(line)))
            except orjson.JSONDecodeError:
                if b"querymill" in line:
                    raise _refusal(INDEX) from None


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


def _index_names(value: Any) -> Iterable[object]:
    if isinstance(value, dict):
        for key, member in value.items():
            if key in _INDEX_MEMBERS:
                yield from member if isinstance(member, list) else [member]
            yield from _index_names(member)
    elif isinstance(value, list):
        for member in value:
            yield from _index_names(member)


def _reaches(expression: str) -> bool:
    return fnmatchcase(INDEX, expression.replace("[", "[[]").replace("?", "[?]"))


def _refusal(expression: str) -> ErrorAnswer:
    return ErrorAnswer(
        403,
        "security_exception",
        f"[{expression[:200]}] reaches the proxy's own index [{INDEX}]; definitions are managed"
        " through /_pipeline and /_udf",
    )
