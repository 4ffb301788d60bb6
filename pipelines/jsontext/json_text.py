"""JSON text in and out without loss: whole numbers of any size stay what they are."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

import orjson

scan: Final = json.JSONDecoder(parse_float=str, parse_int=str).raw_decode
"""The value that begins at an index of a text, and the index after it, for who wants that: numbers
are not worked out. Raises `ValueError`, and `RecursionError` where it is nested too deeply.
"""

# A text in this form has a 0 for every digit and a space for all but digits and points.
_SHAPE = bytes(0x30 if c in b"0123456789" else 0x2E if c == 0x2E else 0x20 for c in range(256))
_LONG_NUMBER = b" " + b"0" * 19
# How orjson writes floats from 1e16 on; not with the digit before it, which takes ten times as
# long to find nothing.
_EXPONENTS = re.compile(rb"e\+?[1-9]").finditer
_SHOWN = 100
_BREAKS = str.maketrans("\r\n", "  ")


def parse(text: str) -> Any:
    """The value of a JSON text; a whole number of any size is an exact `int`.

    Half a surrogate pair is a character. Raises `ValueError`, also for a number beyond a double.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(text, parse_constant=_refuse, parse_float=_finite)
        except (ValueError, RecursionError):
            raise error from None
    return value if fits_orjson(text) else json.loads(text)


def write(value: Any) -> str:
    """Compact JSON text of a value that `parse` can return, or of Python values like it.

    Raises `TypeError` for what is not JSON, `RecursionError` where it is nested too deeply.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Half a surrogate pair can stand in JSON as an escape alone.
    return text if _is_text(text) else json.dumps(value, separators=(",", ":"))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:20]} is beyond a double")
    return value


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def can_be_written(members: dict[str, Any]) -> bool:
    """Whether orjson, which reads more levels than it writes, can write what it read as this."""
    if not any(isinstance(value, dict | list) for value in members.values()):
        return True
    try:
        orjson.dumps(members)
    except TypeError:
        return False
    return True


def repeats_key(text: str, written: bytes) -> bool:
    """Whether a key comes twice in an object of a text, whose value orjson wrote as `written`."""
    if not _may_repeat(text, written):
        return False
    try:
        json.loads(text, object_pairs_hook=_unique)
    except ValueError:
        return True
    return False


def refuse_repeated(text: str, value: Any) -> None:
    """Raise `ValueError` where a key comes twice in an object of a text, whose value this is."""
    try:
        written = orjson.dumps(value)
    except TypeError:
        # Nested too deeply to be written: the text alone tells.
        written = b""
    if not _may_repeat(text, written):
        return
    try:
        json.loads(text, object_pairs_hook=_unique)
    except _RepeatedError as error:
        raise ValueError(f"the key [{error}] comes twice in one of its objects") from error
    except (ValueError, RecursionError):
        return


def _may_repeat(text: str, written: bytes) -> bool:
    # Each member has a colon, and those inside of strings are the same on both sides.
    return text.count(":") != written.count(b":") or "\\u003" in text


class _RepeatedError(ValueError):
    pass


def _unique(members: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in members}) == len(members):
        return
    seen: set[str] = set()
    for key, _ in members:
        if key in seen:
            raise _RepeatedError(key[:_SHOWN])
        seen.add(key)


def same(old: Any, new: Any) -> bool:
    """Whether two values are equal as JSON: 1, 1.0 and true differ, and so do orders of keys.

    Raises `RecursionError` where they are nested too deeply.
    """
    # `==` is quick where they differ and takes 1 for 1.0; the texts are only made if it says yes.
    return bool(old == new) and write(old) == write(new)


def one_line(text: str) -> str:
    """The same JSON on one line: outside strings a line break is a space, inside there is none."""
    return text.translate(_BREAKS) if "\n" in text or "\r" in text else text


def may_be_rounded(written: bytes) -> bool:
    """Whether what orjson read and wrote again can hold a whole number of more than 64 bits, which
    it reads as a float.
    """
    return any(written[at.start() - 1 : at.start()].isdigit() for at in _EXPONENTS(written))


def fits_orjson(text: str) -> bool:
    """Whether no whole number has more than 64 bits, which orjson reads as floats.

    May be false for digits in a string; digits after a point are no whole number.
    """
    shape = text.encode().translate(_SHAPE)
    return _LONG_NUMBER not in shape and not shape.startswith(_LONG_NUMBER[1:])
