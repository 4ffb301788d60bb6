"""Whose turn it is to take a connection."""

from __future__ import annotations

from proxy.workers.board import SLOTS, Board
from proxy.workers.share import Share


def crew(*slots: int) -> tuple[Board, list[Share]]:
    """Workers that serve, in these slots."""
    board = Board()
    for slot in slots:
        board.set_ready(slot, board.generation)
    return board, [Share(board, slot, board.generation) for slot in slots]


def test_a_worker_alone_is_never_ahead() -> None:
    """Neither without a supervisor nor as the only one of its crew."""
    _, (one,) = crew(0)
    for share in (Share(), one):
        share.add()
        assert not share.is_ahead


def test_who_holds_more_than_another_is_ahead() -> None:
    """As many is not ahead, and one connection less may end it."""
    _, (first, middle, last) = crew(0, 7, SLOTS - 1)
    first.add()
    middle.add()
    assert first.is_ahead
    assert middle.is_ahead
    last.add()
    assert not first.is_ahead
    last.add()
    assert last.is_ahead
    last.remove()
    assert not last.is_ahead


def test_who_does_not_serve_does_not_count() -> None:
    """One that starts, one that has ended, one that a reload replaces."""
    board, (share,) = crew(0)
    share.add()
    board.hold(1, 0)
    assert not share.is_ahead
    board.set_ready(1, board.generation)
    assert share.is_ahead
    board.clear(1)
    assert not share.is_ahead
    board.set_ready(1, board.generation)
    board.next_generation()
    board.set_ready(2, board.generation)
    newer = Share(board, 2, board.generation)
    newer.add()
    assert not newer.is_ahead


def test_a_slot_begins_with_no_connections() -> None:
    """What a worker that was killed held is not its successor's."""
    board, (one, other) = crew(0, 1)
    for _ in range(3):
        other.add()
    one.add()
    one.add()
    assert not one.is_ahead
    board.clear(1)
    board.set_ready(1, board.generation)
    assert one.is_ahead
