"""Edits of the hits of a search response: what they do, and which are refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.jsontext.edits import edited, read_edits
from pipelines.jsontext.projection import Projection
from tests.pipelines.conftest import guest_module


def response(*hits: Any, max_score: float | None = 9.0) -> dict[str, Any]:
    return {"took": 1, "hits": {"max_score": max_score, "hits": list(hits)}, "aggregations": {}}


def hit(number: int, **members: Any) -> dict[str, Any]:
    return {"_id": str(number), "_score": 3.0 - number, "_source": {"n": number, **members}}


THREE = response(hit(0), hit(1, brand={"name": "x"}), hit(2, **{"a.b": {"c": 1}, "tags": ["t"]}))


def apply(*edits: Any, order: Any = None, to: Any = THREE) -> tuple[dict[str, Any], bool]:
    """`edits` and `order` done to a response, which stays as it was."""
    before = orjson.dumps(to)
    found = {"edits": list(edits)} | ({} if order is None else {"order": order})
    result = edited(to, read_edits(found, len(to["hits"]["hits"])))
    assert orjson.dumps(to) == before
    return result


def hits(*edits: Any, **how: Any) -> list[Any]:
    """The hits after edits that have to make a difference."""
    new, changed = apply(*edits, **how)
    assert changed
    return list(new["hits"]["hits"])


@pytest.mark.parametrize("order", [[2, 0, 1], [1], []])
def test_order(order: list[int]) -> None:
    """Hits come in the order given, and those that are not in it are left out."""
    new, changed = apply(order=order)
    assert changed
    assert [found["_id"] for found in new["hits"]["hits"]] == [str(n) for n in order]
    assert new == {**THREE, "hits": {**THREE["hits"], "hits": new["hits"]["hits"]}}


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("_original_score", {"_original_score": 5}),
        ("_source.n", {"_source": {"n": 5, "brand": {"name": "x"}}}),
        ("_source.brand.name", {"_source": {"n": 1, "brand": {"name": 5}}}),
        (
            "_source.brand.logo.url",
            {"_source": {"n": 1, "brand": {"name": "x", "logo": {"url": 5}}}},
        ),
        ("why.text", {"why": {"text": 5}}),
    ],
)
def test_set(path: str, place: dict[str, Any]) -> None:
    """Objects on the way are made; the rest of the hit stays, and so do the other hits."""
    first, second, third = THREE["hits"]["hits"]
    assert hits([path, [1], [5]]) == [first, {**second, **place}, third]


def test_a_key_with_dots_wins() -> None:
    """Paths find it as they do when they are read."""
    assert hits(["_source.a.b.c", [2], [5]])[2]["_source"]["a.b"] == {"c": 5}
    assert hits(["_source.a.b.c", [2]])[2]["_source"]["a.b"] == {}
    assert hits(["_source.a.b", [2]])[2]["_source"] == {"n": 2, "tags": ["t"]}


def test_null_is_no_object_yet() -> None:
    """A path through null makes one."""
    (found,) = hits(["_source.n.m", [0], [5]], to=response(hit(0, n=None)))
    assert found["_source"] == {"n": {"m": 5}}


@pytest.mark.parametrize("path", ["_source.n.m", "_source.tags.0", "_id.x"])
def test_what_is_no_object_has_no_members(path: str) -> None:
    """Setting one is refused, with the hit; deleting one does nothing."""
    with pytest.raises(ValueError, match=r"of hit 2: \[\w+\] is no object"):
        apply([path, [2], [5]])
    assert apply([path, [2]]) == (THREE, False)


def test_edits_are_done_in_order() -> None:
    """What is set may be written to, and is not the response's afterwards."""
    first, second, _ = hits(
        ["_source", [0, 1], [{"a": {}}, {"a": 1}]], ["_source.a.b", [0], [2]], ["_source.a", [1]]
    )
    assert (first["_source"], second["_source"]) == ({"a": {"b": 2}}, {})


@pytest.mark.parametrize(
    "edits",
    [
        [],
        [["_score", [0, 1, 2], [3.0, 2.0, 1.0]]],
        [["_source.brand.name", [1], ["x"]]],
        [["_source.nothing", [0, 1, 2]], ["nor.this", [0]]],
        [["_source.n", [0], [5]], ["_source.n", [0], [0]]],
    ],
)
def test_edits_that_come_to_nothing(edits: list[Any]) -> None:
    """The response itself comes back."""
    new, changed = apply(*edits, order=[0, 1, 2])
    assert new is THREE
    assert not changed


@pytest.mark.parametrize("value", [0.0, True, False, None, "0"])
def test_values_that_are_almost_the_same_are_changes(value: object) -> None:
    """0 is not 0.0 and not false, in JSON."""
    assert apply(["_source.n", [0], [value]])[1]


@pytest.mark.parametrize(
    ("edits", "order", "best"),
    [
        ([["_score", [0, 1], [0.5, 7]]], None, 7),
        ([["_score", [0, 1, 2], [None, None, None]]], None, None),
        ([["_score", [0, 1, 2], [1.0, 8.0, 5.0]]], [2, 0], 5.0),
        ([["_score", [0]]], None, 2.0),
        # Without new scores it is the backend's, of all that matched.
        ([], [2, 1], 9.0),
        ([["_source.n", [0], [7]]], [1, 0, 2], 9.0),
    ],
)
def test_max_score_follows_the_scores(edits: list[Any], order: Any, best: float | None) -> None:
    """It is the highest that is left of the new ones."""
    assert apply(*edits, order=order)[0]["hits"]["max_score"] == best


def test_max_score_is_not_added() -> None:
    """Where `filter_path` left it out it stays out."""
    given = {"hits": {"hits": [{"_score": 1.0}]}}
    assert apply(["_score", [0], [2.0]], to=given)[0] == {"hits": {"hits": [{"_score": 2.0}]}}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "not an object with order and edits"),
        ({"orders": []}, "not an object with order and edits"),
        ({"edits": {}}, "not a list"),
        ({"order": 3}, "no list of positions"),
        ({"order": {"0": 1}}, "no list of positions"),
        ({"order": [3]}, "order names a hit that is not among the 3"),
        ({"order": [-1]}, "not among the 3"),
        ({"order": [True]}, "not among the 3"),
        ({"order": [1.0]}, "not among the 3"),
        ({"order": [[]]}, "not among the 3"),
        ({"order": [1, 1]}, "order names a hit twice"),
        ({"edits": [3]}, r"edits\[0\] is not a path"),
        ({"edits": [["a", [0], [1], 2]]}, "is not a path"),
        ({"edits": [[3, [0], [1]]]}, "is not a path"),
        ({"edits": [["a", [0], {"0": 1}]]}, "is not a path"),
        ({"edits": [["a", 0, [1]]]}, "no list of positions"),
        ({"edits": [["b", [0]], ["a", [0, 3], [1, 1]]]}, r"edits\[1\] names a hit that is not"),
        ({"edits": [["a", [0, 0], [1, 1]]]}, "names a hit twice"),
        ({"edits": [["a", [0, 1], [1]]]}, "has 1 values for 2 hits"),
        ({"edits": [["a..b", [0], [1]]]}, "names joined by dots"),
        ({"edits": [[".".join("a" * 21), [0], [1]]]}, "names joined by dots"),
        ({"edits": [["_score", [0], ["1"]]]}, "_score that is no number"),
        ({"edits": [["_score", [0], [True]]]}, "_score that is no number"),
        ({"edits": [["_score.x", [0], [1]]]}, "part of a _score"),
    ],
)
def test_edits_of_another_shape_are_refused(value: Any, said: str) -> None:
    """Whatever a sandbox answers, nothing of it is believed."""
    with pytest.raises(ValueError, match=said):
        read_edits(value, 3)


def test_a_hit_that_is_no_object_cannot_be_edited() -> None:
    """It can be moved."""
    with pytest.raises(ValueError, match="hit 1 of the response is not an object"):
        apply(["a", [1], [1]], to=response(hit(0), 3))
    assert hits(order=[1, 0], to=response(hit(0), 3)) == [3, hit(0)]


def test_paths_are_counted_for_every_hit() -> None:
    """As the bytes they come to in the response."""
    edits = read_edits({"edits": [["é.b", [0, 1], [1, 1]], ["a", [2]]]}, 3)
    assert edits.path_bytes == 2 * (4 + 2 * 5) + (1 + 5)


# The guest library beside it: what a UDF sees after its edits is what they come to


KEYS = st.sampled_from(["a", "b", "a.b"])
VALUES = st.recursive(
    st.integers(0, 2) | st.none(),
    lambda inner: st.dictionaries(KEYS, inner, max_size=2) | st.lists(inner, max_size=2),
    max_leaves=4,
)
HITS = st.lists(st.dictionaries(KEYS, VALUES, max_size=3), max_size=3)
PATH = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(".".join)
ACTIONS = st.lists(
    st.tuples(st.just("set"), st.integers(0, 2), PATH, VALUES)
    | st.tuples(st.just("delete"), st.integers(0, 2), PATH, st.none())
    | st.tuples(st.just("drop"), st.integers(0, 2), st.none(), st.none())
    | st.tuples(st.just("rescore"), st.just(0), st.none(), st.none())
    | st.tuples(st.just("sort"), st.just(0), st.none(), st.none()),
    max_size=8,
)


@pytest.fixture(scope="module")
def guest_hits() -> Any:
    """The class behind `context.hits`, run by this interpreter."""
    return guest_module("querymill.hits").Hits


@given(given_hits=HITS, actions=ACTIONS, columns=st.booleans())
@example([{}], [("set", 0, "a.b", 1), ("delete", 0, "a.b", None)], False)
@example([{"a.b": 1}], [("delete", 0, "a.b", None), ("set", 0, "a.b", 2)], False)
@example([{"a": 1}, {}], [("set", 1, "b.a", 1), ("set", 0, "b", 2), ("rescore", 0, "", None)], True)
def test_a_udf_sees_what_its_edits_come_to(
    guest_hits: Any, given_hits: list[dict[str, Any]], actions: list[Any], columns: bool
) -> None:
    """Where all of a hit was declared, its part and the edited hit are the same in the end."""
    to = {"hits": {"hits": given_hits}}
    given: dict[str, Any] = {"parts": given_hits}
    if columns:
        given = Projection(["a", "b", "a.b"], of_hits=True).given(to)
    hits = guest_hits(orjson.loads(orjson.dumps(given)))
    for action, number, path, value in actions:
        if action == "rescore":
            hits.rescore(range(len(hits)))
        elif action == "sort":
            hits.sort(key=lambda hit: str(hit.get("a")))
        elif number < len(hits):
            try:
                do(hits[number], action, path, orjson.loads(orjson.dumps(value)))
            except ValueError as error:
                assert "not an object" in str(error)  # noqa: PT017
    edits = read_edits(orjson.loads(orjson.dumps(hits.edits())), len(given_hits))
    new, _ = edited(to, edits)
    assert new["hits"]["hits"] == [hits._table.part(hit._at) for hit in hits]


def do(hit: Any, action: str, path: str | None, value: Any) -> None:
    if action == "drop":
        hit.drop()
    elif action == "delete":
        hit.delete(path)
    else:
        hit.set(path, value)
