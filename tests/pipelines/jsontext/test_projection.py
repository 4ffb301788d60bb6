"""What a stage that declares its input is given, and a document put together again."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.jsontext.projection import NAMES_MAX, PATH_CHARS_MAX, Projection, check_declared
from tests.pipelines.conftest import guest_module

HIT = {
    "_index": "products",
    "_id": "1",
    "_score": 2.5,
    "_source": {"title": "Tent", "brand": {"name": "Lumora", "country": "de"}, "tags": [{"k": 1}]},
    "highlight": {"title": ["<em>Tent</em>"]},
}
RESPONSE = {"took": 1, "hits": {"total": {"value": 9}, "max_score": 2.5, "hits": [HIT]}}


def parts(given: dict[str, Any]) -> list[Any]:
    """The parts of the hits that a UDF makes of what it is given."""
    hits = guest_module("querymill.hits").Hits(orjson.loads(orjson.dumps(given)))
    return [hits._table.part(at) for at in range(len(hits))]


def of_hit(*paths: str, hit: Any = HIT) -> Any:
    """The declared part of one hit, as a UDF sees it."""
    (found,) = parts(Projection(paths, of_hits=True).given({"hits": {"hits": [hit]}}))
    return found


@pytest.mark.parametrize(
    ("paths", "part"),
    [
        (["_score"], {"_score": 2.5}),
        (["_id", "_source.title"], {"_id": "1", "_source": {"title": "Tent"}}),
        (["_source.brand.name"], {"_source": {"brand": {"name": "Lumora"}}}),
        (["_source.brand", "_source.brand.name"], {"_source": {"brand": HIT["_source"]["brand"]}}),  # type: ignore[index]
        (["_source"], {"_source": HIT["_source"]}),
        (["highlight"], {"highlight": HIT["highlight"]}),
        # What is not there is not there, the objects around it are.
        (["_source.price"], {"_source": {}}),
        (["_source.title.raw", "sort"], {"_source": {}}),
        # A path into an array takes all of it.
        (["_source.tags.k"], {"_source": {"tags": [{"k": 1}]}}),
    ],
)
def test_only_what_was_declared_is_given(paths: list[str], part: dict[str, Any]) -> None:
    """Each hit in the shape it has, without the rest."""
    assert of_hit(*paths) == part


@pytest.mark.parametrize(
    "source",
    [
        {"log.level": "info", "x": 1},
        {"log": {"level": "info", "x": 1}, "x": 1},
    ],
)
def test_keys_with_dots_are_found_by_their_path(source: dict[str, Any]) -> None:
    """As are the same names one in another."""
    expected = {"log.level": "info"} if "log.level" in source else {"log": {"level": "info"}}
    assert of_hit("_source.log.level", hit={"_source": source}) == {"_source": expected}


def test_members_of_the_response_have_a_prefix() -> None:
    """The hits are beside them."""
    projection = Projection(["response.hits.total", "response.took", "_id"], of_hits=True)
    given = projection.given(RESPONSE)
    assert given["response"] == {"took": 1, "hits": {"total": {"value": 9}}}
    assert parts(given) == [{"_id": "1"}]


@pytest.mark.parametrize("response", [{}, {"hits": None}, {"hits": {}}, {"hits": {"hits": None}}])
def test_a_response_without_hits_has_none(response: dict[str, Any]) -> None:
    """A UDF need not look for the list."""
    given = Projection(["_id"], of_hits=True).given(response)
    assert (given["response"], parts(given)) == ({}, [])


def test_a_hit_that_is_no_object_is_an_empty_one() -> None:
    """Its place is kept."""
    given = Projection(["_id"], of_hits=True).given({"hits": {"hits": [3, HIT]}})
    assert parts(given) == [{}, {"_id": "1"}]


def test_whole_numbers_of_any_size_are_given_exactly() -> None:
    """Although the parsed payload holds them as floats."""
    text = f'{{"id": {2**80}, "n": 1e16, "other": 1}}'
    projection = Projection(["id", "n"], of_hits=False)
    assert projection.text(text, orjson.loads(text)) == f'{{"id":{2**80},"n":1e+16}}'


def test_what_is_nested_too_deeply_is_refused() -> None:
    """orjson reads more levels than it writes."""
    text = '{"a":' + "[" * 300 + "]" * 300 + "}"
    with pytest.raises(ValueError, match="250 levels"):
        Projection(["a"], of_hits=False).text(text, orjson.loads(text))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "names joined by dots"),
        ("a..b", "names joined by dots"),
        (".a", "names joined by dots"),
        (".".join("a" * (NAMES_MAX + 1)), "1 to 20 names"),
        ("a" * (PATH_CHARS_MAX + 1), "at most 500 characters"),
        ("_source.*", "wildcard"),
        ("response", "holds the hits"),
        ("response.hits", "holds the hits"),
        ("response.hits.hits._id", "holds the hits"),
    ],
)
def test_paths_that_cannot_be_declared(path: str, said: str) -> None:
    """Each is refused with the rule."""
    with pytest.raises(ValueError, match=said):
        check_declared(path, of_hits=True)


def test_longest_paths_obeyed() -> None:
    """The limits are those that can be reached; a field may be called response."""
    check_declared(".".join("a" * NAMES_MAX), of_hits=True)
    check_declared("a" * PATH_CHARS_MAX, of_hits=True)
    check_declared("response.hits", of_hits=False)


DOCUMENT = {"a": 1, "brand": {"name": "x", "country": "de"}, "tags": [1], "z": None}


@pytest.mark.parametrize(
    ("paths", "returned", "merged"),
    [
        (["a"], {"a": 2}, {**DOCUMENT, "a": 2}),
        (["a"], {}, {k: v for k, v in DOCUMENT.items() if k != "a"}),
        (["a"], {"a": 1, "new": 3}, {**DOCUMENT, "new": 3}),
        (["a"], {"a": 1, "z": 3}, {**DOCUMENT, "z": 3}),
        (["a", "z"], {"a": 1}, {k: v for k, v in DOCUMENT.items() if k != "z"}),
        (
            ["brand.name"],
            {"brand": {"name": "y", "logo": 1}},
            {**DOCUMENT, "brand": {"name": "y", "country": "de", "logo": 1}},
        ),
        (["brand.name"], {"brand": {}}, {**DOCUMENT, "brand": {"country": "de"}}),
        (["brand.name"], {}, {**DOCUMENT, "brand": {"country": "de"}}),
        (
            ["brand.name", "brand.country"],
            {},
            {k: v for k, v in DOCUMENT.items() if k != "brand"},
        ),
        (["brand.name", "brand.country"], {"brand": {}}, {**DOCUMENT, "brand": {}}),
        (["brand.name"], {"brand": "x"}, {**DOCUMENT, "brand": "x"}),
        (
            ["brand.size"],
            {"brand": {"size": 1}},
            {**DOCUMENT, "brand": {"name": "x", "country": "de", "size": 1}},
        ),
        (["tags.k"], {"tags": [2]}, {**DOCUMENT, "tags": [2]}),
        (["tags.k"], {}, {k: v for k, v in DOCUMENT.items() if k != "tags"}),
        # What was not given cannot be left out.
        (["a.b", "z.y"], {}, DOCUMENT),
        (["a.b"], {"a": {"b": 1}}, {**DOCUMENT, "a": {"b": 1}}),
    ],
)
def test_documents_are_merged(
    paths: list[str], returned: dict[str, Any], merged: dict[str, Any]
) -> None:
    """What is returned is set, what was declared and is missing goes, the rest stays in order."""
    before = orjson.dumps(DOCUMENT)
    result = Projection(paths, of_hits=False).merged(DOCUMENT, returned)
    assert orjson.dumps(result) == orjson.dumps(merged)
    assert orjson.dumps(DOCUMENT) == before


NAMES = st.sampled_from(["a", "b", "a.b", "c"])
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        st.integers(0, 3) | st.none(),
        lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=2),
        max_leaves=8,
    ),
    max_size=4,
)
PATHS = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join), min_size=1, max_size=4
)


@given(DOCUMENTS, PATHS)
def test_what_is_returned_as_given_changes_nothing(
    document: dict[str, Any], paths: list[str]
) -> None:
    """Whatever the document and the paths: not even the order of keys."""
    projection = Projection(paths, of_hits=False)
    merged = projection.merged(document, projection.given(document))
    assert orjson.dumps(merged) == orjson.dumps(document)


@given(DOCUMENTS, PATHS)
def test_what_is_left_out_is_gone(document: dict[str, Any], paths: list[str]) -> None:
    """Of a document whose declared part was emptied, none is left."""
    projection = Projection(paths, of_hits=False)
    rest = projection.merged(document, {})
    assert not leaves(projection.given(rest))


@given(st.lists(DOCUMENTS | st.integers(0, 1), max_size=4), PATHS)
def test_columns_say_what_parts_do(hits: list[Any], paths: list[str]) -> None:
    """Whatever the shapes of the hits: what a UDF can read of each is what was declared."""
    expected = [
        Projection(paths, of_hits=False).given(hit) if isinstance(hit, dict) else {} for hit in hits
    ]
    assert parts(Projection(paths, of_hits=True).given({"hits": {"hits": hits}})) == expected


def test_plain_hits_go_as_columns() -> None:
    """A list for each path; one that a hit lacks is a gap, which is no null."""
    hits = [{"_score": 1, "_source": {"n": 1, "m": None}}, {"_score": 2, "_source": {"m": 2}}]
    given = Projection(["_score", "_source.n", "_source.m"], of_hits=True).given(
        {"hits": {"hits": hits}}
    )
    assert given == {
        "response": {},
        "count": 2,
        "columns": {"_score": [1, 2], "_source.n": [1, None], "_source.m": [None, 2]},
        "gaps": {"_source.n": [1]},
    }


@pytest.mark.parametrize("odd", [{"_source": {"a": 1}, "_source.n": 2}, {}, {"_source": [1]}, 3])
def test_one_odd_hit_makes_parts_of_all(odd: Any) -> None:
    """A key with dots, no object on the way, or no object at all."""
    hits = [{"_source": {"n": 1}}, odd]
    assert "parts" in Projection(["_source.n"], of_hits=True).given({"hits": {"hits": hits}})


def test_deep_paths_are_read_in_time() -> None:
    """Names can stand together in keys in half a million ways; none is tried for nothing."""
    path = ".".join("abcdefghijklmnopqrst")
    document = {"a.b": {"c.d.e": {path[10:]: 1}}}
    assert Projection([path], of_hits=False).given(document) == document


def leaves(value: dict[str, Any]) -> bool:
    """Whether anything but objects is in it."""
    return any(leaves(v) if isinstance(v, dict) else True for v in value.values())
