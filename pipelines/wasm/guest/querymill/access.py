"""The first style's view of what a stage was given: values by path.

A path is a name or names joined by dots, and numbers pick from lists: `brand.name`, `tags.0`.
A key that itself holds dots wins over the same path taken apart. What a path starts from:

query stage     `query` is the query clause, any other name a member of the request
document stage  the fields of the document; `document` is all of it, unless it has such a field
result stage    `results` is the response, `request` the request, `query` its query clause;
                any other name is a member of the response
"""

import json
from collections.abc import Callable
from typing import Any

from querymill.current import current

MISSING = object()
# plain look-ups: of an object that is given in part, others ask what was declared
_has, _item_of = dict.__contains__, dict.__getitem__
_WORDS = {"true": True, "false": False, "1": True, "0": False}
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def get_field(path: str, default: Any = None) -> Any:
    """The value at `path`, or `default` where there is none."""
    found = _field(path)
    return default if found is MISSING else found


def has_field(path: str) -> bool:
    """Whether there is a value at `path`; null is one."""
    return _field(path) is not MISSING


def get_field_string(path: str, default: Any = None) -> Any:
    """The text at `path`; anything else as JSON. `default` for what is missing or null."""
    return _as(_string, _field(path), default)


def get_field_int(path: str, default: Any = None) -> Any:
    """The number at `path` as an int; text is read. `default` where that cannot be done."""
    return _as(int, _field(path), default)


def get_field_float(path: str, default: Any = None) -> Any:
    """The number at `path` as a float; text is read. `default` where that cannot be done."""
    return _as(float, _field(path), default)


def get_field_bool(path: str, default: Any = None) -> Any:
    """The truth at `path`; the words true, false, 1 and 0 are read. Otherwise `default`."""
    return _as(_bool, _field(path), default)


def get_param(name: str, default: Any = None) -> Any:
    """The stage's parameter `name`, or `default` where it is not set."""
    found = lookup(current.params, name)
    return default if found is MISSING else found


def get_param_string(name: str, default: Any = None) -> Any:
    """The parameter as text, as `get_field_string` does."""
    return _as(_string, lookup(current.params, name), default)


def get_param_int(name: str, default: Any = None) -> Any:
    """The parameter as an int, as `get_field_int` does."""
    return _as(int, lookup(current.params, name), default)


def get_param_float(name: str, default: Any = None) -> Any:
    """The parameter as a float, as `get_field_float` does."""
    return _as(float, lookup(current.params, name), default)


def get_param_bool(name: str, default: Any = None) -> Any:
    """The parameter as a truth, as `get_field_bool` does."""
    return _as(_bool, lookup(current.params, name), default)


def lookup(tree: Any, path: str) -> Any:
    """The value at `path` below `tree`, or a marker that nothing is there."""
    if isinstance(tree, list):
        return _item(tree, path)
    if not isinstance(tree, dict):
        return MISSING
    if _has(tree, path):
        return _item_of(tree, path)
    dot = path.find(".")
    while dot >= 0:
        if _has(tree, path[:dot]):
            found = lookup(_item_of(tree, path[:dot]), path[dot + 1 :])
            if found is not MISSING:
                return found
        dot = path.find(".", dot + 1)
    return MISSING


def _item(items: list, path: str) -> Any:
    head, _, rest = path.partition(".")
    if not (head.isascii() and head.isdigit()) or int(head) >= len(items):
        return MISSING
    return lookup(items[int(head)], rest) if rest else items[int(head)]


def _field(path: str) -> Any:
    if not current.phase:
        raise RuntimeError(f"get_field({path!r}): nothing is being run; call it in the function")
    head, _, rest = path.partition(".")
    if current.phase == "document":
        found = lookup(current.payload, path)
        if found is MISSING and head == "document":
            return _below(current.payload, rest)
        return _declared(path, found)
    root = _root(head)
    if root is MISSING:
        return _declared(path, lookup(current.payload, path))
    if root is current.payload:
        return _below(root, rest)
    return lookup(root, rest) if rest else root


def _below(payload: Any, path: str) -> Any:
    return _declared(path, lookup(payload, path)) if path else payload


def _declared(path: str, found: Any) -> Any:
    """What was found in the payload; it is an error to look for what was not declared."""
    if found is MISSING and current.declared is not None:
        current.declared.check(path)
    return found


def _root(head: str) -> Any:
    """What a query or result stage calls by a name of its own."""
    if current.phase == "result" and head == "results":
        return current.payload
    if current.phase == "result" and head == "request":
        return current.request if current.request is not None else {}
    if head == "query":
        request = current.request if current.phase == "result" else current.payload
        clause = request.get("query") if isinstance(request, dict) else None
        return {"match_all": {}} if clause is None else clause
    return MISSING


def _as(kind: Callable[[Any], Any], value: Any, default: Any) -> Any:
    if value is MISSING or value is None:
        return default
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        return default


def _string(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value)


def _bool(value: Any) -> bool:
    if isinstance(value, str):
        word = value.strip().lower()
        if word not in _WORDS:
            raise ValueError(value)
        return _WORDS[word]
    if isinstance(value, bool | int | float):
        return bool(value)
    raise TypeError(value)
