"""What to write instead, for an error that a natural mistake with what a UDF is given comes to.

Looked for after a run failed, so that a run that does not pays nothing for it.
"""

import builtins
from collections.abc import Iterable
from difflib import get_close_matches
from traceback import walk_tb
from types import FunctionType, ModuleType
from typing import Any

import querymill
from querymill.current import Context, current
from querymill.declared import Part
from querymill.hits import Hit, Hits

_NAME_CHARS = 100
_NAMES = {
    **{name: f"context.{name}" for name in ("params", "hits", "state", "metadata", "headers")},
    **dict.fromkeys(("query", "request", "document", "results"), 'get_field("{name}")'),
    "ctx": "context",
    "doc": 'get_field("document")',
    "parameters": "context.params",
    "response": 'get_field("results")',
}
_OF_CONTEXT = {
    **dict.fromkeys(("parameters", "args", "config", "options"), "context.params"),
    **dict.fromkeys(("doc", "document"), 'get_field("document"), or the first argument'),
    **dict.fromkeys(("response", "results"), 'get_field("results"), or the first argument'),
    **dict.fromkeys(("get", "get_parameter"), "context.params.get(name)"),
    "set": "context.state[name] = value",
    "name": "context.stage or context.pipeline",
    "timeout_ms": "context.deadline_ms",
}
_OF_HIT = {
    **dict.fromkeys(("remove", "skip"), "hit.drop()"),
    **dict.fromkeys(("pop", "unset"), "hit.delete(path)"),
    **dict.fromkeys(("update", "put", "add", "setdefault"), "hit.set(path, value)"),
    **dict.fromkeys(("keys", "items", "values", "copy"), 'hit["_source.title"], path by path'),
}
_ADDING = frozenset(("append", "extend", "insert", "add"))
_OF_HITS = {
    **dict.fromkeys(("remove", "pop", "clear", "delete", "drop"), "hit.drop() for a hit of them"),
    **dict.fromkeys(("filter", "where"), "context.hits.keep(function)"),
    **dict.fromkeys(("reverse", "order", "sorted"), "context.hits.sort(key, reverse=True)"),
    **dict.fromkeys(("hits", "map", "items", "values"), "for hit in context.hits: ..."),
    **dict.fromkeys(("total", "max_score"), 'response["hits"]["{name}"], if it is declared'),
}


def hint(error: BaseException) -> str:
    """A half sentence, "" where nothing is known of such an error."""
    try:
        if isinstance(error, AttributeError) and isinstance(error.name, str):
            return _attribute(error.obj, error.name[:_NAME_CHARS])
        if isinstance(error, NameError) and isinstance(error.name, str):
            return _name(error.name[:_NAME_CHARS])
        if isinstance(error, KeyError):
            return _key(error)
        if isinstance(error, ImportError) and error.name == "querymill":
            return _near(error.name_from or "", querymill.__all__, "{name}")
    except Exception:
        pass
    return ""


def _key(error: KeyError) -> str:
    """Told of what is given alone, of which it is true whatever dict had no such key."""
    key, payload = error.args[0] if error.args else None, current.payload
    if not isinstance(key, str) or len(key) > _NAME_CHARS:
        return ""
    frames = [frame.f_code for frame, _ in walk_tb(error.__traceback__)]
    if Hit.__getitem__.__code__ in frames[-2:]:
        return f"write hit.get({key!r}, default) where a hit may have none"
    if not isinstance(payload, dict) or dict.__contains__(payload, key):
        return ""
    what = {"query": "request", "result": "response"}.get(current.phase, "document")
    near = _near(key, [name for name in payload if isinstance(name, str)], "{name!r}")
    get = f"write .get({key!r}) where it may be missing"
    return f"the {what} has no {key!r}; {near or get}"


def _attribute(owner: Any, name: str) -> str:
    kind = type(owner)
    if kind is Context:
        return _of_context(name)
    if kind is Hit:
        return _of_hit(name)
    if kind is Hits:
        if name in _ADDING:
            return "hits cannot be added here; without `input` a stage returns the whole response"
        write = _OF_HITS.get(name)
        if write:
            return f"write {write.format(name=name)}"
        return _near(name, _public(Hits), "context.hits.{name}()")
    if kind is FunctionType and getattr(querymill, kind.__name__, owner) is owner:
        return _of_function(owner, name)
    if owner is querymill and isinstance(owner, ModuleType):
        return _near(name, querymill.__all__, "{name}")
    if kind is dict or isinstance(owner, Part):
        return _of_dict(owner, name)
    if kind is list and name in _public(Hits):
        return f"{name}() is one of context.hits, in a stage that declares its `input`"
    return ""


def _of_context(name: str) -> str:
    if name in querymill.__all__:
        return f"write {name}(...), which is built in"
    if name in _OF_CONTEXT:
        return f"write {_OF_CONTEXT[name]}"
    near = _near(name, Context.__slots__, "context.{name}")
    return near or f"it has {', '.join(Context.__slots__)}; what is yours goes into context.state"


def _of_hit(name: str) -> str:
    if name in _OF_HIT:
        return f"write {_OF_HIT[name]}"
    near = "" if name.startswith("_") else _near(name, _public(Hit), "hit.{name}()")
    if near:
        return near
    path = f"_{name}" if name in ("id", "index", "score", "source") else name
    return f'write hit["{path}"] to read it, hit.set("{path}", value) to change it'


def _of_dict(owner: dict, name: str) -> str:
    if name in ("set", "delete", "drop", "rescore", "keep") and not dict.__contains__(owner, name):
        return f"{name}() is one of context.hits, in a stage that declares its `input`"
    near = "" if dict.__contains__(owner, name) else _near(name, _public(dict), ".{name}()")
    return near or f'it is a dict: write ["{name}"], or .get("{name}") where it may be missing'


def _of_function(owner: FunctionType, name: str) -> str:
    function = owner.__name__
    if function not in querymill.__all__:
        return ""
    return f"{function} is a function: write {function}(...), without .{name}"


def _name(name: str) -> str:
    write = _NAMES.get(name)
    if write:
        return f"write {write.format(name=name)}"
    return _near(name, (*querymill.__all__, "context", *dir(builtins)), "{name}")


def _near(name: str, known: Iterable[str], write: str) -> str:
    """The known name most like one, as it has to be written."""
    names = {each.lower(): each for each in known}
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.7)
    if not close:
        return ""
    return f"did you mean {write.format(name=names[close[0]])}?"


def _public(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]
