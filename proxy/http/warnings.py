"""``Warning`` fields of a response: few, short and legal, however much went wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxy.http.limits import WARNING_BYTES_MAX, WARNING_FIELDS_MAX, WARNING_TEXT_MAX

_NAME: Final = "Warning"
# What stands around a text on the wire, with the name and the line's end.
_AROUND: Final = len(f'{_NAME}: 299 querymill ""\r\n')


class Warnings:
    """What the client of one request is to be told. Equal texts are told once, with their number.

    It stays small while items without end fail: of what will not be told only the number is kept.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._counts: dict[str, int] = {}
        self._more = 0
        self.extend(texts)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, text: str, times: int = 1) -> None:
        """Tell `text`, of `times` things."""
        self._count(_quotable(text), times)

    def extend(self, texts: Iterable[str]) -> None:
        """Tell each of `texts`."""
        for text in texts:
            self.add(text)

    def take(self, other: Warnings) -> None:
        """Tell what another part of the same request tells."""
        for text, times in other._counts.items():
            self._count(text, times)
        self._more += other._more

    def fields(self) -> list[tuple[str, str]]:
        """The fields, within the limits; the last counts what is left out."""
        reported = [_reported(text, times) for text, times in self._counts.items()]
        if self._more or len(reported) > WARNING_FIELDS_MAX or _size(reported) > WARNING_BYTES_MAX:
            reported = self._shortened(reported)
        return [(_NAME, f'299 querymill "{text}"') for text in reported]

    def _shortened(self, reported: list[str]) -> list[str]:
        every = sum(self._counts.values()) + self._more
        kept = reported[: WARNING_FIELDS_MAX - 1]
        while kept and _size([*kept, _rest(every)]) > WARNING_BYTES_MAX:
            kept.pop()
        of_kept = list(self._counts.values())[: len(kept)]
        return [*kept, _rest(every - sum(of_kept))]

    def _count(self, text: str, times: int) -> None:
        if text in self._counts:
            self._counts[text] += times
        elif len(self._counts) < WARNING_FIELDS_MAX:
            self._counts[text] = times
        else:
            self._more += times


def _reported(text: str, times: int) -> str:
    return text if times == 1 else f"{text} ({times} times)"


def _rest(count: int) -> str:
    return f"and {count} more"


def _size(reported: Iterable[str]) -> int:
    return sum(_AROUND + len(text) for text in reported)


def _quotable(text: str) -> str:
    """A quoted-string's content (RFC 9110, 5.6.4) of printable ASCII, cut to `WARNING_TEXT_MAX`."""
    # Cut first: what is told of a failed UDF may be long.
    plain = " ".join(text[: 2 * WARNING_TEXT_MAX].split())
    if len(plain) > WARNING_TEXT_MAX:
        plain = plain[: WARNING_TEXT_MAX - 3] + "..."
    plain = "".join(c if 32 <= ord(c) < 127 else "?" for c in plain)
    return plain.replace("\\", "/").replace('"', "'")
