"""Reads what came out of a sandbox. A UDF may have rewritten its whole interpreter, so nothing in
it is believed before it is checked.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from pipelines.errors import StageError
from pipelines.jsontext.edits import edited, read_edits
from pipelines.jsontext.graft import graft, is_plain, loses_nothing
from pipelines.jsontext.json_text import fits_orjson, may_be_rounded, parse, same, write
from pipelines.jsontext.projection import Projection, hits_of
from pipelines.jsontext.reorder import reordered
from pipelines.wasm.call import Call, Limits, Reply

HEADER_BYTES = 1024 * 1024
REASON_BYTES = 1024
"""Of a rejection's reason; what is longer is cut."""

_FAULT_CHARS = 1_000
_ENTRIES = frozenset({"udf_main", "query", "document", "result"})
_GUEST_KINDS = {"memory", "udf_exception", "invalid_result", "output_too_large", "input_type"}


class Ending(NamedTuple):
    """What the header of a run says: what it hands on, and whether it came to an early end."""

    state: dict[str, Any]
    metadata: dict[str, Any]
    rejected: tuple[str, int] | None
    dropped: bool


_WELL = Ending({}, {}, None, False)


def byte_length(text: str) -> int:
    """Length in UTF-8. Raises `UnicodeEncodeError` for half a surrogate pair."""
    return len(text) if text.isascii() else len(text.encode())


def split(response: str, kind: str, most: int = HEADER_BYTES) -> tuple[dict[str, Any], str]:
    """The header of a response, and what follows it. `kind` is that of the error if it is wrong."""
    if response.startswith("{}\n"):
        return {}, response[3:]
    head, _, rest = response.partition("\n")
    if byte_length(head) > most:
        raise StageError(
            "output_too_large",
            f"context.state and metadata have more than {HEADER_BYTES} bytes together",
        )
    try:
        header = orjson.loads(head)
    except ValueError as error:
        raise StageError(kind, f"its response cannot be read ({error})") from error
    if not isinstance(header, dict):
        raise StageError(kind, "its response cannot be read (the header is not an object)")
    return header, rest


def guest_error(header: dict[str, Any]) -> tuple[str, str, str] | None:
    """(kind, reason, traceback) if the header tells of a failure."""
    error = header.get("error")
    if not isinstance(error, dict):
        return None
    kind = error.get("kind")
    reason, traceback = str(error.get("reason", ""))[:4_000], str(error.get("traceback", ""))
    known = kind if isinstance(kind, str) and kind in _GUEST_KINDS else "udf_exception"
    return known, reason, traceback[:20_000]


def read_entries(header: dict[str, Any]) -> tuple[frozenset[str], dict[str, str]]:
    """The entry points that a loaded UDF has, and what is wrong with some of them, by name."""
    entries, faults = header.get("entries"), header.get("faults")
    return (
        frozenset(entries if isinstance(entries, list) else ()) & _ENTRIES,
        {
            name: str(fault)[:_FAULT_CHARS]
            for name, fault in (faults if isinstance(faults, dict) else {}).items()
            if name in _ENTRIES
        },
    )


def read(
    header: dict[str, Any],
    text: str,
    call: Call,
    before: dict[str, Any],
    limits: Limits,
    log: tuple[str, ...],
) -> Reply:
    """The reply in a response without error. `before` is the call's payload, parsed.

    Raises `StageError` of kind "invalid_result" or "output_too_large".
    """
    ending = read_ending(header)
    data, changed = before, False
    if ending.rejected or ending.dropped:
        text = call.payload
    elif call.projection is not None:
        text, data, changed = _declared(text, call, call.projection, before, limits.output_bytes)
    else:
        data = read_payload(text, limits.output_bytes)
        text, changed = _whole(text, call.payload, before, data)
    return Reply(
        text,
        data,
        changed,
        ending.metadata,
        ending.state,
        log,
        ending.dropped,
        ending.rejected,
    )


def read_ending(header: dict[str, Any]) -> Ending:
    """What a header without error tells. Raises `StageError` of kind "invalid_result"."""
    if not header:
        return _WELL
    return Ending(
        _object(header, "state"),
        _object(header, "metadata"),
        _rejected(header),
        header.get("dropped") is True,
    )


def _whole(
    new_text: str, old_text: str, old: dict[str, Any], new: dict[str, Any]
) -> tuple[str, bool]:
    """The text to go on with for what a UDF made of a whole payload, and whether it differs."""
    if old_text == new_text:
        return old_text, False
    before, after = _written(old, "its input"), _written(new, "its result")
    exact = not may_be_rounded(after)
    if before == after and (exact or same(parse(old_text), parse(new_text))):
        return old_text, False
    if exact and is_plain(old_text, before):
        # What did not change is written as it was.
        return after.decode(), True
    if "\n" in new_text or "\r" in new_text:
        new_text = write(parse(new_text))
    if not loses_nothing(old_text, old, before):
        new_text = graft(old_text, new_text)
    return new_text, True


def _declared(
    text: str, call: Call, projection: Projection, before: dict[str, Any], limit: int
) -> tuple[str, dict[str, Any], bool]:
    """The payload with what a UDF that was given a part of it answered, and whether it differs."""
    response = read_payload(text, limit)
    untouched = call.payload, before, False
    apply = _edited if projection.of_hits else _merged
    if projection.of_hits and not response:
        return untouched
    try:
        data, changed = apply(before, response, projection, limit)
        if changed and projection.of_hits and response.keys() == {"order"}:
            moved = reordered(call.payload, hits_of(before), response["order"])
            if moved is not None:
                return moved, data, True
        written = _written(data, "its result").decode() if changed else ""
        lossless = loses_nothing(call.payload, before)
        if not fits_orjson(text) or not (lossless or fits_orjson(call.payload)):
            exact, changed = apply(parse(call.payload), parse(text), projection, limit)
            written = write(exact)
        if not changed:
            return untouched
        return (written if lossless else graft(call.payload, written)), data, True
    except ValueError as error:
        raise StageError("invalid_result", str(error)) from error
    except RecursionError as error:
        reason = "its result is nested too deeply; 250 levels are allowed"
        raise StageError("invalid_result", reason) from error


def _edited(
    response: dict[str, Any], returned: dict[str, Any], projection: Projection, limit: int
) -> tuple[dict[str, Any], bool]:
    edits = read_edits(returned, len(hits_of(response)))
    if edits.path_bytes > limit:
        reason = f"its edits have {edits.path_bytes} bytes of paths alone, its limit is {limit}"
        raise StageError("output_too_large", reason)
    return edited(response, edits)


def _merged(
    document: dict[str, Any], response: dict[str, Any], projection: Projection, limit: int
) -> tuple[dict[str, Any], bool]:
    new = projection.merged(document, response)
    return new, not same(document, new)


def read_payload(text: str, limit: int) -> dict[str, Any]:
    """The object in a text that came out. Raises what `read` does."""
    size = byte_length(text)
    if size > limit:
        raise StageError("output_too_large", f"its result has {size} bytes, its limit is {limit}")
    try:
        data = orjson.loads(text)
    except ValueError as error:
        raise StageError("invalid_result", f"its result is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise StageError("invalid_result", "its result is not a JSON object")
    return data


def _object(header: dict[str, Any], name: str) -> dict[str, Any]:
    value = header.get(name, {})
    if not isinstance(value, dict):
        raise StageError("invalid_result", f"context.{name} has to be an object")
    # It travels on inside other objects.
    _written([[[[value]]]], f"context.{name}")
    return value


def _written(value: object, what: str) -> bytes:
    """JSON text of what was parsed before: only nesting can keep it from being written again."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        reason = f"{what} is nested too deeply; 250 levels are allowed"
        raise StageError("invalid_result", reason) from error


def _rejected(header: dict[str, Any]) -> tuple[str, int] | None:
    given = header.get("rejected")
    if given is None:
        return None
    match given:
        case [str(reason), int(status)] if 400 <= status <= 499:
            return reason.encode()[:REASON_BYTES].decode(errors="ignore"), int(status)
    raise StageError("invalid_result", "it rejected with something else than a reason and 4xx")
