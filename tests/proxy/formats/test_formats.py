"""YAML, CBOR and indented JSON: what is read, written and refused."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
from decimal import Decimal
from typing import Any

import cbor2
import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxy.formats.convert import (
    Format,
    FormatError,
    as_json_type,
    content_type,
    format_named,
    format_of,
    from_json,
    to_json,
)
from proxy.formats.limits import YAML_MAX
from proxy.formats.pretty import pretty

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
WORDS = st.sampled_from(
    ["yes", "No", "1e5", "012", "0x1F", "~", "", "2024-01-01", "<<", "*a", "- x"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | WORDS, inner, max_size=3),
    max_leaves=10,
)  # fmt: skip
FORMATS: list[Format] = ["yaml", "cbor"]


@pytest.mark.parametrize("format", FORMATS)
@given(value=VALUES)
def test_round_trip(format: Format, value: Any) -> None:
    """Any JSON comes back from YAML and CBOR as it was, types included."""
    text = json.dumps(value)
    assert json.dumps(json.loads(to_json(from_json(text, format), format))) == text


@given(VALUES)
def test_other_readers_read_what_is_written(value: Any) -> None:
    """A reader of YAML 1.1 with its own ideas of numbers and dates reads the same."""
    assert yaml.safe_load(from_json(json.dumps(value), "yaml")) == value


def test_yaml_looks_like_the_backends() -> None:
    """A document marker, two spaces a level, keys bare and strings in quotes."""
    text = '{"took":1,"hits":{"total":{"relation":"eq"},"hits":[{"_id":"1","yes":null}]}}'
    assert from_json(text, "yaml").decode() == (
        '---\ntook: 1\nhits:\n  total:\n    relation: "eq"\n'
        '  hits:\n  - _id: "1"\n    "yes": null\n'
    )


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("yes", True), ("Off", False), ("TRUE", True), ("y", "y"), ("~", None), ("", None),
        ("Null", None), ("012", 10), ("-012", -10), ("0x1F", 31), ("0o17", 15), ("+1", 1),
        ("-1", -1), ("1_000", "1_000"), ("1:30", "1:30"), ("0b11", "0b11"), ("1.", 1.0),
        (".5", 0.5), ("1e5", 100000.0), ("2024-01-01", "2024-01-01"), ("'1'", "1"),
        ("!!str 1", "1"), ("!!binary aGVsbG8=", "aGVsbG8="), ("<<", "<<"), ("=", "="),
        ("12345678901234567890123", 12345678901234567890123), ("a*b", "a*b"),
    ],
)  # fmt: skip
def test_yaml_scalars(scalar: str, value: object) -> None:
    """Plain scalars mean what OpenSearch takes them for."""
    assert json.loads(to_json(f"v: {scalar}\n".encode(), "yaml")) == {"v": value}


def test_yaml_floats_are_spelled_as_the_backend_does() -> None:
    """Its own form stays, also where YAML 1.1 would write it another way; others are YAML's."""
    text = '{"a":3.4028235E38,"b":-1.0E-10,"c":1e-07,"d":0.5,"e":"1.0E5","f":[1.5E7]}'
    written = from_json(text, "yaml").decode()
    assert written == (
        '---\na: 3.4028235E38\nb: -1.0E-10\nc: 1.0e-07\nd: 0.5\ne: "1.0E5"\nf:\n- 1.5E7\n'
    )
    assert json.loads(to_json(written.encode(), "yaml")) == json.loads(text)


def test_yaml_keys_are_text() -> None:
    """Keys are as they are written, whatever they look like."""
    assert json.loads(to_json(b"1: a\nyes: b\n~: c\n1.50: d\n<<: {x: 1}\n", "yaml")) == {
        "1": "a", "yes": "b", "~": "c", "1.50": "d", "<<": {"x": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"a: &x [1]\nb: *x\n", "aliases"),
        (b"a: 1\na: 2\n", "[a] comes twice"),
        (b"? [a]\n: 1\n", "a key has to be text"),
        (b"---\na: 1\n---\nb: 2\n", "single document"),
        (b"a: [1,\n", "flow node"),
        (b"a: .nan\n", "JSON cannot hold"),
        (b"a: 08\n", "08"),
        (b"a: !x 1\n", "!x"),
        (b"a: !!timestamp 2024-01-01\n", "type date"),
        (b"a: \xff\n", "YAML body cannot be read"),
        (b"[" * 300 + b"]" * 300, "nested too deeply"),
        (b"a: " + b"x" * YAML_MAX, "bytes; send JSON"),
    ],
)
def test_yaml_refused(body: bytes, said: str) -> None:
    """What is not YAML, what has no place in JSON and what could explode is told as such."""
    with pytest.raises(FormatError) as error:
        to_json(body, "yaml")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1.5, "b": [None, True]}, '{"a":1.5,"b":[null,true]}'),
        ({"a": b"hello"}, '{"a":"aGVsbG8="}'),
        ({"a": 2**70}, '{"a":1180591620717411303424}'),
        ({"a": Decimal("1.5")}, '{"a":1.5}'),
        (cbor2.CBORTag(55799, {"a": {"b": 1}}), '{"a":{"b":1}}'),
    ],
)
def test_cbor(value: object, text: str) -> None:
    """Binary data becomes Base64, as the backend has it in JSON."""
    assert to_json(cbor2.dumps(value), "cbor").decode() == text


SHARED = [1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "CBOR body cannot be read"),
        (b"\x9b\x00\x00\x00\x7f\xff\xff\xff\xff", "premature end"),
        (b"\x81" * 300 + b"\x01", "depth"),
        (cbor2.dumps([SHARED, SHARED], value_sharing=True), "tag"),
        (cbor2.dumps(["abcdef"] * 3, string_referencing=True), "tag"),
        (cbor2.dumps({1: 2}), "key"),
        (b"\xa1\x41\x61\x01", "a key is text"),
        (b"\xa2\x61\x61\x01\x61\x61\x02", "duplicate"),
        (cbor2.dumps({"a": math.nan}), "JSON cannot hold"),
        (cbor2.dumps(datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)), "type datetime"),
        (cbor2.dumps(cbor2.CBORTag(4711, 1)), "type CBORTag"),
        (b"\xc2\x59\x10\x00" + b"\xff" * 4096, "more than 1024 bytes"),
    ],
)
def test_cbor_refused(body: bytes, said: str) -> None:
    """Broken data, data that refers to itself, and types that JSON has not."""
    with pytest.raises(FormatError) as error:
        to_json(body, "cbor")
    assert said in str(error.value).lower() or said in str(error.value)


@given(st.binary(max_size=60))
def test_cbor_of_any_bytes(body: bytes) -> None:
    """Whatever comes, it is JSON or a FormatError."""
    with contextlib.suppress(FormatError):
        orjson.loads(to_json(body, "cbor"))


@pytest.mark.parametrize(
    ("media_type", "format"),
    [
        ("application/json", "json"),
        ("application/json; charset=UTF-8", "json"),
        ("APPLICATION/YAML", "yaml"),
        (" application/cbor ; q=0.5", "cbor"),
        ("application/smile", "smile"),
        ("application/*", "json"),
        ("application/x-ndjson", "json"),
        ("application/vnd.elasticsearch+cbor;compatible-with=9", "cbor"),
        ("application/vnd.opensearch+yaml", "yaml"),
        ("application/yaml, application/json", None),
        ("text/yaml", None),
        ("*/*", None),
        ("", None),
    ],
)
def test_media_types(media_type: str, format: Format | None) -> None:
    """A media type names a format as the backends take it; lists name none."""
    assert format_of(media_type) == format


def test_names_of_formats() -> None:
    """`format=` takes short names, and anything unknown is JSON."""
    assert [format_named(name) for name in ("YAML", "cbor", "smile", "json", "xyz")] == [
        "yaml", "cbor", "smile", "json", "json",
    ]  # fmt: skip
    assert content_type("json") == "application/json; charset=UTF-8"
    assert content_type("cbor") == "application/cbor"


@pytest.mark.parametrize(
    ("given", "json_type"),
    [
        ("application/cbor", "application/json"),
        ("application/vnd.elasticsearch+cbor;compatible-with=8",
         "application/vnd.elasticsearch+json;compatible-with=8"),
        ("application/yaml; charset=utf-8", "application/json; charset=utf-8"),
        ("text/plain", "text/plain"),
    ],
)  # fmt: skip
def test_the_json_of_a_media_type(given: str, json_type: str) -> None:
    """The vendor and its version stay."""
    assert as_json_type(given) == json_type


def test_pretty() -> None:
    """The backend's own layout; numbers, escapes and keys that come twice stay."""
    text = '{"a":1.10,"b":[1e5, {"c" : "x,{}\\"\\u00e9"}],"b":[ ],"d":{\n},"e":[[]]}'
    assert pretty(text) == (
        '{\n  "a" : 1.10,\n  "b" : [\n    1e5,\n    {\n      "c" : "x,{}\\"\\u00e9"\n    }\n  ],\n'
        '  "b" : [ ],\n  "d" : { },\n  "e" : [\n    [ ]\n  ]\n}\n'
    )


@given(VALUES)
def test_pretty_changes_no_value(value: Any) -> None:
    """Indenting leaves the value, and indenting twice is indenting once."""
    once = pretty(json.dumps(value))
    assert json.loads(once) == value
    assert pretty(once) == once
