"""What can be told of a bulk, or of a line of one, that is not read as its items are. Pure."""

from __future__ import annotations

from itertools import islice
from typing import Final

from proxy.formats.convert import format_of
from proxy.protocol.bodies.lenient_json import decoded, is_whole, may_hold
from proxy.protocol.bodies.members import WINDOW, texts_under
from proxy.protocol.limits import TEXTS_MAX
from proxy.protocol.store_guard import check_bulk, check_unread

_WORD: Final = b"pipeline"


def names_pipeline(body: bytes) -> bool:
    """Whether an item of a bulk can name a pipeline."""
    for begin in range(0, len(body), WINDOW):
        # No single step takes long, so that other threads go on.
        window = body[begin : begin + WINDOW + len(_WORD)]
        if may_hold(window, _WORD):
            return True
    return False


def check_store(body: bytes, content_type: str) -> None:
    """Refuse a bulk whose actions name the store; in any format that a backend may read."""
    if format_of(content_type) in (None, "json"):
        check_bulk(body)
    else:
        check_unread(body)


def indices_in(body: bytes, names: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The indices that lines could be for, however they are read; `names` are those of the URL."""
    found = texts_under(decoded(body), frozenset({"_index"}))
    distinct = dict.fromkeys(islice(found, TEXTS_MAX))
    return (*filter(is_whole, distinct), *names)
