"""The grammar of `filter_path`, in small; the flows hold it against the backend itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.formats.filter_path import FilterPath

SOURCE = {"a": {"b": 1, "c": [1, {"b": 2}]}, "a.b": 5, "e": [], "n": None}
RESPONSE: dict[str, Any] = {
    "took": 1,
    "hits": {
        "total": {"value": 2},
        "hits": [
            {"_id": "1", "_source": SOURCE},
            {"_id": "2", "_source": {"a": 3, "o": {}, "e": {"e": []}}},
        ],
    },
}
FIRST, SECOND = (hit["_source"] for hit in RESPONSE["hits"]["hits"])


def sources(*values: dict[str, Any]) -> dict[str, Any]:
    return {"hits": {"hits": [{"_source": value} for value in values]}}


INCLUDING = [
    ("took", {"took": 1}),
    (" took ,, hits.total", {"took": 1, "hits": {"total": {"value": 2}}}),
    ("nothing", {}),
    ("took.value", {}),
    ("*", RESPONSE),
    ("**", RESPONSE),
    ("hits.", {"hits": RESPONSE["hits"]}),
    ("", RESPONSE),
    ("hits.hits._id", {"hits": {"hits": [{"_id": "1"}, {"_id": "2"}]}}),
    ("h*s.*.*id", {"hits": {"hits": [{"_id": "1"}, {"_id": "2"}]}}),
    ("**.a.b", sources({"a": {"b": 1}})),
    ("**.b", sources({"a": {"b": 1, "c": [{"b": 2}]}})),
    ("**.a.**.b", sources({"a": {"c": [{"b": 2}]}})),
    (r"**.a\.b", sources({"a.b": 5})),
    ("**.n", sources({"n": None})),
    ("**.e", sources({"e": []}, {"e": {"e": []}})),
    ("**.e.e", sources({"e": {"e": []}})),
    ("**._source.a.b,took", {"took": 1, **sources({"a": {"b": 1}})}),
]


@pytest.mark.parametrize(("paths", "expected"), INCLUDING)
def test_included(paths: str, expected: object) -> None:
    """What the paths reach is kept whole, with the way there; containers left empty go."""
    assert FilterPath.parse(paths).apply(RESPONSE) == expected


EXCLUDING = [
    ("-hits", {"took": 1}),
    ("-**", {}),
    ("- took,-hits.hits,-nothing", {"hits": {"total": {"value": 2}}}),
    ("hits,-hits.hits", {"hits": {"total": {"value": 2}}}),
    ("**._source,-**.a,-**.e", sources({"a.b": 5, "n": None}, {"o": {}})),
    ("**._source,-**.c.b,-**.o.x", sources({**FIRST, "a": {"b": 1, "c": [1]}}, {"a": 3, **SECOND})),
    ("**.a,-**.b", sources({"a": {"c": [1]}}, {"a": 3})),
]


@pytest.mark.parametrize(("paths", "expected"), EXCLUDING)
def test_excluded(paths: str, expected: dict[str, Any]) -> None:
    """What the paths reach goes, and scalars on the way stay; inclusion comes first."""
    # On Elasticsearch, containers that were empty before stay.
    assert FilterPath.parse(paths, elasticsearch=True).apply(RESPONSE) == expected


def test_empty_containers() -> None:
    """OpenSearch leaves out containers on the way of an exclusion that were empty before."""
    value = {"a": {"b": [], "c": {}, "d": [{}, 1]}, "e": []}
    assert FilterPath.parse("-a.x").apply(value) == value
    assert FilterPath.parse("-*.*.x").apply(value) == {"a": {"d": [1]}}
    assert FilterPath.parse("-*.*.x", elasticsearch=True).apply(value) == value
    assert FilterPath.parse("-*.*.*", elasticsearch=True).apply({"a": {"b": {"c": 1}}}) == {}


def test_misplaced_dots_and_backslashes() -> None:
    """The two backends read what makes no sense each in its own way."""
    value = {"a": {"b": 1}, "a.b": 2, ".b": 3, "": 4}
    assert FilterPath.parse("a..").apply(value) == {"a": {"b": 1}}
    assert FilterPath.parse("a..", elasticsearch=True).apply(value) == {}
    assert FilterPath.parse(r"a\xb").apply(value) == {"a.b": 2}
    assert FilterPath.parse(r"a\xb", elasticsearch=True).apply(value) == {}
    assert FilterPath.parse(".b").apply(value) == {}
    assert FilterPath.parse(".b", elasticsearch=True).apply(value) == {".b": 3}


@pytest.mark.parametrize("paths", ["-", "took,-", "- , -"])
def test_an_exclusion_of_nothing_is_refused(paths: str) -> None:
    """The backend refuses it too."""
    with pytest.raises(ValueError, match="a name has to follow the -"):
        FilterPath.parse(paths)
    assert FilterPath.parse(f"{paths},-took").apply({"took": 1, "a": 2}).get("took") is None


def test_no_path_filters_nothing() -> None:
    """Empty paths are no filter."""
    assert not FilterPath.parse(" , ")
    assert FilterPath.parse("a")


NAMES = st.sampled_from(["a", "b", "ab", "a.b", "x"])
VALUES = st.recursive(
    st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
PATHS = st.lists(
    st.lists(st.sampled_from(["a", "b", "*", "**", "a*", r"a\.b"]), min_size=1, max_size=4).map(
        ".".join
    ),
    min_size=1,
    max_size=3,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4), PATHS, st.booleans())
def test_filters_are_idempotent(value: dict[str, Any], paths: list[str], elastic: bool) -> None:
    """What was filtered is not changed by the same filter, and no scalar is in both halves."""
    included = FilterPath.parse(",".join(paths), elasticsearch=elastic)
    kept = included.apply(value)
    assert included.apply(kept) == kept
    excluded = FilterPath.parse(",".join(f"-{path}" for path in paths), elasticsearch=elastic)
    left = excluded.apply(value)
    assert scalars(kept) + scalars(left) == scalars(value)


def scalars(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(scalars, value.values()))
    return sum(map(scalars, value)) if isinstance(value, list) else 1
