"""An edit of JSON text leaves alone what it does not change, to the character."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.jsontext.graft import graft, is_plain, loses_nothing
from pipelines.jsontext.json_text import fits_orjson, one_line, parse, same, write

WHOLE = st.integers(-(10**40), 10**40).map(str)
FLOAT = st.floats(allow_nan=False, allow_infinity=False).map(repr)
ODD = st.sampled_from(
    ["1.10", "1e5", "1E+2", "-0", "-0.0", "1.0", "100.000", "0.00001", "1e-07", "1.5e300"]
)
STRING = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEY = st.sampled_from(["a", "b", "c", "_id", "_index", "é", ""])
SPACE = st.sampled_from(["", "", " ", "\n", "\t \r\n"])


@st.composite
def texts(draw: Callable[[Any], Any], depth: int = 3) -> str:
    """JSON as people write it: any space, any form of number and string, keys that come twice."""
    kind = draw(st.integers(0, 9 if depth else 5))
    if kind < 3:
        text = draw(st.one_of(WHOLE, FLOAT, ODD))
    elif kind < 5:
        text = json.dumps(draw(STRING), ensure_ascii=draw(st.booleans()))
    elif kind == 5:
        text = draw(st.sampled_from(["true", "false", "null"]))
    elif kind < 8:
        parts = [draw(texts(depth - 1)) for _ in range(draw(st.integers(0, 4)))]
        text = f"[{draw(SPACE)}{f',{draw(SPACE)}'.join(parts)}{draw(SPACE)}]"
    else:
        members = [
            f"{json.dumps(draw(KEY))}{draw(SPACE)}:{draw(SPACE)}{draw(texts(depth - 1))}"
            for _ in range(draw(st.integers(0, 4)))
        ]
        text = f"{{{draw(SPACE)}{f'{draw(SPACE)},'.join(members)}{draw(SPACE)}}}"
    return f"{text}{draw(SPACE)}"


@given(texts())
def test_no_edit_changes_no_character(text: str) -> None:
    """The value written anew is the text it was read from, less the space around it."""
    assert graft(text, write(parse(text))) == one_line(text).strip(" \t")


@given(texts(), texts())
def test_the_result_has_the_new_value(old: str, new: str) -> None:
    """Whatever the two texts are, the result reads as the new one, on one line."""
    result = graft(old, new)
    assert same(parse(result), parse(new))
    assert "\n" not in result
    assert "\r" not in result


@given(st.lists(texts(), min_size=1, max_size=5), st.data())
def test_a_changed_member_leaves_the_others_alone(values: list[str], data: st.DataObject) -> None:
    """In an object one member changes and one is new; the texts of all others stay, in order."""
    values = [one_line(value).strip(" \t") for value in values]
    old = "{" + ",".join(f'"{n}": {value}' for n, value in enumerate(values)) + "}"
    new = parse(old)
    chosen = data.draw(st.integers(0, len(values) - 1))
    new[str(chosen)] = {"changed": 1.5}
    new["more"] = [1]
    values[chosen] = '{"changed":1.5}'
    expected = [f'"{n}":{value}' for n, value in enumerate(values)]
    assert graft(old, write(new)) == "{" + ",".join([*expected, '"more":[1]']) + "}"


@given(st.lists(texts(), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_moved_elements_keep_their_text(values: list[str], random: Any) -> None:
    """Elements that moved are written as they were, if no two were equal."""
    values = [one_line(value).strip(" \t") for value in values]
    values = list({write(parse(value)): value for value in values}.values())
    order = list(range(len(values)))
    random.shuffle(order)
    order = order[: random.randint(0, len(order))]
    old = f"[{','.join(values)}]"
    before = parse(old)
    new = [before[n] for n in order]
    assert graft(old, write(new)) == f"[{','.join(values[n] for n in order)}]"


HITS = (
    '{"took":1,"hits":{"total":{"value":3},"hits":['
    '{"_index":"i","_id":"1","_score":1.0E-4,"_source":{"p": 1.10, "big": 98765432109876543210}},'
    '{"_index":"i","_id":"2","_score":0.50,"_source":{"p": 2e1, "p": 3e1, "v": [1.0, 2.00, 3]}},'
    '{"_index":"i","_id":"3","_score":0.25,"_source":{"p": -0}}]}}'
)


def test_hits_are_known_by_their_id() -> None:
    """Hits are sorted, one is gone, and each was given a score: all the rest is as it was."""
    new = parse(HITS)
    hits = new["hits"]["hits"]
    new["hits"]["hits"] = [{**hits[2], "_score": 9.0}, {**hits[1], "_score": 8.0, "new": 1}]
    assert graft(HITS, write(new)) == (
        '{"took":1,"hits":{"total":{"value":3},"hits":['
        '{"_index":"i","_id":"3","_score":9.0,"_source":{"p": -0}},'
        '{"_index":"i","_id":"2","_score":8.0,'
        '"_source":{"p": 2e1, "p": 3e1, "v": [1.0, 2.00, 3]},"new":1}]}}'
    )


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        # The value of a key that comes twice is the last one.
        ('{"a": 1.0, "a": {"x": 1e0, "y": 2}}', {"a": {"x": 1.0, "y": 3}}, '{"a":{"x":1e0,"y":3}}'),
        ('{"a": {"z": 1e0}, "a": {"x": 1}}', {"a": {"x": 2, "z": 3}}, '{"a":{"x":2,"z":3}}'),
        ('{"a": [1e0, 2], "a": [3e0]}', {"a": [3.0, 4]}, '{"a":[3e0,4]}'),
        ('{"a": 1e0, "b": 1, "a": 2e0}', {"a": 2.0, "b": 2}, '{"a":1e0,"a":2e0,"b":2}'),
        # 1, 1.0 and true are three values.
        ('{"a": 1, "b": 1.10}', {"a": 1.0, "b": 1.1}, '{"a":1.0,"b":1.10}'),
        ('{"a": 1.0, "b": 1.10}', {"a": True, "b": 1.1}, '{"a":true,"b":1.10}'),
        # An order that changed is the new one, of the same parts.
        ('{"a": 1.10, "b": 1e1}', {"b": 10.0, "a": 1.1}, '{"b":1e1,"a":1.10}'),
        # In an array, first what did not move, then what did, then what changed where it stands.
        ("[1e1, 2e1, 3e1]", [0, 10.0, 20.0, 30.0], "[0,1e1,2e1,3e1]"),
        ('[{"a": 1e1, "b": 1}, 5e0]', [{"a": 10.0, "b": 2}, 5.0], '[{"a":1e1,"b":2},5e0]'),
        ("[1e1, 10.0]", [10.0], "[1e1]"),
        # Equal ids say nothing, and neither do some.
        ('[{"_id":"1","a":1e1},{"_id":"1","a":2e1}]', [{"_id": "1", "a": 20.0}],
         '[{"_id":"1","a":2e1}]'),
        ('[{"_id":"1","a":1e1},3e0]', [3.0], "[3e0]"),
        ('{"é\\u00e9": 1e0, "b": 2}', {"éé": 1.0, "b": 3}, '{"é\\u00e9":1e0,"b":3}'),
    ],
)  # fmt: skip
def test_edits(old: str, new: object, result: str) -> None:
    """Single edits, and what is kept of the old text."""
    assert graft(old, write(new)) == result


def test_what_is_nested_too_deeply_is_taken_as_it_is() -> None:
    """A text too deep to be walked comes back as the edit wrote it."""
    deep = "[" * 900 + "1" + "]" * 900
    assert graft(deep, deep.replace("1", "2")) == deep.replace("1", "2")
    assert graft("[" * 100_000 + "]" * 100_000, "[\n1]") == "[ 1]"


@given(texts())
def test_loses_nothing(text: str) -> None:
    """Where there is nothing to lose, any writer of JSON gives back the text, spaces aside."""
    value = json.loads(text)
    if loses_nothing(text, value):
        bare = "".join(text.split())
        assert "".join(write(value).split()) == bare
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        assert "".join(plain.split()) == bare


@pytest.mark.parametrize(
    ("text", "nothing"),
    [
        ('{"a":"pre-owned e-book"}', True),
        ('{"a":1.5,"b":"double-walled"}', True),
        ('{"a":1e-7}', False),
        ('{"a":0.00001}', False),
        ('{"a":1.50}', False),
        ('{"a": 1, "b c":\n[ "d  e" ]}', True),
        ('{"a": 1.50}', False),
        ('{"a": "\\u0020"}', False),
        ('{"a": 1, "a": 1}', False),
        ("[1e-7]", False),
        ("1e-7", False),
        ('"e-"', True),
    ],
)
def test_what_loses_nothing(text: str, nothing: bool) -> None:
    """Words are no small floats, and spaces between values are nothing to lose."""
    assert loses_nothing(text, json.loads(text)) is nothing


@given(texts())
def test_a_plain_object_is_grafted_by_writing_it(text: str) -> None:
    """Its members have no spelling of their own but white space, whatever changes in it."""
    value = orjson.loads(text)
    if isinstance(value, dict) and fits_orjson(text) and is_plain(text, orjson.dumps(value)):
        changed = {**value, **dict.fromkeys(list(value)[:1], 1.5), "new": 1e-7}
        for each in (changed, dict(reversed(changed.items()))):
            grafted, written = graft(text, write(each)), write(each)
            assert "".join(grafted.split()) == "".join(written.split())


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ('{"a":1,"b":"x y"}', True),
        ('{"a": 1, "b": "x  y" }', True),
        ('{"a":[1],"b":{}}', True),
        ('{"a": [1]}', True),
        ('{"a": {}}', True),
        ('{"a": "x\\u0020y"}', False),
        ('{"a":1.0}', True),
        ('{"a":1.50}', False),
        ('{"a":1,"a":1}', False),
        ('{"a":1,\t"b":1}', True),
    ],
)
def test_what_is_plain(text: str, plain: bool) -> None:
    """White space between values makes no difference, how they are written does."""
    assert is_plain(text, orjson.dumps(orjson.loads(text))) is plain


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"a": 1234567890123456789}', False),
        ("[-12345678901234567890]", False),
        ("[123456789012345678, 0.1234567890123456789012, 1.5]", True),
        ('{"a": "number 12345678901234567890"}', False),
    ],
)
def test_long_numbers_are_seen(text: str, fits: bool) -> None:
    """Whole numbers of 19 digits and more need another parser; digits after a point do not."""
    assert fits_orjson(text) is fits
    assert parse(text) == json.loads(text)
    assert json.loads(write(parse(text))) == json.loads(text)


def test_values_are_compared_as_json() -> None:
    """Equal values are of one type, and objects have one order."""
    assert same({"a": [1, 2.5]}, {"a": [1, 2.5]})
    assert not same([1], [1.0])
    assert not same([1], [True])
    assert not same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not same([10**30], [10**30 + 1])
