"""The computing that tells how steady the machine was."""

from __future__ import annotations

from bench.steady import Reference


def test_each_look_is_one_time() -> None:
    """Above nothing, in milliseconds."""
    reference = Reference()
    reference.take()
    reference.take()
    assert len(reference.times_ms) == 2
    assert all(each > 0 for each in reference.times_ms)
