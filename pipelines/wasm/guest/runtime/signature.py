"""Whether the functions a pipeline calls can be called as it does: looked at while loading."""

import functools
import inspect
from types import FunctionType
from typing import Any

import annotationlib

ENTRIES = {
    "udf_main": "def udf_main():",
    "query": "def query(request, context):",
    "document": "def document(doc, context):",
    "result": "def result(response, context):",
}
_ASYNC = "is an `async def`, and in a sandbox there is nothing to wait for"
_YIELDS = "has a `yield` in it, so that calling it gives a generator and not what it returns"
_ODD = inspect.CO_VARARGS | inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def faults_of(module: dict[str, Any]) -> dict[str, str]:
    """What is wrong with each entry point, in words; empty if nothing is.

    A name such as `query` may well stand for a value where another entry point is a function.
    """
    found = [name for name in ENTRIES if callable(module.get(name))]
    faults: dict[str, str] = {}
    for name in found or [name for name in ENTRIES if name in module]:
        entry = module[name]
        if not _is_plain(entry, name) and (fault := _fault(entry, name)):
            inner = inspect.unwrap(entry)
            line = f" (line {inner.__code__.co_firstlineno})" if _is_function(inner) else ""
            faults[name] = f"{fault}; write `{ENTRIES[name]}`{line}"
    return faults


def _count(name: str) -> int:
    return 0 if name == "udf_main" else 2


def _is_function(entry: Any) -> bool:
    return type(entry) is FunctionType


def _is_plain(entry: Any, name: str) -> bool:
    """Whether a function has just the arguments it is called with: nearly all have."""
    if not _is_function(entry) or "__wrapped__" in entry.__dict__:
        return False
    code = entry.__code__
    plain = not code.co_flags & _ODD and not code.co_kwonlyargcount
    return plain and code.co_argcount == _count(name)


def _fault(entry: Any, name: str) -> str:
    if not callable(entry):
        return f"{name} is no function but a value of type {type(entry).__name__}"
    if isinstance(entry, type):
        return f"{name} is a class, and calling it gives an object of that class"
    outer = entry.func if isinstance(entry, functools.partial) else entry
    called = outer if inspect.isroutine(outer) else type(outer).__call__
    for function in (called, inspect.unwrap(called)):
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            return f"{name}() {_ASYNC}"
    # a decorator may well make something else of what a generator yields
    if inspect.isgeneratorfunction(called):
        return f"{name}() {_YIELDS}"
    return _misfit(entry, name)


def _misfit(entry: Any, name: str) -> str:
    """What keeps an entry point from being called with its arguments."""
    for follow in (False, True):
        signature = _signature(entry, follow)
        if signature is None:
            return ""
        try:
            signature.bind(*[None] * _count(name))
        except TypeError as error:
            wanted = "with two arguments" if _count(name) else "without arguments"
            return f"{name}{_shown(signature)} cannot be called {wanted} ({error})"
        kinds = [each.kind for each in signature.parameters.values()]
        # what takes anything hands it on, most likely, to what it wraps
        if inspect.Parameter.VAR_POSITIONAL not in kinds:
            break
    return ""


def _signature(entry: Any, follow: bool) -> inspect.Signature | None:
    """None where Python does not know it either."""
    try:
        return inspect.signature(
            entry, follow_wrapped=follow, annotation_format=annotationlib.Format.STRING
        )
    except Exception:
        return None


def _shown(signature: inspect.Signature) -> str:
    text = str(signature.replace(return_annotation=inspect.Signature.empty))
    return text if len(text) <= 100 else "(...)"
