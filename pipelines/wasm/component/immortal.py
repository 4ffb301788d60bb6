"""Makes the objects in the interpreter's snapshot immortal, by writing into the built component.

Taking and leaving a reference to an object writes to it. In a snapshot that every sandbox maps and
copies page by page as it writes, that alone had most of a megabyte copied for each: nearly every
page holds something that is looked at. CPython leaves the count of an immortal object alone, and an
object of the snapshot would never be freed anyway. The guest lists them in its memory
(`guest/runtime/snapshot.py`). Only their counts are written, in place: nothing else moves.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

MARK: Final = b"querymill: objects of the snapshot"

_COMPONENT: Final = b"\0asm\x0d\0\x01\0"
_CORE: Final = b"\0asm\x01\0\0\0"
_CORE_MODULE, _COMPONENT_INSIDE = 1, 4
_DATA: Final = 11
_I32_CONST, _END = 0x41, 0x0B
# Include/refcount.h of 32-bit CPython: what is above the least counts as immortal.
_IMMORTAL: Final = 5 << 28
# No object of the snapshot has so many references; an address is a higher number.
_MOST: Final = 1_000_000
_ALL_BITS: Final = 0xFFFFFFFF


class SnapshotError(ValueError):
    """The component is not laid out as expected."""


@dataclass(frozen=True, slots=True)
class Segment:
    """`size` bytes of the guest's memory from `address` on, at `position` of the file."""

    address: int
    size: int
    position: int


class Memory:
    """The guest's memory as it is in the component's data; words of it are changed in place."""

    def __init__(self, component: bytes) -> None:
        """Raises `SnapshotError`."""
        self.content = bytearray(component)
        self._segments = sorted(_segments(component), key=lambda each: each.address)
        self._begins = [each.address for each in self._segments]

    def read(self, address: int, size: int) -> bytes:
        """What is there; what no segment holds is zero."""
        out = bytearray(size)
        for begin, end, position in self._parts(address, size):
            out[begin:end] = self.content[position : position + end - begin]
        return bytes(out)

    def word(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), "little")

    def write(self, address: int, word: int) -> None:
        """Writes a word. Raises `SnapshotError` where a segment does not hold all of it."""
        done = 0
        new = word.to_bytes(4, "little")
        for begin, end, position in self._parts(address, 4):
            self.content[position : position + end - begin] = new[begin:end]
            done += end - begin
        if done != len(new):
            raise SnapshotError("an object of the snapshot lies between the parts of its memory")

    def places(self, text: bytes) -> Iterator[int]:
        """The addresses `text` is at."""
        at = self.content.find(text)
        while at >= 0:
            for segment in self._segments:
                if segment.position <= at < segment.position + segment.size:
                    yield segment.address + at - segment.position
            at = self.content.find(text, at + 1)

    def _parts(self, address: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Where in the file parts of so many bytes are, each as begin, end and position."""
        first = max(bisect_right(self._begins, address) - 1, 0)
        for segment in islice(self._segments, first, None):
            if segment.address >= address + size:
                return
            begin = max(address, segment.address)
            end = min(address + size, segment.address + segment.size)
            if begin < end:
                yield begin - address, end - address, segment.position + begin - segment.address


def make_immortal(component: bytes) -> bytes:
    """The component with its listed objects immortal. Raises `SnapshotError`."""
    memory = Memory(component)
    for address, kind in _listed(memory):
        # What was freed since has no count or a link in its place, or something else in all of it.
        alive = 0 < memory.word(address) < _MOST and memory.word(address + 4) == kind
        if alive:
            memory.write(address, _IMMORTAL)
    return bytes(memory.content)


def _listed(memory: Memory) -> Iterator[tuple[int, int]]:
    """Address and type of each object of the guest's list."""
    for place in memory.places(MARK):
        begin = place + len(MARK)
        count, check = memory.word(begin), memory.word(begin + 4)
        # the mark alone is there as well, as a constant of the guest's code
        if count == check ^ _ALL_BITS:
            numbers = struct.unpack(f"<{count * 2}I", memory.read(begin + 8, count * 8))
            return zip(numbers[::2], numbers[1::2], strict=True)
    raise SnapshotError("the list of the snapshot's objects is not there")


def _segments(component: bytes) -> Iterator[Segment]:
    for begin, end in _modules(component, 0, len(component)):
        for kind, at, _ in _sections(component, begin + 8, end):
            if kind == _DATA:
                yield from _data(component, at)


def _modules(content: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the core modules of a component are, those of components inside it included."""
    if content[begin : begin + 8] != _COMPONENT:
        raise SnapshotError("what was built is not a component")
    for kind, at, past in _sections(content, begin + 8, end):
        if kind == _CORE_MODULE and content[at : at + 8] == _CORE:
            yield at, past
        elif kind == _COMPONENT_INSIDE:
            yield from _modules(content, at, past)


def _sections(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    while at < end:
        size, begin = _number(content, at + 1)
        yield content[at], begin, begin + size
        at = begin + size


def _data(content: bytes, at: int) -> Iterator[Segment]:
    count, at = _number(content, at)
    for _ in range(count):
        # 0: of the first memory, at a constant address; nothing else is in a snapshot
        if content[at] != 0 or content[at + 1] != _I32_CONST:
            raise SnapshotError("its data is laid out in an unknown way")
        address, at = _number(content, at + 2, signed=True)
        if content[at] != _END:
            raise SnapshotError("its data has no constant address")
        size, at = _number(content, at + 1)
        yield Segment(address, size, at)
        at += size


def _number(content: bytes, at: int, *, signed: bool = False) -> tuple[int, int]:
    """A LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if signed and byte & 0x40:
        value -= 1 << shift
    return value, at
