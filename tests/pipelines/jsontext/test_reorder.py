"""Hits put into another order in the text of their response."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.jsontext.reorder import reordered

HEAD = '{"took":1,"hits":{"total":{"value":3,"relation":"eq"},"max_score":1.50,"hits":['
TAIL = ']},"aggregations":{"tags":{"buckets":[{"key":"x"}]}}}'
# Each as no writer would write it again: numbers, escapes, spaces, a key twice.
HITS = (
    '{"_index":"a","_id":"1","_score":1.50,"_source":{"n":1e5,"n":1.10}}',
    '{"_index":"a","_id":"2","_score":null,"_source":{ "t" : "\\u00e9 \\"_index\\"" }}',
    f'{{"_index":"b","_id":"3","_score":1,"_source":{{"big":{2**70},"l":[{{"x":1}},{{"x":2}}]}}}}',
)
TEXT = HEAD + ",".join(HITS) + TAIL


def moved(text: str, order: list[int]) -> str | None:
    return reordered(text, json.loads(text)["hits"]["hits"], order)


@pytest.mark.parametrize("order", [[2, 0, 1], [0, 1, 2], [1], [2, 1], []])
def test_hits_are_moved_as_they_were_written(order: list[int]) -> None:
    """And what is around them stays."""
    assert moved(TEXT, order) == HEAD + ",".join(HITS[at] for at in order) + TAIL


def test_the_text_is_on_one_line() -> None:
    """A break that stood in a document is a space then."""
    hits = [HITS[0], HITS[2].replace(":[", ":\r\n[")]
    expected = HEAD + ",".join([HITS[2].replace(":[", ":  ["), hits[0]]) + TAIL
    assert moved(HEAD + ",".join(hits) + TAIL, [1, 0]) == expected


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(json.loads(TEXT), indent=2),
        json.dumps(json.loads(TEXT)),
        HEAD + ", ".join(HITS) + TAIL,
        HEAD + ",".join([*HITS, '{"_id":"4"}']) + TAIL,
        HEAD + ",".join([*HITS, '{"_id":"4","_index":"a"}']) + TAIL,
        HEAD + ",".join([*HITS, "7"]) + TAIL,
        HEAD + TAIL,
        TEXT.replace('{"key":"x"}', '{"_index":"a"},{"_index":"b"}'),
        TEXT.replace('{"x":1}', '{"_index":"a"}'),
        TEXT.replace('"x":1', '"x":"_index"'),
        HEAD + '{"_index":"a","inner_hits":{"hits":[{"_index":"a"}]}}' + TAIL,
        HEAD + '{"_id":"1","_source":[{},{"_index":"a"}]}' + TAIL,
        HEAD + '{"_index":"a","x":' + "[" * 200_000 + "]" * 200_000 + "}" + TAIL,
    ],
    ids=[
        "indented", "spaces", "spaces between hits", "no index", "index not first", "no object",
        "no hits", "in an aggregation", "in a document", "as a value", "inner hits",
        "in place of the hit's own", "nested deeply",
    ],
)  # fmt: skip
def test_what_shows_not_where_hits_begin_is_left(text: str) -> None:
    """Whoever asked writes it anew."""
    hits: list[Any] = [{"_index": "a"}]
    if "[[[" not in text:
        hits = json.loads(text)["hits"]["hits"]
    assert reordered(text, hits, list(reversed(range(len(hits))))) is None


NAMES = st.sampled_from(["_index", "_id", '"_index"', ",{", "hits"])
VALUES = st.recursive(
    st.sampled_from(["_index", '"_index"', ',{"_index"', "}]", 1, None]),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=6,
)
FOUND = st.lists(
    st.dictionaries(NAMES, VALUES, max_size=3)
    | st.dictionaries(st.sampled_from(["_source", "_id"]), VALUES).map(
        lambda members: {"_index": "a", **members}
    ),
    max_size=4,
)


@given(hits=FOUND, around=VALUES, indent=st.sampled_from([None, 0]), data=st.data())
def test_a_moved_response_has_the_value_of_one(
    hits: list[Any], around: Any, indent: int | None, data: st.DataObject
) -> None:
    """Whatever documents hold: hits in the order asked for, and all else as it was."""
    response = {"hits": {"hits": hits, "x": around}, "y": around}
    order = data.draw(st.permutations(range(len(hits))))
    text = json.dumps(response, separators=(",", ":"), indent=indent)
    found = reordered(text, hits, order)
    if found is not None:
        response["hits"] = {"hits": [hits[at] for at in order], "x": around}
        assert json.loads(found) == response
