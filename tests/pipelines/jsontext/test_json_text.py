"""Whole numbers that orjson reads as floats are seen in what it writes."""

from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.jsontext.json_text import may_be_rounded


@pytest.mark.parametrize(
    ("written", "rounded"),
    [
        # Exponents as orjson writes them, from where whole numbers become floats.
        ("1e16", True),
        ("1e19", True),
        ("1.8446744073709552e19", True),
        ("-1.5e22", True),
        ("9e99", True),
        ("1e300", True),
        ("[1,2e20]", True),
        ("[0.5,[{},1e16],null]", True),
        # It writes none of these; who else does means the same.
        ("1e+16", True),
        ("1.0e+20", True),
        ("1e5", True),
        # Small numbers, and those without an exponent.
        ("1e-7", False),
        ("-2.5e-300", False),
        ("0", False),
        ("18446744073709551615", False),
        ("-9223372036854775808", False),
        ("1234567890123456.0", False),
        ("1e0", False),
        # Texts: with a digit before it, what stands there may be one.
        ('"1e16"', True),
        ('"v1e2"', True),
        ('"e1"', False),
        ('"the e16 road"', False),
        ('"page1"', False),
        ('"e1e"', False),
        ('"1E16"', False),
        ('"1 e16"', False),
        ('"ée1"', False),
        ('"e1 and 1e1"', True),
        # Keys and words.
        ('{"e1":true,"e2":false}', False),
        ('{"code1":1,"e":1}', False),
        ('{"1e1":1}', True),
        ("[true,1]", False),
        ('{"a":[true,false],"e9":null}', False),
    ],
)
def test_what_may_have_been_rounded(written: str, rounded: bool) -> None:
    """An exponent with a digit on both sides, wherever it stands; never less than there is."""
    orjson.loads(written)
    assert may_be_rounded(written.encode()) is rounded


@given(st.integers(min_value=2**64) | st.integers(max_value=-(2**63) - 1))
def test_no_whole_number_is_missed(number: int) -> None:
    """Of more than 64 bits, as orjson writes it back, alone and inside."""
    if abs(number) >= 10**300:
        return
    for text in (f"{number}", f'{{"e":[0,{number},"e"]}}'):
        assert may_be_rounded(orjson.dumps(orjson.loads(text)))


@given(st.binary(max_size=40) | st.text(alphabet='e+019.-Ex"', max_size=12).map(str.encode))
def test_it_is_what_the_plain_expression_finds(written: bytes) -> None:
    """Looking for the exponent first is only quicker."""
    assert may_be_rounded(written) is (re.search(rb"[0-9]e\+?[1-9]", written) is not None)
