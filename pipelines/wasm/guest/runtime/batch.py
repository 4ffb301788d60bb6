"""Many documents in one call: a run each, and what came of it in one response.

The response is a header and a list of ends, one for each document that was come to, in order:

null                     the run failed; the host begins it again by itself, to see how
an object                the members that changed or may have; the others are as they were
a text                   the JSON of such an object, or, in a list of its own, of all it was given
[header, end, lines]     with the JSON of the run's header, and its log if there is one
"""

from collections.abc import Callable
from typing import Any

from querymill.current import Context, current
from querymill.declared import declared_of, part_of

from runtime.failure import TooLarge
from runtime.held_log import HeldLog
from runtime.response import METADATA, headed, text_of
from runtime.text import encode

# Of these classes values cannot change after they were looked at, or be odd when they are written.
_SINGLE = frozenset((str, int, float, bool, type(None)))
_MISSING = object()
_NUMBER_CHARS = 20

Outcome = Callable[..., tuple[Any, str]]


def run_batch(outcome: Outcome, given: dict) -> str:
    """Runs `outcome` on each document of a call, until one runs out of memory or of `room`."""
    ids, carried, room = given["ids"], given["carried"], given["room"]
    limit, emit = given["limit"], current.emit
    first = Context(given["context"], "document", current.params, None)
    header, ends = "{}", []
    part = None
    if "declared" in given:
        current.declared = declared_of(given["declared"], "document")[0]
        part = current.declared.kind()
    log = current.emit = HeldLog(given["log"])
    try:
        for position, payload in enumerate(given["batch"]):
            state, metadata = carried.get(str(position), ({}, {})) if carried else ({}, {})
            if part is not None:
                payload = part_of(part, payload)
            context = first.like(ids[position], state, metadata)
            try:
                end, size = _end(outcome, payload, context, limit)
                if log.lines:
                    end = [*end, log.lines] if type(end) is list else ["{}", end, log.lines]
            except MemoryError:
                header = '{"memory":true}'
                break
            except BaseException:
                end, size = None, 0
            room -= size
            if log.lines:
                room -= log.size
                log = current.emit = HeldLog(given["log"])
            ends.append(end)
            if room < 0:
                break
    finally:
        current.emit = emit
    return f"{header}\n{_written(ends)}"


def _end(outcome: Outcome, payload: dict, context: Context, limit: int) -> tuple[Any, int]:
    """How one run ended, and about how long that is as text."""
    before = dict(payload)
    new, header = outcome("document", payload, None, context)
    if header:
        return [header, None], len(header)
    if context.state or context.metadata or METADATA in new:
        header, new = headed(new, context)
    end, size = _change(before, new)
    if size > limit:
        raise TooLarge
    return ([header, end], size + len(header)) if header else (end, size)


def _change(before: dict, new: dict) -> tuple[dict | str, int]:
    """What differs from `before`, a copy of what the UDF was given, and its size.

    It is text already if what is in there may still change, or is not in the order it was in.
    """
    if list(new)[: len(before)] != list(before):
        text = text_of([new], "the result")
        return text, len(text)
    change, size, single, get = {}, 0, True, before.get
    for key, value in new.items():
        kind = value.__class__
        if get(key, _MISSING) is not value:
            change[key] = value
            size += len(value) if kind is str else _NUMBER_CHARS
            single = single and kind in _SINGLE
        elif kind not in _SINGLE:
            # It may have been changed where it is.
            change[key] = value
            single = False
    if single:
        return change, size
    text = text_of(change, "the result")
    return text, len(text)


def _written(ends: list) -> str:
    try:
        return text_of(ends, "")
    except Exception:
        # One holds NaN, half a surrogate pair or the like.
        return encode([_sound(end) for end in ends])


def _sound(end: Any) -> Any:
    try:
        text_of(end, "")
    except Exception:
        return None
    return end
