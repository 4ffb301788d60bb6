"""Calling an exported function that takes and gives text, without the binding's work on types.

wasmtime-py makes a function's type anew for every call, and copies what comes back twice: more time
than a short run spends in the sandbox. The C functions below it are private to the library, so they
are used where they are found as expected, and the public call otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref, string_at
from typing import Any

from wasmtime import Store
from wasmtime.component import Func, String

TextCall = Callable[..., str]

_NEEDED = (
    "bytes_to_capi",
    "wasm_byte_vec_delete",
    "wasmtime_component_func_call",
    "wasmtime_component_val_delete",
    "wasmtime_component_val_t",
    "WASMTIME_COMPONENT_STRING",
)


def _private() -> tuple[Any, Any] | None:
    """The library's C functions and its check of what they return, if all are there."""
    try:
        from wasmtime import _ffi as ffi
        from wasmtime.component._enter import enter_wasm
    except ImportError:
        return None
    known = all(hasattr(ffi, name) for name in _NEEDED)
    known = known and "_func" in Func.__annotations__ and hasattr(Store, "_context")
    return (ffi, enter_wasm) if known else None


PRIVATE = _private()


def text_call(store: Store, function: Func) -> TextCall:
    """`function` of `store`, to be called with as many texts as it takes.

    The call raises `WasmtimeError` when the function traps. Raises TypeError for a function that
    takes or gives anything but text.
    """
    kind = function.type(store)
    parameters = [each for _, each in kind.params]
    if not all(isinstance(each, String) for each in [*parameters, kind.result]):
        raise TypeError("an exported function takes or gives something else than text")
    if PRIVATE is None:
        return lambda *texts: str(function(store, *texts))
    return _below(store, function, len(parameters), *PRIVATE)


def _below(store: Store, function: Func, count: int, ffi: Any, enter: Any) -> TextCall:
    raw = function._func
    value = ffi.wasmtime_component_val_t
    array, text_kind = value * count, ffi.WASMTIME_COMPONENT_STRING

    def call(*texts: str) -> str:
        if len(texts) != count:
            raise TypeError(f"{count} texts are taken, {len(texts)} were given")
        given = array()
        filled = 0
        try:
            for text in texts:
                given[filled].of.string = ffi.bytes_to_capi(text.encode())
                given[filled].kind = text_kind
                filled += 1
            result = value()
            enter(
                lambda: ffi.wasmtime_component_func_call(
                    byref(raw), store._context(), given, count, byref(result), 1
                )
            )
        finally:
            for position in range(filled):
                ffi.wasmtime_component_val_delete(byref(given[position]))
        answer = result.of.string
        try:
            return string_at(answer.data, answer.size).decode()
        finally:
            ffi.wasm_byte_vec_delete(byref(answer))

    return call
