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
from typing import Any, Final

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
# A string or comment without an end takes all the rest with it, as it is.
_COMMENTED: Final = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|(/\*.*?\*/|//[^\r\n]*)|/\*.*', re.DOTALL
)
# A character of ASCII, but for what no name needs.
_ESCAPED: Final = re.compile(rb"\\u00[2-7][0-9a-fA-F]")
# Bytes that are no text, as `decoded` leaves them, and among them half a pair in UTF-8.
_NO_UTF8: Final = re.compile("[\udc80-\udcff]")
_HALF_AS_UTF8: Final = re.compile("\udced[\udca0-\udcbf][\udc80-\udcbf]")
_HALF: Final = re.compile("[\ud800-\udfff]")
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


def may_hold(body: bytes, word: bytes) -> bool:
    """Whether a word of ASCII can be in a body: as it is, or spelled in another way."""
    # As quick as can be: this is looked at for each search.
    return (
        word in body
        or (b"\\u00" in body and _ESCAPED.search(body) is not None)
        or (b"\0" in body and word in decoded(body).encode(errors="replace"))
        or b"\xc0" in body
        or b"\xc1" in body
        or (b"\xe0" in body and _OVERLONG.search(body) is not None)
    )


def is_whole(text: str) -> bool:
    """Whether a text has no half of a surrogate pair in it. What has is the name of no index."""
    return text.isascii() or _HALF.search(text) is None


def loose_value(body: bytes) -> Any:
    """The same, of what a backend may read however odd it is; numbers as their text.

    Raises `ValueError` for what it surely refuses.
    """
    text = as_json(body)
    return _loose(text, _end_of_space(text, 0))[0]


def loose_member(body: bytes) -> tuple[str, Any]:
    """The first member of the object that a body begins with: as far as an action is read."""
    text = as_json(body)
    begin = _end_of_space(text, 0)
    if text[begin : begin + 1] != "{":
        raise ValueError("it is no object")
    key, end = _loose(text, _end_of_space(text, begin + 1))
    colon = _end_of_space(text, end)
    if not isinstance(key, str) or text[colon : colon + 1] != ":":
        raise ValueError("it has no member")
    return key, _loose(text, _end_of_space(text, colon + 1))[0]


def _loose(text: str, begin: int) -> tuple[Any, int]:
    if not text.isascii() and _NO_UTF8.search(_HALF_AS_UTF8.sub("", text)):
        raise ValueError("it is not UTF-8")
    try:
        return _LOOSE.raw_decode(text, begin)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _end_of_space(text: str, begin: int) -> int:
    space = _SPACE.match(text, begin)
    assert space is not None
    return space.end()


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a key comes twice")
    return value


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
_LOOSE: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse, parse_float=str, parse_int=str
)
