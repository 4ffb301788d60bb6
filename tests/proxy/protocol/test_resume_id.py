"""Ids that remember."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from proxy.http.errors import ErrorResponse
from proxy.protocol.limits import CURSOR_MAX
from proxy.protocol.resume_id import PREFIX, Cursors, Memory

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
    with pytest.raises(ErrorResponse, match="begin the search anew"):
        Cursors(lambda: b"other").unwrap(wrapped)


def test_every_changed_character_is_noticed() -> None:
    """Whichever it is."""
    cursors = Cursors(lambda: b"key")
    wrapped = cursors.wrap("id", MEMORY)
    for position in range(len(PREFIX), len(wrapped)):
        other = "A" if wrapped[position] != "A" else "B"
        with pytest.raises(ErrorResponse):
            cursors.unwrap(wrapped[:position] + other + wrapped[position + 1 :])


def test_what_an_id_remembers_at_most() -> None:
    """Up to the limit all of it; beyond it the request is left out, then state, then metadata."""
    cursors = Cursors(lambda: b"secret")
    noise = [f"{n:x}" for n in random.Random(7).choices(range(2**60), k=40)]
    whole = Memory(names=("i",), request=f'["{noise[:20]}"]', state={"s": noise[20:]})
    limit = len(cursors.wrap("", whole))
    for enough in (limit, limit + 1):
        assert cursors.fitted(whole, enough) == (whole, [])
    fitting, left_out = cursors.fitted(whole, limit - 1)
    assert (fitting, left_out) == (replace(whole, request="{}"), ["request"])
    bare = Memory(names=("i",))
    assert cursors.fitted(whole, 1) == (bare, ["request", "state"])


def test_what_is_too_large_to_be_tried() -> None:
    """It does not fit, however well it could be compressed."""
    cursors = Cursors(lambda: b"secret")
    whole = Memory(request="x" * 2**20)
    assert cursors.fitted(whole, CURSOR_MAX) == (Memory(), ["request"])
