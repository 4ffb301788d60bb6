"""What a log line shows of a value: short, and nothing that does not print."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.telemetry import log_text

HARMFUL = [
    *map(chr, (*range(0x20), *range(0x7F, 0xA0))),
    *"\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e",
    *"\u2066\u2067\u2068\u2069\ufeff\ud800\udfff\U000e0001",
]


@pytest.mark.parametrize("character", HARMFUL, ids=lambda each: f"U+{ord(each):04X}")
def test_harmful_characters(character: str) -> None:
    """Control characters, line ends, those that turn the text round, half surrogates."""
    for text in (log_text.escaped(f"a{character}b"), log_text.json_line({character: character})):
        assert text.isprintable()
        assert text.isascii()
    if character not in "\n\r\t":
        assert log_text.escaped(character) == character.encode("unicode_escape").decode()
    # Half a pair is no text that a reader of JSON would take.
    whole = f"a{character}b".encode("utf-8", "backslashreplace").decode()
    assert orjson.loads(log_text.json_line({"k": f"a{character}b"})) == {"k": whole}


def test_harmless_characters() -> None:
    """Letters of any script, and signs, stay as they are."""
    text = "Größe 価格 цена \N{PARTY POPPER} \\x1b 'q' \"r\""
    assert log_text.escaped(text) == text
    assert "Größe 価格 цена \N{PARTY POPPER}" in log_text.json_line({"k": text})


def test_lengths_obeyed_and_violated() -> None:
    """At the limit a value is whole; beyond it is cut and says by how much."""
    assert log_text.cut("x" * 64, 64) == "x" * 64
    assert log_text.cut("x" * 65, 64) == "x" * 64 + "... [1 characters more]"
    assert log_text.cut_middle("x" * 64, 64) == "x" * 64
    middle = log_text.cut_middle("a" * 50 + "b" * 50, 64)
    assert middle == "a" * 32 + "... [36 characters more] ..." + "b" * 32
    assert len(str(log_text.shown(["x" * 1000], 64))) < 120
    assert log_text.shown(["x"], 64) == ["x"]
    assert len(log_text.key("k" * 1000)) < 130


def test_a_block_cannot_forge_an_entry() -> None:
    """Each of its lines is indented, and nothing but their ends makes lines."""
    made = log_text.block(
        "Traceback:\n  File x\nValueError: a\rb\u2028c\n2026-01-01 [info] forged\n"
    )
    assert made.split("\n") == [
        "    Traceback:",
        "      File x",
        "    ValueError: a\\rb\\u2028c",
        "    2026-01-01 [info] forged",
    ]


class Odd:
    """Something that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_odd_values() -> None:
    """Whatever is logged, there is a line of it."""
    circle: list[object] = []
    circle.append(circle)
    for value in (Odd(), circle, 10**5000, float("nan"), {1: 2}, {Odd(): 1}, b"\xff", ["\ud800"]):
        assert isinstance(json.loads(log_text.json_line({"k": log_text.shown(value, 100)})), dict)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.floats() | st.binary()))
def test_any_fields(fields: dict[str, object]) -> None:
    """A line is one line of JSON that prints."""
    shown = {log_text.key(name): log_text.shown(value, 100) for name, value in fields.items()}
    text = log_text.json_line(shown)
    assert text.isprintable()
    assert isinstance(json.loads(text), dict)
