"""Remembering what was found out, within bounds: clients send the same few requests all day."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Final, Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_T = TypeVar("_T")

SIZE: Final = 4096
# Longer ones hold a body or a document's own text, and do not come again.
LONGEST: Final = 512


def remembered(function: Callable[[str, str], _T]) -> Callable[[str, str], _T]:
    """`function`, its values kept for the last `SIZE` pairs of short texts; errors are not kept.

    For pure functions whose values nobody changes.
    """
    kept = lru_cache(SIZE)(function)

    def call(first: str, second: str) -> _T:
        if len(first) + len(second) > LONGEST:
            return function(first, second)
        return kept(first, second)

    return call


class Memo(Generic[_K, _T]):
    """Values by their keys, `size` at the most: the one that was kept longest ago goes first.

    `get` is a dictionary's, and costs what that does. Filled by whoever finds nothing.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[_K, _T] = OrderedDict()
        self.get = self._kept.get

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key: _K, value: _T) -> _T:
        """Remember a value, and return it."""
        kept = self._kept
        kept[key] = value
        kept.move_to_end(key)
        if len(kept) > self._size:
            kept.popitem(last=False)
        return value

    def clear(self) -> None:
        """Forget all of them."""
        self._kept.clear()
