"""Warning fields: counted, bounded and legal, whatever is told."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.limits import WARNING_BYTES_MAX, WARNING_FIELDS_MAX, WARNING_TEXT_MAX
from proxy.http.warnings import Warnings

_LEGAL = re.compile(r'299 querymill "[\x20\x21\x23-\x5b\x5d-\x7e]*"', re.ASCII)


def reported(warnings: Warnings) -> list[str]:
    """The texts of the fields."""
    return [value.split('"')[1] for _, value in warnings.fields()]


def size(warnings: Warnings) -> int:
    """Of the fields on the wire."""
    return sum(len(f"{name}: {value}\r\n") for name, value in warnings.fields())


def test_equal_texts_are_reported_once() -> None:
    """With their number, in the order in which they came."""
    warnings = Warnings(["a", "b", "a"])
    warnings.add("a", 3)
    assert reported(warnings) == ["a (5 times)", "b"]


@pytest.mark.parametrize("count", [WARNING_FIELDS_MAX - 1, WARNING_FIELDS_MAX])
def test_number_of_fields_obeyed(count: int) -> None:
    """Up to the limit each text has its field."""
    assert len(Warnings(f"n{n}" for n in range(count)).fields()) == count


@pytest.mark.parametrize("count", [WARNING_FIELDS_MAX + 1, 300, 5_000])
def test_number_of_fields_violated(count: int) -> None:
    """Beyond it the last field says how many are left out."""
    warnings = Warnings(f"n{n}" for n in range(count))
    assert reported(warnings)[-2:] == ["n8", f"and {count - WARNING_FIELDS_MAX + 1} more"]
    assert len(warnings.fields()) == WARNING_FIELDS_MAX


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_size_of_all_fields(over: int) -> None:
    """A byte over the limit shortens them, at the limit and under it all are there."""
    around = size(Warnings(["a"])) - 1
    texts = [letter * WARNING_TEXT_MAX for letter in "abcd"]
    texts.append("e" * (WARNING_BYTES_MAX - 4 * (around + WARNING_TEXT_MAX) - around + over))
    warnings = Warnings(texts)
    assert size(warnings) <= WARNING_BYTES_MAX
    expected = texts if over < 1 else [*texts[:4], "and 1 more"]
    assert reported(warnings) == expected


def test_what_is_taken_over_is_counted() -> None:
    """The number of what is left out is that of all parts of the request."""
    every = Warnings()
    for item in range(300):
        every.take(Warnings([f"item {item}", "the same"]))
    texts = reported(every)
    assert texts[1] == "the same (300 times)"
    assert texts[-1] == "and 292 more"


def test_a_long_text_is_cut() -> None:
    """To `WARNING_TEXT_MAX` characters, the last of which say so; its number stays."""
    (text,) = reported(Warnings(["x" * WARNING_TEXT_MAX]))
    assert text == "x" * WARNING_TEXT_MAX
    (text,) = reported(Warnings(["x" * (WARNING_TEXT_MAX + 1)] * 2))
    assert text == "x" * (WARNING_TEXT_MAX - 3) + "... (2 times)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nSet-Cookie: b", "a Set-Cookie: b"),
        ('say "no" \\ "', "say 'no' / '"),
        ("grün \ud83d\x00\x7f", "gr?n ???"),
        ("tab\tand  spaces", "tab and spaces"),
    ],
)
def test_a_text_is_printable_ascii(text: str, shown: str) -> None:
    """No line break, quote or foreign character gets into the head of a response."""
    assert reported(Warnings([text])) == [shown]


@given(st.lists(st.text(max_size=1000), max_size=30))
def test_fields_are_always_legal(texts: list[str]) -> None:
    """Whatever UDFs say: few, short, quoted strings."""
    warnings = Warnings(texts)
    assert all(_LEGAL.fullmatch(value) for _, value in warnings.fields())
    assert len(warnings.fields()) <= WARNING_FIELDS_MAX
    assert size(warnings) <= WARNING_BYTES_MAX
