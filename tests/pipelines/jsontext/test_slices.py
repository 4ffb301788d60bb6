"""Where the parts of a JSON text lie."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.jsontext.slices import elements, member, members, replaced, with_member

TEXT = ' { "a" : 1.0 , "b":[ {"x":2} ,3e5],"a":"last" } '


def test_members_and_elements_are_found_as_written() -> None:
    """With the white space of others around them."""
    assert [(s.key, TEXT[s.start : s.end]) for s in members(TEXT)] == [
        ("a", "1.0"),
        ("b", '[ {"x":2} ,3e5]'),
        ("a", '"last"'),
    ]
    inner = member(TEXT, "b")
    assert inner is not None
    assert [TEXT[s.start : s.end] for s in elements(TEXT, inner.start)] == ['{"x":2}', "3e5"]
    last = member(TEXT, "a")
    assert last is not None
    assert TEXT[last.start : last.end] == '"last"'
    assert member(TEXT, "c") is None
    assert (members("{}"), elements(" [ ] ")) == ([], [])


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a"}', '{"a":1', '{"a":1 "b":2}', "{1:2}"])
def test_what_is_no_object_is_an_error(text: str) -> None:
    """Always the same one."""
    with pytest.raises(ValueError, match=r"xpect"):
        members(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), VALUES, max_size=6), st.sampled_from([None, 1]))
def test_replacing_parts_leaves_the_others_alone(data: dict[str, Any], indent: int | None) -> None:
    """For any object, written narrow or wide."""
    text = json.dumps(data, indent=indent)
    parts = members(text)
    assert {s.key: json.loads(text[s.start : s.end]) for s in parts} == data
    assert replaced(text, []) == text
    changed = replaced(text, [(part, "7") for part in parts])
    assert json.loads(changed) == dict.fromkeys(data, 7)


@given(st.dictionaries(st.text(), VALUES, max_size=6), st.text(), st.sampled_from([None, 1]))
def test_a_member_is_put_in_its_place_or_at_the_end(
    data: dict[str, Any], name: str, indent: int | None
) -> None:
    """For any object, an empty one too."""
    for key in (name, *data):
        changed = with_member(json.dumps(data, indent=indent), key, "[7]")
        assert json.loads(changed) == {**data, key: [7]}
