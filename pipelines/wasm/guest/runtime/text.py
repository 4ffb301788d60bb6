"""JSON text for the runtime itself, bound at build time: a UDF that patches the json module harms
only its own code. It also saves what `json.dumps` sets up anew for each call.
"""

import json
from json import encoder as _parts
from typing import Any

_scan = json.JSONDecoder().scan_once


def _refuse(value: Any) -> Any:
    raise TypeError(f"an object of type {type(value).__name__} is not JSON")


# the containers being written: how one that holds itself is found
_open: dict[int, Any] = {}
_chunks = _parts.c_make_encoder(
    _open, _refuse, _parts.c_encode_basestring, None, ":", ",", False, False, False
)


def decode(text: str) -> Any:
    """The value of a JSON text that begins at its first character. Raises `ValueError`."""
    try:
        value, end = _scan(text, 0)
    except StopIteration as error:
        raise ValueError(f"no JSON value at character {error.value}") from None
    if end != len(text):
        raise ValueError(f"more than one JSON value, the second at character {end}")
    return value


def encode(value: Any) -> str:
    """Compact JSON, other than ASCII left as it is; NaN and infinities are refused.

    Raises `TypeError`, `ValueError`, `RecursionError`.
    """
    try:
        return "".join(_chunks(value, 0))
    finally:
        _open.clear()
