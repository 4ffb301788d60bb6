"""Memory goes back to the system once large requests are done with it."""

from __future__ import annotations

import ctypes

import pytest

from pipelines.wasm.pool import private_bytes
from proxy.telemetry.memory_trimmer import WORTH_BYTES, MemoryTrimmer, trim

MIB = 1024**2


class Process:
    """Has some memory, a part of which is only kept."""

    def __init__(self, held: int) -> None:
        self.held = held
        self.kept = 0
        self.trims = 0

    def used(self) -> int:
        return self.held + self.kept

    def trim(self) -> None:
        self.kept = 0
        self.trims += 1


@pytest.mark.parametrize(("more", "trims"), [(-1, 0), (0, 1), (1, 1)])
def test_what_is_worth_it_is_given_back(more: int, trims: int) -> None:
    """And what is less is left for the next time."""
    process = Process(100 * MIB)
    trimmer = MemoryTrimmer(used=process.used, trim=process.trim)
    trimmer.look()
    process.kept = WORTH_BYTES + more
    trimmer.look()
    assert process.trims == trims
    assert process.kept == (0 if trims else WORTH_BYTES + more)


def test_what_is_freed_later_is_given_back_later() -> None:
    """A look while it is in use does not make it count as the least."""
    process = Process(100 * MIB)
    trimmer = MemoryTrimmer(used=process.used, trim=process.trim)
    trimmer.look()
    process.held += WORTH_BYTES
    trimmer.look()
    process.held -= WORTH_BYTES
    process.kept += WORTH_BYTES
    trimmer.look()
    assert process.kept == 0


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="no such C library")
def test_memory_that_was_freed_goes_back() -> None:
    """Blocks between others that stay are kept by the C library, until it is told."""
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.free.argtypes = [ctypes.c_void_p]
    size, count = 32 * 1024, 4096
    blocks = [library.malloc(size) for _ in range(count)]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks[::2]:
        library.free(block)
    before = private_bytes()
    trim()
    assert before - private_bytes() > size * count // 4
    for block in blocks[1::2]:
        library.free(block)
    trim()
