"""Bodies: inflating within limits, splitting into lines, telling types apart."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.bodies import (
    MAX_RATIO,
    RATIO_FLOOR,
    BodyEncodingError,
    BodyError,
    BodyTooLargeError,
    deflate,
    inflate,
    is_json,
    is_ndjson,
    media_type,
    split_ndjson,
)


@given(st.binary(max_size=2000))
def test_gzip_round_trip(body: bytes) -> None:
    """What was compressed comes back, also in several members; the same input compresses alike."""
    assert inflate(deflate(body), "gzip", 2000) == body
    assert inflate(deflate(body) + deflate(b"more"), "X-GZIP", 2004) == body + b"more"
    assert deflate(body) == deflate(body)


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_no_coding(coding: str) -> None:
    """A body without a coding is itself, up to the limit."""
    assert inflate(b"12345", coding, 5) == b"12345"
    with pytest.raises(BodyTooLargeError):
        inflate(b"123456", coding, 5)


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "caf\u00e9"])
def test_unknown_coding(coding: str) -> None:
    """Other codings are refused by name."""
    with pytest.raises(BodyEncodingError, match="send gzip or none"):
        inflate(b"x", coding, 10)


def test_inflated_limit_obeyed() -> None:
    """A body that inflates to exactly the limit is taken."""
    assert len(inflate(deflate(b"x" * 5000), "gzip", 5000)) == 5000


def test_inflated_limit_violated() -> None:
    """A body that inflates to one byte more is refused."""
    with pytest.raises(BodyTooLargeError, match="5000 bytes"):
        inflate(deflate(b"x" * 5001), "gzip", 5000)


def test_ratio_obeyed() -> None:
    """Below the floor any ratio is taken: small things cannot explode."""
    assert len(inflate(deflate(b"x" * RATIO_FLOOR), "gzip", 2 * RATIO_FLOOR)) == RATIO_FLOOR


def test_ratio_violated() -> None:
    """A bomb is refused after a fraction of its size, even where the limit would allow it."""
    bomb = gzip.compress(b"\x00" * 50_000_000, 9)
    assert 50_000_000 / len(bomb) > MAX_RATIO
    with pytest.raises(BodyError, match="expands more than"):
        inflate(bomb, "gzip", 10**9)


@pytest.mark.parametrize("body", [b"", b"not gzip", deflate(b"x" * 100)[:-9], deflate(b"x") + b"y"])
def test_broken_gzip(body: bytes) -> None:
    """Bytes that are no complete gzip are refused."""
    with pytest.raises(BodyError, match="gzip"):
        inflate(body, "gzip", 1000)


@given(st.binary(max_size=200) | st.text("a\n\r", max_size=30).map(str.encode))
def test_lines_are_the_original_bytes(body: bytes) -> None:
    """The lines joined are the body; each but perhaps the last ends with a line feed."""
    lines = split_ndjson(body)
    assert b"".join(lines) == body
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines[:-1])
    assert b"" not in lines


@pytest.mark.parametrize(
    ("value", "plain", "json", "ndjson"),
    [
        ("application/json", "application/json", True, False),
        ("Application/JSON; charset=UTF-8", "application/json", True, False),
        ("application/vnd.elasticsearch+json; compatible-with=9", "application/json", True, False),
        ("application/x-ndjson", "application/x-ndjson", False, True),
        ("application/vnd.elasticsearch+x-ndjson;compatible-with=8", "application/x-ndjson",
         False, True),
        ("application/cbor", "application/cbor", False, False),
        ("", "", False, False),
    ],
)  # fmt: skip
def test_media_types(value: str, plain: str, json: bool, ndjson: bool) -> None:
    """A type is known in every spelling, vendor forms included."""
    assert (media_type(value), is_json(value), is_ndjson(value)) == (plain, json, ndjson)
