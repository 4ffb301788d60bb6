"""What a fuzz harness is, and the two ways it tells what was declared from what was not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from proxy.http.errors import ErrorResponse, envelope

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Harness:
    """Runs a family of parsers on one input. `run` raises on a finding and on nothing else.

    `name` is also the folder of its corpus; `tokens` are what mutation puts into inputs.
    """

    name: str
    run: Callable[[bytes], None]
    tokens: tuple[bytes, ...]


def declared(
    kinds: tuple[type[Exception], ...],
    call: Callable[_P, _T],
    *args: _P.args,
    **kwargs: _P.kwargs,
) -> _T | None:
    """What `call` returns; None where it raised one of `kinds`, subclasses of them not counted.

    A subclass is let through as a finding: a `UnicodeDecodeError` is a `ValueError` that nobody
    meant to declare.
    """
    try:
        return call(*args, **kwargs)
    except Exception as error:
        if type(error) not in kinds:
            raise
        # The message goes to a client: it has to be text that can be written.
        envelope(400, "exception", str(error))
        return None


def refused(call: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs) -> bool:
    """Whether `call` raised an `ErrorResponse` that blames the client."""
    try:
        call(*args, **kwargs)
    except ErrorResponse as error:
        if not 400 <= error.status < 500:
            raise
        error.body()
        return True
    return False


def taken_or_refused(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
    """What `call` returns; None where it raised an `ErrorResponse` that blames the client."""
    results: list[_T] = []
    refused(lambda: results.append(call(*args, **kwargs)))
    return results[0] if results else None
