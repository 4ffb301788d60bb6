"""Ids that remember."""

from __future__ import annotations

import pytest

from proxy.cursors import PREFIX, Cursors, Memory
from proxy.errors import ErrorAnswer

MEMORY = Memory(
    names=("a", "b*"),
    result=(("p", "1.0.0"),),
    final=("p",),
    state={"x": [1]},
    request='{"size":1}',
)


def test_what_is_wrapped_is_unwrapped() -> None:
    """The backend's id and all that was to be remembered."""
    cursors = Cursors(lambda: b"key")
    wrapped = cursors.wrap("FGluY2x1ZGVf.dots.and==", MEMORY)
    assert wrapped.startswith(PREFIX)
    assert cursors.unwrap(wrapped) == ("FGluY2x1ZGVf.dots.and==", MEMORY)
    assert cursors.unwrap("plain") == ("plain", None)


def test_another_key_reads_nothing() -> None:
    """Ids are good on proxies of the same store only."""
    wrapped = Cursors(lambda: b"key").wrap("id", MEMORY)
    with pytest.raises(ErrorAnswer, match="begin the search anew"):
        Cursors(lambda: b"other").unwrap(wrapped)


def test_every_changed_character_is_noticed() -> None:
    """Whichever it is."""
    cursors = Cursors(lambda: b"key")
    wrapped = cursors.wrap("id", MEMORY)
    for position in range(len(PREFIX), len(wrapped)):
        other = "A" if wrapped[position] != "A" else "B"
        with pytest.raises(ErrorAnswer):
            cursors.unwrap(wrapped[:position] + other + wrapped[position + 1 :])
