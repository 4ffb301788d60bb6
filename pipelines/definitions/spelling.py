"""Which known name a mistaken one was meant to be, for messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# Longer than any name of ours: what is compared takes time.
_LONGEST = 100


def nearest(name: str, known: Iterable[str], *, like: float = 0.6) -> str | None:
    """The known name most like `name`, None if none is as much like it as `like` (1: the same).

    Case and ``-`` do not count.
    """
    names = {each.lower(): each for each in known}
    wanted = name[:_LONGEST].lower().replace("-", "_")
    close = get_close_matches(wanted, names, n=1, cutoff=like)
    return names[close[0]] if close else None
