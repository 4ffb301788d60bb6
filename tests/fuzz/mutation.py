"""Seeded, structure-aware mutation: the corpus crossed with itself and with a grammar's tokens."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

SIZE_MAX: Final = 8 * 1024
"""Bytes of an input at most: enough to see quadratic work, small enough for a million cases."""

# One change is near the grammar; several at once leave it.
_CHANGES: Final = (1, 1, 1, 2, 2, 3, 5, 8)
# Enough to pass the depth limits of the parsers and of Python, and not.
_DEPTHS: Final = (2, 20, 199, 201, 253, 500, 800, 900, 940, 970, 990, 1010, 1022, 1100)
_BRACKETS: Final = (
    (b"[", b"]"),
    (b'{"a":', b"}"),
    (b'{"index":', b"}"),
    (b"[{},", b"]"),
    (b"(", b")"),
    (b"{", b"}"),
)
COMMON_TOKENS: Final = (
    b"\x00",
    b"\n",
    b"\r\n",
    b"\r",
    b"\t",
    b" ",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "\u2028".encode(),
    "\u0130".encode(),
    "\u0661".encode(),
    "\U0001f600".encode(),
    b"\\ud800",
    b"\\u0000",
    b"\\",
    b'"',
    b"'",
    b"%",
    b"%00",
    b"%ff",
    b"%ED%A0%80",
    b"%2",
    b"0",
    b"-0",
    b"-1",
    b"1e999",
    b"1.10",
    b"0.00001",
    b"NaN",
    b"Infinity",
    b"9007199254740993",
    b"18446744073709551616",
    b"9" * 400,
    b"9" * 4400,
    b"null",
    b"true",
    b"{}",
    b"[]",
    b'""',
    b"*",
    b",",
    b":",
    b".",
    b"/",
    b"_",
)


class Mutator:
    """Makes inputs from `seeds` and `tokens`; the same for the same `chance`."""

    def __init__(self, seeds: Sequence[bytes], tokens: Sequence[bytes]) -> None:
        self._seeds = seeds
        self._tokens = (*tokens, *tokens, *COMMON_TOKENS)
        self._changes: tuple[Callable[[random.Random, bytes], bytes], ...] = (
            self._insert_token,
            self._insert_token,
            self._replace_with_token,
            self._replace_with_token,
            self._cross,
            _flip,
            _cut,
            _copy,
            _repeat,
            _nest,
            _truncate,
            _noise,
        )

    def make(self, chance: random.Random) -> bytes:
        """A new input of `SIZE_MAX` bytes at most."""
        data = chance.choice(self._seeds)
        for _ in range(chance.choice(_CHANGES)):
            data = chance.choice(self._changes)(chance, data)[:SIZE_MAX]
        return data

    def _insert_token(self, chance: random.Random, data: bytes) -> bytes:
        at = chance.randint(0, len(data))
        return data[:at] + chance.choice(self._tokens) + data[at:]

    def _replace_with_token(self, chance: random.Random, data: bytes) -> bytes:
        start, end = _slice(chance, data, 16)
        return data[:start] + chance.choice(self._tokens) + data[end:]

    def _cross(self, chance: random.Random, data: bytes) -> bytes:
        other = chance.choice(self._seeds)
        return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def _slice(chance: random.Random, data: bytes, longest: int) -> tuple[int, int]:
    start = chance.randint(0, len(data))
    return start, min(len(data), start + chance.randint(0, longest))


def _flip(chance: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _cut(chance: random.Random, data: bytes) -> bytes:
    start, end = _slice(chance, data, 32)
    return data[:start] + data[end:]


def _copy(chance: random.Random, data: bytes) -> bytes:
    start, end = _slice(chance, data, 64)
    at = chance.randint(0, len(data))
    return data[:at] + data[start:end] + data[at:]


def _repeat(chance: random.Random, data: bytes) -> bytes:
    start, end = _slice(chance, data, 24)
    times = chance.choice((2, 3, 10, 100, 1000))
    return data[:start] + data[start:end] * times + data[end:]


def _nest(chance: random.Random, data: bytes) -> bytes:
    start, end = _slice(chance, data, 24)
    opening, closing = chance.choice(_BRACKETS)
    depth = chance.choice(_DEPTHS)
    return data[:start] + opening * depth + data[start:end] + closing * depth + data[end:]


def _truncate(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randint(0, len(data))]


def _noise(chance: random.Random, data: bytes) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.randbytes(chance.randint(1, 8)) + data[at:]
