"""Query strings that lose parameters and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.query_string import QueryString, is_true


@pytest.mark.parametrize(
    ("raw", "name", "value"),
    [
        ("a=1&b=2", "b", "2"),
        ("a=1&a=2", "a", "2"),
        ("a", "a", ""),
        ("a=", "a", ""),
        ("a=x%2Cy+z", "a", "x,y z"),
        ("%61=1", "a", "1"),
        ("a=1;b=2", "b", "2"),
        ("a=1", "c", None),
        ("", "a", None),
        ("a=b=c", "a", "b=c"),
    ],
)
def test_values_are_read_as_the_backend_reads_them(raw: str, name: str, value: str | None) -> None:
    """The last one counts; names and values are decoded."""
    assert QueryString(raw).get(name) == value


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        ("p=1&a=2", "a=2"),
        ("a=2&p=1", "a=2"),
        ("a=%2f&p=1&b=+", "a=%2f&b=+"),
        ("p=1&p=2", ""),
        ("%70=1&a", "a"),
        ("a=1;p=2;b=3", "a=1;b=3"),
        ("a=1", "a=1"),
        ("&&a=1&", "&&a=1&"),
    ],
)
def test_what_stays_keeps_its_bytes(raw: str, left: str) -> None:
    """Whatever was encoded how."""
    assert QueryString(raw).without({"p"}).raw == left


def test_a_parameter_can_be_added() -> None:
    """Encoded, at the end."""
    assert QueryString("a=1").with_parameter("b", "x y&z,*").raw == "a=1&b=x%20y%26z,*"
    assert QueryString("").with_parameter("b", "1").after("/p") == "/p?b=1"
    assert QueryString("").after("/p") == "/p"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, False), ("", True), ("true", True), ("false", False), ("1", True)],
)
def test_booleans_are_read_as_the_backend_reads_them(value: str | None, expected: bool) -> None:
    """Present without a value is true."""
    assert is_true(value) is expected


@given(st.text(alphabet="ab=&;%+26", max_size=30))
def test_taking_nothing_out_changes_nothing(raw: str) -> None:
    """And what was taken out is gone."""
    query = QueryString(raw)
    assert query.without({"zz"}).raw == raw
    assert query.without(query.names()).names() <= {""}
