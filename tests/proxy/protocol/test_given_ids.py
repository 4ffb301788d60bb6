"""Ids that were given out are found again by the backend's own."""

from __future__ import annotations

from proxy.protocol.given_ids import GivenIds
from proxy.protocol.resume_id import Cursors, Memory

CURSORS = Cursors(lambda: b"secret")


def test_an_id_is_found_by_the_backends_own() -> None:
    """It is the very text the client has; for others there is none."""
    given = GivenIds(CURSORS)
    assert not given
    memory = Memory(names=("a", "b*"))
    given.keep("one", memory)
    assert given
    assert given.find("one") == CURSORS.wrap("one", memory)
    assert given.find("two") is None


def test_the_longest_unused_is_forgotten() -> None:
    """At the limit all are known, above it one goes."""
    given = GivenIds(CURSORS, limit=2)
    given.keep("one", Memory())
    given.keep("two", Memory())
    assert given.find("one")
    assert given.find("two")
    given.keep("one", Memory())
    given.keep("three", Memory())
    assert given.find("two") is None
    assert given.find("one")
    assert given.find("three")
