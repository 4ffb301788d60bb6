"""The query parameters of administration calls: what each route takes, read once and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pipelines.definitions.spelling import nearest
from proxy.formats.filter_path import FilterPath
from proxy.http.errors import ErrorResponse
from proxy.http.query_string import QueryString

Read = Callable[[str], Any]
"""Makes the value of a parameter of its text; raises `ValueError` that says what it has to be."""
Parameters = Mapping[str, Read]

_DIGITS: Final = 15
_SHOWN: Final = 100


def flag(text: str) -> bool:
    """A parameter without a value is true, as the backend reads it."""
    if text not in ("", "true", "false"):
        raise ValueError("only [true] or [false] are allowed")
    return text != "false"


def whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
        raise ValueError("it is not a whole number")
    return int(text)


def word(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty")
    return text


def one_of(*choices: str) -> Read:
    def read(text: str) -> str:
        if text not in choices:
            meant = nearest(text, choices)
            hint = f"did you mean [{meant}]? " if meant else ""
            raise ValueError(f"{hint}it has to be one of {', '.join(choices)}")
        return text

    return read


COMMON: Final[Parameters] = {
    "pretty": flag,
    "human": flag,
    "error_trace": flag,
    "filter_path": FilterPath.parse,
    "format": one_of("json", "yaml", "cbor"),
}
"""What client libraries offer for every call. `human` and `error_trace` change nothing here."""


def read_parameters(
    query: QueryString, known: Parameters, *, call: str, elsewhere: Mapping[str, list[str]]
) -> dict[str, Any]:
    """The value of each parameter that a route takes, None for those that are not there.

    `call` is the call's method and path, `elsewhere` tells which methods of that path take which
    other parameters. Raises `ErrorResponse` (400) for the first that is unknown, there twice or
    wrong.
    """
    takes = {**known, **COMMON}
    values: dict[str, Any] = dict.fromkeys(takes)
    given: set[str] = set()
    for name, text in query.pairs():
        if name not in takes:
            raise _refused(_unknown(name, known, call, elsewhere))
        if name in given:
            raise _refused(f"[{call}] is given the parameter [{name}] twice; give it once")
        given.add(name)
        try:
            values[name] = takes[name](text)
        except ValueError as error:
            reason = f"[{call}] cannot read the parameter [{name}={text[:_SHOWN]}]: {error}"
            raise _refused(reason) from error
    return values


def _unknown(name: str, known: Parameters, call: str, elsewhere: Mapping[str, list[str]]) -> str:
    shown = name[:_SHOWN]
    if name in elsewhere:
        hint = f"it belongs to {' and '.join(elsewhere[name])}"
    elif meant := nearest(name, {**known, **COMMON}):
        hint = f"did you mean [{meant}]?"
    elif meant := nearest(name, elsewhere):
        hint = f"did you mean [{meant}], which belongs to {' and '.join(elsewhere[meant])}?"
    else:
        hint = ""
    takes = f"it takes {', '.join(known)}" if known else "it takes none of its own"
    arrow = f" -> {hint}" if hint else ""
    return f"[{call}] contains unrecognized parameter: [{shown}]{arrow} ({takes})"


def _refused(reason: str) -> ErrorResponse:
    return ErrorResponse(400, "illegal_argument_exception", reason)
