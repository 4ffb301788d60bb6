"""Calling an exported function that takes and gives text, without the binding's work on types.

wasmtime-py makes a function's type anew for every call, and copies what comes back twice: more time
than a short run spends in the sandbox. The C functions below it are private to the library, so they
are used where they are found as expected, and the public call otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import Structure, byref, c_char_p, c_size_t, c_void_p, sizeof, string_at
from functools import partial
from typing import Any, Protocol

from wasmtime import Store
from wasmtime.component import Func, String


class TextCall(Protocol):
    """An exported function, called in three steps; for one thread at a time.

    They are apart so that nothing of ours stands between who calls and the sandbox.
    """

    enter: Callable[[], Any]
    """Run it: what it gives is for `take`."""

    def give(self, *texts: str) -> None:
        """The texts that it takes."""

    def take(self, ended: Any, most: int) -> str:
        """What it returned. Raises `WasmtimeError` if it trapped, `TooLongError` above `most`."""


class TooLongError(Exception):
    """An answer of so many bytes was left where it was: taking it over would take its time."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(f"a response of {size} bytes, {most} are taken")
        self.size = size
        self.most = most


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
    """`function` of `store`, to be called with as many texts as it takes while the store is open.

    Raises TypeError for a function that takes or gives anything but text.
    """
    kind = function.type(store)
    parameters = [each for _, each in kind.params]
    if not all(isinstance(each, String) for each in [*parameters, kind.result]):
        raise TypeError("an exported function takes or gives something else than text")
    if PRIVATE is None:
        return _Public(store, function)
    return _Below(store, function, len(parameters), *PRIVATE)


class _Public:
    def __init__(self, store: Store, function: Func) -> None:
        self._store = store
        self._function = function
        self.enter: Callable[[], Any] = lambda: None

    def give(self, *texts: str) -> None:
        self.enter = partial(self._function, self._store, *texts)

    def take(self, ended: Any, most: int) -> str:
        text = str(ended)
        if len(text) > most:
            raise TooLongError(len(text), most)
        return text


class _Below:
    def __init__(self, store: Store, function: Func, count: int, ffi: Any, check: Any) -> None:
        value = ffi.wasmtime_component_val_t
        given, result = (value * count)(), value()
        for each in given:
            each.kind = ffi.WASMTIME_COMPONENT_STRING
        self._count = count
        self._given = [_Given.from_buffer(each, value.of.offset) for each in given]
        self._returned = _Text.from_buffer(result, value.of.offset)
        self._free = partial(ffi.wasm_byte_vec_delete, byref(result.of.string))
        self._check = check
        self.enter: Callable[[], Any] = partial(
            ffi.wasmtime_component_func_call,
            byref(function._func),
            store._context(),
            given,
            count,
            byref(result),
            1,
        )

    def give(self, *texts: str) -> None:
        if len(texts) != self._count:
            raise TypeError(f"{self._count} texts are taken, {len(texts)} were given")
        for each, text in zip(self._given, texts, strict=False):
            each.data = raw = text.encode()
            each.size = len(raw)

    def take(self, ended: Any, most: int) -> str:
        for each in self._given:
            # It held on to the bytes.
            each.data = None
        if ended:
            self._check(lambda: ended)
        size = self._returned.size
        try:
            if size > most:
                raise TooLongError(size, most)
            return string_at(self._returned.data, size).decode() if size else ""
        finally:
            self._free()
