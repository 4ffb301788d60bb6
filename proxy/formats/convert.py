"""The formats a backend speaks beside JSON: told apart by media type, turned into JSON and back."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal, cast

import cbor2

from pipelines.jsontext.json_text import parse, write
from proxy.formats.limits import BIGNUM_MAX, DEPTH_MAX
from proxy.formats.yaml import YamlError, read_yaml, write_yaml, written_float
from proxy.http.media_type import media_type

Format = Literal["json", "yaml", "cbor", "smile"]

_FORMATS: Final[Mapping[str, Format]] = {
    "application/json": "json",
    "application/x-ndjson": "json",
    "application/*": "json",
    "application/yaml": "yaml",
    "application/cbor": "cbor",
    "application/smile": "smile",
}
# What is behind the vendor, or behind the slash where there is none.
_SUBTYPE: Final = re.compile(r"[^/+;\s]+(?=\s*(?:;|$))")
# Tags that refer to other parts of the same data, by which a little can stand for a lot, and that
# of regular expressions, which would be compiled.
_REFUSED: Final = (25, 28, 29, 35, 256)


class FormatError(ValueError):
    """A body is not valid in its format, or holds what JSON cannot; the message says which."""


def format_of(value: str) -> Format | None:
    """The format that a Content-Type or Accept names; None for lists and for what is unknown."""
    return _FORMATS.get(media_type(value))


def has_lines(value: str) -> bool:
    """Whether a backend may tell the lines of a body apart that is in another format than JSON."""
    return format_of(value) == "smile"


def format_named(name: str) -> Format:
    """What ``?format=`` asks for; the backend takes a name it does not know for JSON."""
    lowered = name.lower()
    return cast(Format, lowered) if lowered in ("yaml", "cbor", "smile") else "json"


def as_json_type(value: str) -> str:
    """A media type of another format as that of JSON; a vendor's stays the vendor's."""
    return value if format_of(value) is None else _SUBTYPE.sub("json", value, count=1)


def content_type(format: Format) -> str:
    return "application/json; charset=UTF-8" if format == "json" else f"application/{format}"


def to_json(body: bytes, format: Format, *, binary: bool = True) -> bytes:
    """A YAML or CBOR body as JSON. Raises `FormatError`, for `binary` data too if it is not taken.

    Binary data becomes Base64 text, as the backend shows it.
    """
    try:
        value = read_yaml(body) if format == "yaml" else _read_cbor(body)
        return write(_plain(value, DEPTH_MAX, binary)).encode()
    except (YamlError, cbor2.CBORError, UnicodeDecodeError, RecursionError) as error:
        if isinstance(error.__cause__, FormatError):
            raise error.__cause__ from error
        reason = " ".join(str(error).split())[:300] or "it is nested too deeply"
        raise FormatError(f"the {format.upper()} body cannot be read: {reason}") from error
    except FormatError:
        raise
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise FormatError(f"the {format.upper()} body cannot be read: {error}") from error


def from_json(text: str, format: Format) -> bytes:
    """The JSON `text` in YAML or CBOR."""
    value = parse(text)
    if format == "cbor":
        return cbor2.dumps(value)
    # Floats as the backend spells them, which readers of YAML and ours do not agree on.
    return write_yaml(json.loads(text, parse_float=written_float) if "E" in text else value)


def _read_cbor(body: bytes) -> Any:
    return cbor2.loads(
        body,
        max_depth=DEPTH_MAX,
        semantic_decoders={**dict.fromkeys(_REFUSED, _refuse), 2: _bignum, 3: _negative_bignum},
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )


def _refuse(*_: object) -> Any:
    raise FormatError("the CBOR body has tags for references or patterns; send plain values")


def _bignum(data: Any, _: bool) -> int:
    # Made into a decimal or text, it costs the square of its length.
    if not isinstance(data, bytes) or len(data) > BIGNUM_MAX:
        raise FormatError(f"the CBOR body has a number of more than {BIGNUM_MAX} bytes")
    return int.from_bytes(data, "big")


def _negative_bignum(data: Any, _: bool) -> int:
    return -1 - _bignum(data, _)


def _plain(value: Any, depth: int, binary: bool) -> Any:
    """The value as JSON has it: binary data as Base64, keys as text."""
    if depth == 0:
        raise FormatError(f"the body is nested too deeply; {DEPTH_MAX} levels are allowed")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {_text(name): _plain(member, depth - 1, binary) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(element, depth - 1, binary) for element in value]
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            raise FormatError(f"the body has the number {value}, which JSON cannot hold")
        return float(value)
    if isinstance(value, bytes):
        if not binary:
            raise FormatError('the body has binary data; send Base64: {"base64": "..."} in a file')
        return base64.b64encode(value).decode()
    raise FormatError(f"the body has a value of type {type(value).__name__}; JSON has none")


def _text(key: Any) -> str:
    if isinstance(key, str):
        return key
    raise FormatError(f"the body has a key of type {type(key).__name__}; a key is text")
