"""Values as a log line shows them: bounded, and without a character that does more than be seen.

Pure functions. What a client or a UDF wrote may forge lines, colour a terminal, or turn the order
of its text round (U+202E and the like), so all that does not print is escaped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Final

import orjson

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONGEST_KEY: Final = 100
INDENT: Final = "    "


def escaped(text: str) -> str:
    """`text` on one line, with nothing in it that does not print."""
    return text if text.isprintable() else "".join(map(_escape, text))


def block(text: str) -> str:
    """Several lines, such as a traceback: each escaped and indented, so that none begins an entry.

    White space in front of a line stays.
    """
    return "\n".join(INDENT + escaped(line.expandtabs()) for line in text.rstrip().split("\n"))


def cut(text: str, most: int) -> str:
    """`text`, or its first `most` characters and how many more there were."""
    if len(text) <= most:
        return text
    return f"{text[:most]}... [{len(text) - most} characters more]"


def cut_middle(text: str, most: int) -> str:
    """`text`, or its beginning and its end: the last line of a traceback says what it was."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}... [{len(text) - 2 * half} characters more] ...{text[-half:]}"


def shown(value: object, most: int) -> object:
    """A value as it can be written: short, and of a kind that both formats have."""
    if isinstance(value, str):
        return cut(value, most)
    if value is None or isinstance(value, bool | int | float):
        # More digits than Python turns into text, or JSON readers take, are told as such.
        return value if abs(value or 0) < 2**63 or isinstance(value, float) else _repr(value, most)
    text = _repr(value, most)
    return value if isinstance(value, dict | list | tuple) and len(text) <= most else text


def key(name: object) -> str:
    """The name of a field."""
    return escaped(cut(str(name), _LONGEST_KEY))


def json_line(fields: Mapping[str, object]) -> str:
    """`fields` as one JSON object. Never fails."""
    try:
        text = orjson.dumps(fields, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError, RecursionError):
        # Half a surrogate pair, which readers of JSON refuse, or what contains itself.
        plain = {_whole(name): _plain(value) for name, value in fields.items()}
        text = json.dumps(plain, separators=(",", ":"))
    return text if text.isprintable() else "".join(map(_json_escape, text))


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return _whole(value)
    return value if value is None or isinstance(value, bool | int) else _repr(value, 10_000)


def _whole(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _repr(value: object, most: int) -> str:
    try:
        return cut(repr(value), most + 2)
    except Exception as error:
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x100:
        return _SHORT.get(character) or f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escape(character: str) -> str:
    # Outside of strings JSON as it is written here has nothing but ASCII that prints.
    return character if character.isprintable() else json.dumps(character)[1:-1]
