"""Remembering what was found out about a request line: clients send the same few all day."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar

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
