"""What wasmtime promises nobody and calls rely on: there, as it is taken for, and not missed."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import sizeof
from importlib.metadata import version
from typing import Any

import pytest
from wasmtime import Config, Engine, Store, WasmtimeError, _ffi
from wasmtime.component import Component, Func, Linker
from wasmtime.component._enter import enter_wasm

from pipelines.wasm import fast_call
from pipelines.wasm.fast_call import PRIVATE, TextCall, TooLongError, text_call

VERSION = version("wasmtime")
LOOK = "see to pipelines/wasm/fast_call.py before another version is pinned in pyproject.toml"

# Gives back what it is given; a text of seven bytes traps.
ECHO = """
(component
  (core module $m
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $next))
      (global.set $next (i32.add (global.get $next) (local.get 3)))
      (local.get $at))
    (func (export "echo") (param i32 i32) (result i32)
      (if (i32.eq (local.get 1) (i32.const 7)) (then unreachable))
      (i32.store (i32.const 0) (local.get 0))
      (i32.store (i32.const 4) (local.get 1))
      (i32.const 0))
    (func (export "count") (param i32) (result i32) (local.get 0)))
  (core instance $i (instantiate $m))
  (func (export "echo") (param "text" string) (result string)
    (canon lift (core func $i "echo")
      (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (func (export "count") (param "n" s32) (result s32) (canon lift (core func $i "count"))))
"""


class Made:
    """An instance of the component, and its functions."""

    def __init__(self) -> None:
        engine = Engine(Config())
        self.store = Store(engine)
        component = Component(engine, ECHO.encode())
        self._instance = Linker(engine).instantiate(self.store, component)

    def function(self, name: str) -> Func:
        found = self._instance.get_func(self.store, name)
        assert found is not None
        return found


@pytest.fixture
def opened() -> Iterator[Made]:
    made = Made()
    yield made
    made.store.close()


def called(call: TextCall, text: str, most: int) -> str:
    """What comes of a text, by the three steps of a call."""
    call.give(text)
    return call.take(call.enter(), most)


@pytest.fixture(params=["below", "public"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the private names, and as if an upgrade had taken them away."""
    if request.param == "public":
        monkeypatch.setattr(fast_call, "PRIVATE", None)


def test_the_private_names_are_found() -> None:
    """All of them: without one, every call takes the slow way, which nothing else would tell."""
    assert PRIVATE is not None, f"wasmtime {VERSION} has others; {LOOK}"
    assert (_ffi, enter_wasm) == PRIVATE


@pytest.mark.parametrize("name", fast_call._NEEDED)
def test_each_private_name_is_there(name: str) -> None:
    """In the module of C functions."""
    assert hasattr(_ffi, name), f"wasmtime {VERSION} has no {name}; {LOOK}"


def test_a_text_is_a_size_and_a_place() -> None:
    """As the structures here lay it out, and a value has its kind beside it."""
    ffi: Any = _ffi
    assert [each[0] for each in ffi.wasm_byte_vec_t._fields_] == ["size", "data"], LOOK
    assert sizeof(fast_call._Text) == sizeof(ffi.wasm_byte_vec_t), LOOK
    value = ffi.wasmtime_component_val_t
    assert {each[0] for each in value._fields_} == {"kind", "of"}, LOOK
    assert value.of.offset + sizeof(ffi.wasm_byte_vec_t) <= sizeof(value), LOOK


def test_functions_and_stores_show_what_is_below(opened: Made) -> None:
    """`Func._func` is the C function, `Store._context` gives the C store."""
    ffi: Any = _ffi
    function: Any = opened.function("echo")
    assert isinstance(function._func, ffi.wasmtime_component_func_t), LOOK
    assert type(opened.store._context()).__name__ == "LP_wasmtime_context", LOOK


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("text", ["", "a", "ä€😀", "x" * 10_000])
def test_texts_go_in_and_come_out(opened: Made, text: str) -> None:
    """The same by both ways."""
    function = opened.function("echo")
    assert called(text_call(opened.store, function), text, len(text.encode())) == text


@pytest.mark.usefixtures("either_way")
def test_a_response_longer_than_allowed(opened: Made) -> None:
    """At the limit it is taken, above it is left where it is."""
    function = opened.function("echo")
    call = text_call(opened.store, function)
    assert called(call, "12345", 5) == "12345"
    with pytest.raises(TooLongError):
        called(call, "123456", 5)


@pytest.mark.usefixtures("either_way")
def test_a_trap_is_the_bindings_error(opened: Made) -> None:
    """`enter_wasm` makes it of what the C function returns."""
    with pytest.raises(WasmtimeError, match="unreachable"):
        called(text_call(opened.store, opened.function("echo")), "1234567", 100)


@pytest.mark.usefixtures("either_way")
def test_a_function_of_something_else_than_text(opened: Made) -> None:
    """Is none that can be called so."""
    with pytest.raises(TypeError, match="something else than text"):
        text_call(opened.store, opened.function("count"))
