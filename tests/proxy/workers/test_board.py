"""The memory workers share: news is unread until it is read, and only others' news."""

from __future__ import annotations

import os

import pytest

from proxy.workers.board import SLOTS, Board, Notices


@pytest.mark.parametrize("kind", ["definitions", "names"])
@pytest.mark.parametrize("slot", [0, 1, SLOTS - 1])
def test_news_of_another_worker(kind: str, slot: int) -> None:
    """It is unread once, and tells its kind."""
    board = Board()
    reader = Notices(board, 2)
    Notices(board, slot).announce(kind)  # type: ignore[arg-type]
    assert reader.unread()
    look = reader.look()
    assert look.kinds == {kind}
    reader.done(look)
    assert not reader.unread()
    assert reader.look().kinds == frozenset()


def test_own_news() -> None:
    """A worker knows what it announced itself."""
    notices = Notices()
    notices.announce("definitions")
    assert not notices.unread()


def test_own_news_hide_nobody_elses() -> None:
    """What another worker announced before stays unread."""
    board = Board()
    reader, writer = Notices(board, 0), Notices(board, 1)
    writer.announce("names")
    reader.announce("definitions")
    assert reader.unread()
    assert "names" in reader.look().kinds


def test_a_look_that_was_not_acted_on() -> None:
    """Is repeated, and news that came meanwhile stays unread."""
    board = Board()
    reader, writer = Notices(board, 0), Notices(board, 1)
    writer.announce("names")
    assert reader.look().kinds == reader.look().kinds == {"names"}
    look = reader.look()
    writer.announce("definitions")
    reader.done(look)
    assert reader.look().kinds == {"definitions"}


def test_readiness_by_generation() -> None:
    """A worker counts for its generation and earlier ones until it is cleared."""
    board = Board()
    board.set_ready(0, board.generation)
    board.next_generation()
    board.set_ready(3, board.generation)
    assert (board.ready(0), board.ready(1), board.ready(2)) == (2, 1, 0)
    board.clear(3)
    assert (board.ready(0), board.ready(1)) == (1, 0)


# From 3.12 on Python warns of forking beside threads, such as that of the tests' time limit.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_memory_is_shared_with_children() -> None:
    """A fork writes where its parent reads."""
    board = Board()
    notices = Notices(board, 0)
    child = os.fork()
    if not child:
        Notices(board, 1).announce("names")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert notices.look().kinds == {"names"}
