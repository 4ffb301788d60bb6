"""Large JSON in steps: the same values as in one."""

from __future__ import annotations

import base64
import json
import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.jsontext.pieces import STEP, base64_decoded, dump_file, loads
from tests.steps import calls_of

TEXTS = {
    "plain": "abc ",
    "quoted": 'say "no" ',
    "backslashes": "\\",
    "quote and backslashes": '\\\\"\\"',
    "controls": "\0\x01\n",
    "two bytes": "é",
    "three bytes": "a€",
    "pairs": "x😀",
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("shift", range(7))
def test_long_strings_are_read_whole(kind: str, ascii: bool, shift: int) -> None:
    """Whatever characters and escapes lie where they are cut."""
    text = "-" * shift + TEXTS[kind] * (2 * STEP // len(TEXTS[kind]) + 1)
    value = {"source": text, "files": {"a": text[:7], "b": [text, 1.5, None, text]}, text[:5000]: 1}
    assert loads(json.dumps(value, ensure_ascii=ascii).encode()) == value


@pytest.mark.parametrize("kind", ["plain", "backslashes", "controls", "pairs"])
def test_escapes_are_passed_over_together(kind: str) -> None:
    """A long string takes no step for each of them, whatever it is full of."""
    raw = json.dumps(TEXTS[kind] * STEP).encode()
    assert calls_of(loads, raw) < len(raw) / 8


@pytest.mark.parametrize("raw", [b"", b"{", b'{"a": 1e400}', b"[1,]", b'"a', b"nul"])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    """Small or large, at whatever place it is broken."""
    filling = b"x" * (2 * STEP)
    for body in (
        raw,
        b'["%b",' % filling + raw,
        b'["%b"' % filling,
        b'["%b\\x"]' % filling,
        b'["%b\xff"]' % filling,
        b'["%b\n"]' % filling,
        b'["%b\\u12"]' % filling,
        b'["%b\\ud83d"]' % filling,
        b'["%b\\' % filling,
        b'["%b\\"]' % filling,
    ):
        with pytest.raises(ValueError, match=r"."):
            loads(body)


def test_what_lies_beside_long_strings_is_bounded() -> None:
    """At the limit it is read, one byte over it is not, however long the strings are."""
    long = b'"' + b"x" * 100_000 + b'"'

    def body(size: int) -> bytes:
        return b"[%b,%b,1%b]" % (long, long, b" " * (size - 5))

    assert len(loads(body(1000), most=1000)) == 3
    with pytest.raises(ValueError, match="more than 1000 bytes beside its long strings"):
        loads(body(1001), most=1000)
    many = b"[" + b'"",' * 100_000 + b'""]'
    assert len(loads(many)) == 100_001
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        loads(many, most=1000)


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(list(TEXTS)))
def test_any_damage_is_reported_as_by_the_whole(chance: random.Random, kind: str) -> None:
    """What one call refuses the pieces refuse, and what it reads is the same."""
    text = TEXTS[kind] * (STEP // len(TEXTS[kind]) + 1)
    raw = bytearray(json.dumps({"a": text, "b": text[:20]}).encode())
    for _ in range(3):
        raw[chance.randrange(len(raw))] = chance.choice(b'"\\{}:,u0d\n\x80')
    try:
        expected = orjson.loads(bytes(raw))
    except orjson.JSONDecodeError:
        with pytest.raises(ValueError, match=r"."):
            loads(bytes(raw))
    else:
        assert loads(bytes(raw)) == expected


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("shift", range(5))
def test_files_are_written_as_text_or_as_base64(kind: str, shift: int) -> None:
    """Text as a string, wherever it is cut; anything else in base64."""
    text = "-" * shift + TEXTS[kind] * (2 * STEP // len(TEXTS[kind]))
    assert orjson.loads(b"".join(dump_file(text.encode()))) == text
    for raw in (text.encode() + b"\xff", b"\xff" + text.encode(), "€".encode()[:2]):
        shown = orjson.loads(b"".join(dump_file(raw)))
        assert base64_decoded(shown["base64"]) == base64.b64decode(shown["base64"]) == raw


@pytest.mark.parametrize("text", ["", "QQ==", "QUI=", "QUJD", "QUJD" * STEP + "QQ=="])
def test_base64_is_decoded(text: str) -> None:
    assert base64_decoded(text) == base64.b64decode(text)


@pytest.mark.parametrize(
    "text", ["Q", "QQ", "QQ=", "Q===", "%", "QQ==QQ==", "QUJD\n", "é", "QQ==" + "QUJD" * STEP]
)
def test_what_is_no_base64_is_refused(text: str) -> None:
    """Strictly: nothing is skipped over."""
    with pytest.raises(ValueError, match=r"."):
        base64_decoded(text)
