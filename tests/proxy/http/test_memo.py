"""What is remembered, and for how long."""

from __future__ import annotations

import pytest

from proxy.http.memo import LONGEST, Memo, remembered


@pytest.mark.parametrize(
    ("count", "kept"), [(0, []), (2, [0, 1]), (3, [0, 1, 2]), (4, [1, 2, 3]), (9, [6, 7, 8])]
)
def test_so_many_are_kept(count: int, kept: list[int]) -> None:
    """Under, at and over the size; the one that was kept longest ago is gone first."""
    memo = Memo[str, int](3)
    for number in range(count):
        assert memo.keep(str(number), number) == number
    assert [number for number in range(count) if memo.get(str(number)) is not None] == kept
    assert len(memo) == len(kept)


def test_what_is_kept_anew_is_the_newest() -> None:
    """With its new value; looking at one changes nothing."""
    memo = Memo[str, int](2)
    memo.keep("a", 1)
    memo.keep("b", 2)
    memo.keep("a", 3)
    assert memo.get("b") == 2
    memo.keep("c", 4)
    assert (memo.get("a"), memo.get("b"), memo.get("c")) == (3, None, 4)
    memo.clear()
    assert (len(memo), memo.get("a")) == (0, None)


def test_long_texts_are_not_kept() -> None:
    """At the limit they are, above it they are worked out each time."""
    calls: list[int] = []

    @remembered
    def length(first: str, second: str) -> int:
        calls.append(len(first) + len(second))
        return calls[-1]

    for size in (LONGEST, LONGEST, LONGEST + 1, LONGEST + 1):
        assert length("x" * (size - 1), "y") == size
    assert calls == [LONGEST, LONGEST + 1, LONGEST + 1]
