"""Large JSON in steps: no call of them keeps other threads waiting for longer than a moment.

What reads and writes JSON, or base64, holds the interpreter's lock while it works, also in a thread
of its own; 10 MB at once are tens of milliseconds in which the event loop stands still. Uploads are
large for few, long strings, so those are cut out and worked on piece by piece.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import io
import secrets
from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from pipelines.jsontext.json_text import refuse_repeated

STEP: Final = 192 * 1024
"""Bytes worked on at once; a multiple of 3 and of 4, for base64."""
_LONG: Final = 4 * 1024
_BACKSLASH: Final = ord("\\")
# Of the longest escape, a pair's.
_ESCAPE: Final = 12


def loads(raw: bytes, *, most: int | None = None) -> Any:
    """What `orjson.loads` gives. `most` bounds all but strings of more than 4 KB.

    Raises `ValueError` where it is no JSON, has a key twice in an object, or is beyond `most`.
    """
    if len(raw) <= STEP:
        return _read(raw)
    mark = secrets.token_hex(12)
    frame: list[bytes] = []
    texts: list[str] = []
    copied = position = long = 0
    while (start := raw.find(b'"', position)) >= 0 and (end := _end(raw, start + 1)) >= 0:
        position = end + 1
        if end - start > _LONG:
            frame += [raw[copied:start], b'"%b.%d"' % (mark.encode(), len(texts))]
            texts.append("".join(_texts(raw, start + 1, end)))
            copied, long = position, long + position - start
        elif most is not None and position - long > most:
            break
    frame.append(raw[copied:])
    if most is not None and len(raw) - long > most:
        raise ValueError(f"it has more than {most} bytes beside its long strings")
    value = _read(b"".join(frame))
    return _filled(value, {f"{mark}.{n}": text for n, text in enumerate(texts)}) if texts else value


def _read(raw: bytes) -> Any:
    value = orjson.loads(raw)
    refuse_repeated(raw.decode(), value)
    return value


def dump_file(content: bytes) -> Iterator[bytes]:
    """The JSON of a file, in pieces: a string, or ``{"base64": ...}`` where it is no text."""
    try:
        pieces = list(_dump_text(content))
    except UnicodeDecodeError:
        yield b'{"base64":"'
        for at in range(0, len(content), STEP):
            yield base64.b64encode(content[at : at + STEP])
        yield b'"}'
    else:
        yield from (b'"', *pieces, b'"')


def joined(pieces: Iterable[bytes]) -> bytes:
    """The pieces one after the other, put there one by one."""
    buffer = io.BytesIO()
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), STEP):
            buffer.write(view[at : at + STEP])
    return buffer.getvalue()


def base64_decoded(text: str) -> bytes:
    """Strictly. Raises `ValueError`."""
    pieces = [text[at : at + STEP] for at in range(0, len(text), STEP)]
    if any("=" in piece for piece in pieces[:-1]):
        raise binascii.Error("there is padding before its end")
    return joined(binascii.a2b_base64(piece, strict_mode=True) for piece in pieces)


def _dump_text(content: bytes) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(0, len(content), STEP):
        yield orjson.dumps(decoder.decode(content[at : at + STEP]))[1:-1]
    decoder.decode(b"", final=True)


def _end(raw: bytes, start: int) -> int:
    """Where the string ends whose text starts here; -1 if it does not."""
    at = start
    while (at := raw.find(b'"', at)) >= 0:
        if not _backslashes(raw, start, at) % 2:
            return at
        at += 1
    return -1


def _backslashes(raw: bytes, start: int, end: int) -> int:
    """How many there are right before `end`."""
    count = 0
    if end > start and raw[end - 1] != _BACKSLASH:
        return 0
    while True:
        window = raw[max(start, end - count - 256) : end - count]
        found = len(window) - len(window.rstrip(b"\\"))
        count += found
        if not found or found < len(window):
            return count


def _texts(raw: bytes, start: int, end: int) -> Iterator[str]:
    """A string's text, in pieces none of which ends inside of a character or an escape."""
    while start < end:
        cut = _cut(raw, start, end)
        yield orjson.loads(b'"%b"' % raw[start:cut])
        start = cut


def _cut(raw: bytes, start: int, end: int) -> int:
    goal = min(start + STEP, end)
    # No escape that reaches the goal begins before this.
    at = raw.find(b"\\", max(start, goal - _ESCAPE), goal)
    if at < 0:
        at = goal
    elif _backslashes(raw, start, at) % 2:
        at += 1
    while at < goal:
        escape = raw.find(b"\\", at, goal)
        if escape < 0:
            at = goal
        elif raw[escape + 1 : escape + 2] != b"u":
            at = escape + 2
        else:
            # The first half of a pair goes with the second.
            first = raw[escape + 2 : escape + 4].lower()
            at = escape + (12 if first[:1] == b"d" and first[1:] in b"89ab" else 6)
    while at < end and raw[at] & 0xC0 == 0x80:
        at += 1
    return min(at, end)


def _filled(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, str):
        return texts.get(value, value)
    if isinstance(value, list):
        return [_filled(each, texts) for each in value]
    if isinstance(value, dict):
        return {texts.get(key, key): _filled(each, texts) for key, each in value.items()}
    return value
