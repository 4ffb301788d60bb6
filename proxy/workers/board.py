"""A piece of memory that all workers of a host share: what changed, who is ready and holds what.

Made before the first fork. Each number has one writer, the worker that holds the slot (the
generation: the supervisor), so nothing needs a lock; aligned eight bytes are read whole. That all
are to end is only ever set.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

News = Literal["definitions", "names"]

SLOTS: Final = 256
"""Workers that can be alive at once; a reload has the old and the new ones for a while."""

_COUNT: Final = struct.Struct("=Q")
_KINDS: Final[tuple[News, ...]] = ("definitions", "names")
_RECORD: Final = _COUNT.size * len(_KINDS)
_NEWS_END: Final = _RECORD * SLOTS
_READY_END: Final = _NEWS_END + _COUNT.size * SLOTS
_HELD_END: Final = _READY_END + _COUNT.size * SLOTS
_ALL: Final = struct.Struct(f"={SLOTS}Q")


class Board:
    """Slots of numbers: news of each kind, the generation in which a worker is ready, and how many
    connections it holds.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _HELD_END + 2 * _COUNT.size)

    @property
    def generation(self) -> int:
        """How often the workers were replaced as a whole."""
        return self._get(_HELD_END)

    def next_generation(self) -> None:
        """Begin to replace all workers. For the supervisor."""
        self._set(_HELD_END, self.generation + 1)

    @property
    def ending(self) -> bool:
        """Whether all workers are to end, with nobody to take their place."""
        return bool(self._get(_HELD_END + _COUNT.size))

    def end(self) -> None:
        """Say that all workers are to end. For the supervisor, and who finds it gone."""
        self._set(_HELD_END + _COUNT.size, 1)

    def set_ready(self, slot: int, generation: int) -> None:
        """Say that the worker in `slot`, of that generation, serves."""
        self._set(_NEWS_END + slot * _COUNT.size, generation + 1)

    def clear(self, slot: int) -> None:
        """Say that the worker in `slot` is gone, or about to start."""
        self._set(_NEWS_END + slot * _COUNT.size, 0)
        self.hold(slot, 0)

    def ready(self, generation: int) -> int:
        """How many workers of that generation, or a later one, serve."""
        return sum(ready > generation for ready in _ALL.unpack_from(self._memory, _NEWS_END))

    def hold(self, slot: int, connections: int) -> None:
        """Say how many connections the worker in `slot` holds."""
        self._set(_READY_END + slot * _COUNT.size, connections)

    def fewest(self, generation: int, besides: int) -> int | None:
        """The fewest connections a worker of that generation, or a later one, holds that serves.

        `besides`: the slot that is left out. None where there is no other.
        """
        ready = _ALL.unpack_from(self._memory, _NEWS_END)
        held = _ALL.unpack_from(self._memory, _READY_END)
        return min(
            (
                count
                for slot, (since, count) in enumerate(zip(ready, held, strict=True))
                if since > generation and slot != besides
            ),
            default=None,
        )

    def news(self) -> bytes:
        """All counters of news, to be compared with an earlier look."""
        return self._memory[:_NEWS_END]

    def differs(self, earlier: bytes) -> bool:
        """Whether the counters are others than at an earlier look."""
        return self._memory[:_NEWS_END] != earlier

    def count(self, slot: int, kind: News) -> None:
        """Count one more piece of news in a slot."""
        at = slot * _RECORD + _KINDS.index(kind) * _COUNT.size
        self._set(at, self._get(at) + 1)

    def _get(self, at: int) -> int:
        return int(_COUNT.unpack_from(self._memory, at)[0])

    def _set(self, at: int, value: int) -> None:
        _COUNT.pack_into(self._memory, at, value)


class Look(NamedTuple):
    """News at one moment: the kinds of it, and the counters that told."""

    kinds: frozenset[News]
    counters: bytes


class Notices:
    """One worker's view of the board: what it announces, and what it has not read yet."""

    def __init__(self, board: Board | None = None, slot: int = 0) -> None:
        self._board = board or Board()
        self._slot = slot
        self._seen = self._board.news()

    def unread(self) -> bool:
        """Whether another worker has announced something; cheap enough for each request."""
        return self._board.differs(self._seen)

    def announce(self, kind: News) -> None:
        """Tell the other workers that definitions, or what names mean, have changed."""
        current = self._board.news() == self._seen
        self._board.count(self._slot, kind)
        if current:
            self._seen = self._board.news()

    def announcer(self, kind: News) -> Callable[[], None]:
        """`announce` for one kind."""
        return lambda: self.announce(kind)

    def look(self) -> Look:
        """What has changed since the look that was acted on last."""
        now, before = self._board.news(), self._seen
        width = _COUNT.size
        kinds = frozenset(
            _KINDS[at // width % len(_KINDS)]
            for at in range(0, _NEWS_END, width)
            if now[at : at + width] != before[at : at + width]
        )
        return Look(kinds, now)

    def done(self, look: Look) -> None:
        """That is acted on; what was announced since is still unread."""
        self._seen = look.counters
