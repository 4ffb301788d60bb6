"""JSON as the backends read it, which is more than JSON.

They take comments, a byte order mark, UTF-16 and UTF-32 (told apart by their zeroes), characters in
more bytes of UTF-8 than they need, half surrogate pairs and numbers beyond any double. Many calls
leave unread what follows the value, so that a body can be broken there and still mean something.
Pure.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Iterator
from typing import Any, Final

WINDOW: Final = 1024 * 1024
# Those of UTF-32 begin with those of UTF-16.
_MARKS: Final = (
    (BOM_UTF32_LE, "utf-32-le"),
    (BOM_UTF32_BE, "utf-32-be"),
    (BOM_UTF16_LE, "utf-16-le"),
    (BOM_UTF16_BE, "utf-16-be"),
    (BOM_UTF8, "utf-8"),
)
# By which of the first four bytes are zero.
_ZEROES: Final = (
    (re.compile(rb"\0\0\0[^\0]", re.DOTALL), "utf-32-be"),
    (re.compile(rb"[^\0]\0\0\0", re.DOTALL), "utf-32-le"),
    (re.compile(rb"\0[^\0]", re.DOTALL), "utf-16-be"),
    (re.compile(rb"[^\0]\0", re.DOTALL), "utf-16-le"),
)
_OVERLONG: Final = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]")
_STRING: Final = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_COMMENT: Final = r"/\*.*?\*/|//[^\r\n]*"
_COMMENTED: Final = re.compile(f"{_STRING}|({_COMMENT})", re.DOTALL)
_TOKEN: Final = re.compile(f"({_STRING})|{_COMMENT}|[{{}}\\[\\]:,]", re.DOTALL)
_STRING_AT: Final = re.compile(_STRING, re.DOTALL)
_COLON: Final = re.compile(f"(?:[ \\t\\r\\n]|{_COMMENT})*:", re.DOTALL)
_SPACE: Final = re.compile(r"[ \t\r\n]*")


def decoded(body: bytes) -> str:
    """The text of a body; what is no text in it stands there as half surrogates."""
    for mark, coding in _MARKS:
        if body.startswith(mark):
            return _text(body[len(mark) :], coding)
    if b"\0" in body[:4]:
        for pattern, coding in _ZEROES:
            if pattern.match(body):
                return _text(body, coding)
    return _text(body, "utf-8")


def _text(body: bytes, coding: str) -> str:
    if coding != "utf-8":
        return body.decode(coding, "surrogatepass" if _is_whole(body, coding) else "ignore")
    try:
        return body.decode()
    except UnicodeDecodeError:
        return _OVERLONG.sub(_shortest, body).decode(errors="surrogateescape")


def _is_whole(body: bytes, coding: str) -> bool:
    try:
        body.decode(coding, "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _shortest(found: re.Match[bytes]) -> bytes:
    value = 0
    for byte in found[0]:
        value = value << 6 | byte & 0x3F
    # Above the first byte's own bits there are those that tell the length.
    return chr(value & 0x7FF).encode("utf-8", "surrogatepass")


def as_json(body: bytes) -> str:
    """The same text in plain JSON, where no more than coding, mark and comments keep it from that.

    Whatever else is odd about it is still there.
    """
    text = decoded(body)
    return _COMMENTED.sub(_blank, text) if "/" in text else text


def _blank(found: re.Match[str]) -> str:
    return " " if found[1] else found[0]


def first_value(body: bytes) -> Any:
    """The value that a body begins with, whatever follows it; None where there is nothing at all.

    Raises `ValueError` where the backends refuse it, a key that comes twice included, and where it
    cannot be written as JSON again: half surrogate pairs, numbers beyond a double, deep nesting.
    """
    text = as_json(body)
    begin = _SPACE.match(text)
    assert begin is not None
    if begin.end() == len(text):
        return None
    try:
        value, _ = _DECODER.raw_decode(text, begin.end())
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def may_be_read(body: bytes) -> bool:
    """Whether a backend may read the value that a body begins with, whoever else can."""
    text = as_json(body)
    begin = _SPACE.match(text)
    assert begin is not None
    try:
        _DECODER.raw_decode(text, begin.end())
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a key comes twice")
    return value


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)


def first_text(text: str) -> str | None:
    """The first text in there: the key of the first member, of an object that begins the text."""
    for token in _TOKEN.finditer(text):
        if token[1] is not None:
            return _string(token[1])
    return None


def texts_under(text: str, wanted: frozenset[str]) -> Iterator[str]:
    """The texts in all members of a text that are called as `wanted`, however deep in there.

    However broken, deep or doubled the text is: nothing is read but these members. In a comment
    they count too.
    """
    # Members inside another one that was walked: what is in them was told with it.
    inside: set[int] = set()
    for name in wanted:
        for at in _found(text, f'"{name}"'):
            if at not in inside and (colon := _COLON.match(text, at + len(name) + 2)):
                yield from _texts_from(text, colon.end(), inside)
    end = 0
    for at in _found(text, "\\u"):
        # Quotes in strings are escaped, so that the one before begins this string.
        if at >= end and (key := _STRING_AT.match(text, text.rfind('"', 0, at))):
            end = key.end()
            if (colon := _COLON.match(text, end)) and _string(key[0]) in wanted:
                yield from _texts_from(text, colon.end())


def _found(text: str, part: str) -> Iterator[int]:
    """Where `part` stands in a text. No single step takes long, so that other threads go on."""
    for begin in range(0, len(text), WINDOW):
        end = begin + WINDOW + len(part) - 1
        at = text.find(part, begin, end)
        while at >= 0:
            yield at
            at = text.find(part, at + 1, end)


def _texts_from(text: str, start: int, inside: set[int] | None = None) -> Iterator[str]:
    """The texts in the value that begins at an index; `inside` is told where those within begin."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[1] is not None:
            if depth and inside is not None:
                inside.add(token.start(1))
            yield _string(token[1])
        else:
            depth += (token[0] in "{[") - (token[0] in "}]")
        if depth < 0 or (depth == 0 and token[0][0] != "/"):
            return


def texts_by_object(text: str, wanted: frozenset[str]) -> Iterator[dict[str, list[str]]]:
    """The same for each object that has such members, by name.

    Objects that are never closed come last.
    """
    frames: list[dict[str, list[str]]] = []
    last = ""
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark == ":" and last and frames and (name := _string(last)) in wanted:
            frames[-1].setdefault(name, []).extend(_texts_from(text, token.end()))
        elif mark == "{":
            frames.append({})
        elif mark == "}" and frames and (ended := frames.pop()):
            yield ended
        if mark[0] != "/":
            last = token[1] or ""
    yield from filter(None, reversed(frames))


def _string(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    try:
        text: str = json.loads(token, strict=False)
    except ValueError:
        # The backends refuse all of it for an escape they do not know.
        return token[1:-1]
    return text
