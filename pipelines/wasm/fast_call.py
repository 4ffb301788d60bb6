"""Calling an exported function that takes and gives text, without the binding's work on types.

wasmtime-py makes a function's type anew for every call, and copies what comes back twice: more time
than a short run spends in the sandbox. The C functions below it are private to the library, so they
are used where they are found as expected, and the public call otherwise.
"""

from __future__ import annotations

from ctypes import Structure, byref, c_char_p, c_size_t, c_void_p, sizeof, string_at
from typing import Any, Protocol

from wasmtime import Store
from wasmtime.component import Func, String


class TextCall(Protocol):
    """An exported function. Raises `WasmtimeError` when it traps, `TooLongError` above `most`."""

    def __call__(self, *texts: str, most: int) -> str: ...


class TooLongError(Exception):
    """A response of so many bytes was left where it was: taking it over would take its time."""

    def __init__(self, size: int) -> None:
        super().__init__(f"an answer of {size} bytes")
        self.size = size


_NEEDED = (
    "wasm_byte_vec_delete",
    "wasm_byte_vec_t",
    "wasmtime_component_func_call",
    "wasmtime_component_val_t",
    "WASMTIME_COMPONENT_STRING",
)


class _Text(Structure):
    """A text as the C functions see it: what is given belongs to Python, a response to them."""

    _fields_ = (("size", c_size_t), ("data", c_void_p))


class _Given(Structure):
    _fields_ = (("size", c_size_t), ("data", c_char_p))


def _private() -> tuple[Any, Any] | None:
    """The library's C functions and its check of what they return, if all are as expected."""
    try:
        from wasmtime import _ffi as ffi
        from wasmtime.component._enter import enter_wasm
    except ImportError:
        return None
    known = all(hasattr(ffi, name) for name in _NEEDED)
    known = known and "_func" in Func.__annotations__ and hasattr(Store, "_context")
    known = known and [each[0] for each in ffi.wasm_byte_vec_t._fields_] == ["size", "data"]
    known = known and sizeof(ffi.wasm_byte_vec_t) == sizeof(_Text) == sizeof(_Given)
    return (ffi, enter_wasm) if known else None


PRIVATE = _private()


def text_call(store: Store, function: Func) -> TextCall:
    """`function` of `store`, to be called with as many texts as it takes, on one thread at a time.

    Raises TypeError for a function that takes or gives anything but text.
    """
    kind = function.type(store)
    parameters = [each for _, each in kind.params]
    if not all(isinstance(each, String) for each in [*parameters, kind.result]):
        raise TypeError("an exported function takes or gives something else than text")
    if PRIVATE is None:
        return _public(store, function)
    return _below(store, function, len(parameters), *PRIVATE)


def _public(store: Store, function: Func) -> TextCall:
    def call(*texts: str, most: int) -> str:
        response = str(function(store, *texts))
        if len(response) > most:
            raise TooLongError(len(response))
        return response

    return call


def _below(store: Store, function: Func, count: int, ffi: Any, enter: Any) -> TextCall:
    value = ffi.wasmtime_component_val_t
    given, result = (value * count)(), value()
    for each in given:
        each.kind = ffi.WASMTIME_COMPONENT_STRING
    texts = [_Given.from_buffer(each, value.of.offset) for each in given]
    response = _Text.from_buffer(result, value.of.offset)
    function_ref, result_ref, string_ref = (
        byref(function._func),
        byref(result),
        byref(result.of.string),
    )
    run, free = ffi.wasmtime_component_func_call, ffi.wasm_byte_vec_delete

    def call(*given_texts: str, most: int) -> str:
        if len(given_texts) != count:
            raise TypeError(f"{count} texts are taken, {len(given_texts)} were given")
        for text, argument in zip(texts, given_texts, strict=True):
            raw = argument.encode()
            text.size, text.data = len(raw), raw
        failure = run(function_ref, store._context(), given, count, result_ref, 1)
        for text in texts:
            # It held on to the bytes.
            text.data = None
        if failure:
            enter(lambda: failure)
        try:
            if response.size > most:
                raise TooLongError(response.size)
            return string_at(response.data, response.size).decode() if response.size else ""
        finally:
            free(string_ref)

    return call
