"""The build makes the objects of the snapshot immortal, and touches nothing else."""

from __future__ import annotations

import struct

import pytest

from pipelines.wasm.component.immortal import MARK, SnapshotError, make_immortal

IMMORTAL = 5 << 28
KIND = 0x2000


def number(value: int, *, signed: bool = False) -> bytes:
    """LEB128."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        done = value == 0 and not (signed and byte & 0x40)
        out.append(byte if done else byte | 0x80)
        if done:
            return bytes(out)


def section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + number(len(content)) + content


def component(*segments: tuple[int, bytes], inner: bool = False) -> bytes:
    """A component of one module, or with `inner` of a component of it, with this memory."""
    data = number(len(segments))
    for address, content in segments:
        data += b"\x00\x41" + number(address, signed=True) + b"\x0b"
        data += number(len(content)) + content
    module = b"\0asm\x01\0\0\0" + section(0, b"\x01a") + section(11, data)
    head = b"\0asm\x0d\0\x01\0"
    made = head + section(1, module)
    return head + section(4, made) if inner else made


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def listed(*objects: tuple[int, int]) -> bytes:
    """What the guest leaves in its memory."""
    count = len(objects)
    return MARK + words(count, ~count & 0xFFFFFFFF, *(n for each in objects for n in each))


@pytest.mark.parametrize("inner", [False, True])
def test_counts_are_written(inner: bool) -> None:
    """Of the objects listed, in place, and of nothing that is not."""
    heap = words(7, KIND, 1, KIND, 9, KIND)
    table = listed((0x4000, KIND), (0x4010, KIND))
    before = component((0x1000, table), (0x4000, heap), inner=inner)
    after = words(IMMORTAL, KIND, 1, KIND, IMMORTAL, KIND)
    assert make_immortal(before) == component((0x1000, table), (0x4000, after), inner=inner)


@pytest.mark.parametrize(
    "now",
    [
        words(0, KIND),
        words(3_000_000, KIND),
        words(7 << 28, KIND),
        words(7, KIND + 1),
        words(0, 0),
    ],
)
def test_what_was_freed_is_left_alone(now: bytes) -> None:
    """No count, an address in its place, another type: that is no object any more."""
    before = component((0x1000, listed((0x4000, KIND))), (0x4000, now))
    assert make_immortal(before) == before


def test_an_object_of_two_segments() -> None:
    """Its memory may be in parts: runs of zeros are left out."""
    table = listed((0x4000, KIND))
    before = component((0x1000, table), (0x4000, words(7)), (0x4004, words(KIND)))
    after = component((0x1000, table), (0x4000, words(IMMORTAL)), (0x4004, words(KIND)))
    assert make_immortal(before) == after


def test_a_count_that_is_not_all_there() -> None:
    """Cannot be written in place, and stops the build."""
    segments = (0x4000, b"\x07"), (0x4004, words(KIND))
    with pytest.raises(SnapshotError, match="between the parts"):
        make_immortal(component((0x1000, listed((0x4000, KIND))), *segments))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\0asm\x01\0\0\0", "not a component"),
        (component((0x1000, b"")), "is not there"),
        (component((0x1000, MARK + words(0, 0))), "is not there"),
        (component((0x1000, b"")).replace(b"\x00\x41", b"\x01\x41"), "an unknown way"),
        (component((0x10, b"")).replace(b"\x10\x0b", b"\x10\x0c"), "no constant address"),
    ],
)
def test_another_layout(content: bytes, said: str) -> None:
    """Stops the build."""
    with pytest.raises(SnapshotError, match=said):
        make_immortal(content)


def test_the_mark_alone_is_no_list() -> None:
    """The guest's code has it as a constant, too."""
    heap = words(7, KIND)
    table = listed((0x4000, KIND))
    before = component((0x1000, MARK + bytes(16)), (0x2000, table), (0x4000, heap))
    assert make_immortal(before) != before
