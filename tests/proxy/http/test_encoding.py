"""Bodies: inflating within limits, splitting into lines, telling types apart."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.encoding import (
    BodyEncodingError,
    BodyTooLargeError,
    deflate,
    inflate,
    joined,
    split_lines,
)
from proxy.http.media_type import is_json, is_ndjson, media_type


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


@pytest.mark.parametrize("coding", ["br", "snappy", "Zstd"])
def test_coding_that_cannot_be_read(coding: str) -> None:
    """What a backend may be able to undo, and the proxy is not, is refused by name."""
    with pytest.raises(BodyEncodingError, match="send gzip, deflate or none"):
        inflate(b"x", coding, 10)


@pytest.mark.parametrize("coding", ["nonsense", "gzip, identity", "gzip, gzip", "caf\u00e9"])
def test_unknown_coding(coding: str) -> None:
    """The backends take a coding they do not know, and a list of them, for none."""
    assert inflate(b"x", coding, 10) == b"x"
    with pytest.raises(BodyTooLargeError, match="10 bytes"):
        inflate(b"x" * 11, coding, 10)


@pytest.mark.parametrize("wbits", [15, -15])
@pytest.mark.parametrize("coding", ["deflate", "x-deflate", "DEFLATE"])
def test_deflate(coding: str, wbits: int) -> None:
    """Deflate is undone in both of the forms that clients send."""
    packer = zlib.compressobj(wbits=wbits)
    assert inflate(packer.compress(b"abc" * 99) + packer.flush(), coding, 1000) == b"abc" * 99


def test_inflated_limit_obeyed() -> None:
    """A body that inflates to exactly the limit is taken."""
    assert len(inflate(deflate(b"x" * 5000), "gzip", 5000)) == 5000


def test_inflated_limit_violated() -> None:
    """A body that inflates to one byte more is refused."""
    with pytest.raises(BodyTooLargeError, match="5000 bytes"):
        inflate(deflate(b"x" * 5001), "gzip", 5000)


def test_no_ratio_is_too_large() -> None:
    """However small it was, what inflates to no more than the limit is taken."""
    line = b'{"message":"GET /index.html 200","level":"info"}\n'
    body = gzip.compress(line * 100_000, 9)
    assert len(line) * 100_000 / len(body) > 300
    assert len(inflate(body, "gzip", len(line) * 100_000)) == len(line) * 100_000
    with pytest.raises(BodyTooLargeError):
        inflate(body, "gzip", len(line) * 100_000 - 1)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"", b""),
        (b"not gzip", b""),
        (deflate(b"x" * 100)[:-9], b"x" * 100),
        (deflate(b"x") + b"y", b"x"),
        (deflate(b"x") + deflate(b"y"), b"xy"),
    ],
)
def test_broken_gzip(body: bytes, read: bytes) -> None:
    """Of a stream that breaks off or goes on as something else, what was whole is read."""
    assert inflate(body, "gzip", 1000) == read


LINE = b'{"title": "%b"}\n'
LARGE = [
    LINE % (b"x" * 1000) * 3000,
    LINE % (b"x" * 1000) * 3000 + b"no end",
    b"\n" * 3_000_000,
    b"x" * 3_000_000,
    LINE % (b"x" * 2_000_000) + LINE % b"y" + LINE % (b"x" * 2_000_000),
    b"x" * (1024 * 1024) + b"\n",
    b"x" * (1024 * 1024) + b"\ny",
    b"x" * (1024 * 1024 - 1) + b"\n\n",
]


@given(st.binary(max_size=200) | st.text("a\n\r", max_size=30).map(str.encode))
def test_lines(body: bytes) -> None:
    """What is between line feeds; put together with those, they are the body again."""
    lines = split_lines(body)
    assert lines == body.split(b"\n")
    assert joined(lines[:-1], b"\n") + lines[-1] == body
    assert joined(lines) == body.replace(b"\n", b"")


@pytest.mark.parametrize("body", LARGE, ids=range(len(LARGE)))
def test_lines_of_large_bodies(body: bytes) -> None:
    """The same, however the lines lie in the pieces that are looked at one after the other."""
    lines = split_lines(body)
    assert lines == body.split(b"\n")
    assert joined(lines[:-1], b"\n") + lines[-1] == body
    assert joined(lines) == body.replace(b"\n", b"")


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
