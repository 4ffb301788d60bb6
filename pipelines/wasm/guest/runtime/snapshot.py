"""Leaves the interpreter's memory as every sandbox will find it: docs/decisions/0011.

A sandbox maps the snapshot, and copies a page of it when it first writes there. What is done here
keeps those pages few.
"""

import array
import gc
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

# The build looks for it, see `pipelines/wasm/component/immortal.py`.
_MARK = b"querymill: objects of the snapshot"
_CODE = ("co_consts", "co_names", "co_filename", "co_name", "co_qualname", "co_linetable")
# Of the C library's allocator, which this interpreter has all objects from: what a block holds
# beside its content, and what sizes are multiples of.
_HEAD = 4
_STEP = 16
# What a bytes object holds beside its content: head, length, hash, a zero at the end.
_BYTES = 17
_LARGE = 1024
_LARGEST = 256 * 1024
# How many freed numbers the interpreter keeps for the next ones.
_FREE_NUMBERS = 100

_kept: list[Any] = []


def settle() -> None:
    """The last act before the snapshot: what is made after it is not listed and lies in the way.

    Frozen objects are not looked at by the garbage collector, which writes to all it looks at.
    """
    gc.collect()
    objects = _objects()
    _kept.append(objects)
    gc.collect()
    _fill(id(objects))
    gc.freeze()


def _objects() -> bytes:
    """The mark, how many there are (and its complement), the address and type of each."""
    pending: list[Any] = gc.get_objects()
    seen: dict[int, Any] = {}
    while pending:
        each = pending.pop()
        if id(each) in seen:
            continue
        seen[id(each)] = each
        pending += gc.get_referents(each)
        if isinstance(each, CodeType):
            pending += [getattr(each, name) for name in _CODE]
        elif isinstance(each, type):
            # the collector does not follow those made in C
            pending += gc.get_referents(type.__dict__["__dict__"].__get__(each))
            pending += [each.__mro__, each.__bases__]
    listed = [
        number
        for address, each in seen.items()
        if not sys._is_immortal(each)
        for number in (address, id(type(each)))
    ]
    count = len(listed) // 2
    return _MARK + array.array("I", [count, ~count & 0xFFFFFFFF, *listed]).tobytes()


def _fill(highest: int) -> None:
    """Take every free place below the address `highest`.

    A new object goes to the first gap that is large enough, and they are all over the snapshot.
    Without them what a sandbox makes lies together, on pages of its own.
    """
    sizes = list(_sizes())
    for size in sizes:
        content = size - _HEAD - _BYTES
        while id(each := bytes(content) if size > _STEP else object()) < highest:
            _kept.append(each)
    # the addresses looked at leave numbers in the interpreter's own list of free ones
    _kept.extend([sizes, [highest + number for number in range(_FREE_NUMBERS)]])


def _sizes() -> Iterator[int]:
    """The sizes of blocks, the largest first."""
    size = _LARGEST
    while size > _LARGE:
        yield size
        size = size * 7 // 8 // _STEP * _STEP
    yield from range(_LARGE, 0, -_STEP)
