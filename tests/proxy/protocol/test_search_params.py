"""Searches as the backend reads them: the URL laid over the body."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.http.query_string import QueryString
from proxy.protocol.search_params import dump, merge_query, merge_url


@pytest.mark.parametrize(
    ("url", "member"),
    [
        ("size=5&from=2", {"size": 5, "from": 2}),
        ("sort=a:desc,b,c:asc", {"sort": [{"a": {"order": "desc"}}, "b", {"c": {"order": "asc"}}]}),
        ("track_total_hits=true", {"track_total_hits": True}),
        ("track_total_hits=100", {"track_total_hits": 100}),
        ("explain=true", {"explain": True}),
        ("version=false", {"version": False}),
        ("timeout=1s&terminate_after=3", {"timeout": "1s", "terminate_after": 3}),
        ("stored_fields=a,b", {"stored_fields": ["a", "b"]}),
        ("docvalue_fields=a", {"docvalue_fields": ["a"]}),
        ("stats=x,y", {"stats": ["x", "y"]}),
        ("_source=false", {"_source": False}),
        ("_source=a,b", {"_source": ["a", "b"]}),
        (
            "_source_includes=a&_source_excludes=b",
            {"_source": {"includes": ["a"], "excludes": ["b"]}},
        ),
        ("_source=a&_source_excludes=b", {"_source": {"includes": ["a"], "excludes": ["b"]}}),
        (
            "q=x:y&df=t&default_operator=AND&analyze_wildcard=true&lenient&analyzer=z",
            {
                "query": {
                    "query_string": {
                        "query": "x:y",
                        "default_field": "t",
                        "default_operator": "AND",
                        "analyze_wildcard": True,
                        "lenient": True,
                        "analyzer": "z",
                    }
                }
            },
        ),
        (
            "suggest_field=f&suggest_text=t&suggest_size=2&suggest_mode=always",
            {
                "suggest": {
                    "f": {"text": "t", "term": {"field": "f", "size": 2, "suggest_mode": "always"}}
                }
            },
        ),
    ],
)
def test_every_parameter_becomes_its_member(url: str, member: dict[str, Any]) -> None:
    """It wins over the body, and leaves the URL."""
    merged, left = merge_url({"size": 1, "query": {"match_all": {}}, "other": 1}, QueryString(url))
    expected = {"size": 1, "query": {"match_all": {}}, "other": 1} | member
    assert (merged, left.raw) == (expected, "")


@pytest.mark.parametrize(
    "url",
    [
        "size=abc",
        "explain=maybe",
        "track_total_hits=x",
        "track_total_hits=",
        "explain",
        "version=&seq_no_primary_term",
        "terminate_after=0",
        "suggest_field=f&suggest_text=t",
        "_source=a&_source_exclude_vectors=x",
        "q=a&lenient=perhaps",
        "suggest_field=f&suggest_size=x",
        "routing=a&preference=b&scroll=1m&typed_keys",
    ],
)
def test_what_makes_no_sense_or_is_no_member_stays(url: str) -> None:
    """The backend refuses it, or takes it, as it does without the proxy."""
    merged, left = merge_url({}, QueryString(url))
    assert (merged, left.raw) == ({}, url)


@pytest.mark.parametrize(
    ("url", "body", "member"),
    [
        ("sort=a:desc", {"sort": "b"}, {"sort": ["b", {"a": {"order": "desc"}}]}),
        ("sort=a", {"sort": {"b": "asc"}}, {"sort": [{"b": "asc"}, "a"]}),
        ("sort=a,b:up", {"sort": ["c"]}, {"sort": ["c", "a"]}),
        ("sort=", {"sort": ["c"]}, {"sort": ["c"]}),
        ("docvalue_fields=a", {"docvalue_fields": ["b"]}, {"docvalue_fields": ["b", "a"]}),
        ("stored_fields=a", {"stored_fields": ["b"]}, {"stored_fields": ["a"]}),
        ("_source=false&_source_includes=a", {"_source": ["b"]}, {"_source": False}),
        (
            "_source_exclude_vectors=true&_source=a",
            {},
            {"_source": {"includes": ["a"], "excludes": [], "exclude_vectors": True}},
        ),
    ],
)
def test_what_adds_up_and_what_replaces(
    url: str, body: dict[str, Any], member: dict[str, Any]
) -> None:
    """Sort keys and doc values add to those of the body, the rest replaces them."""
    merged, left = merge_url(body, QueryString(url))
    assert (merged, left.raw) == (member, "")


@pytest.mark.parametrize("given", [None, 7, True])
def test_what_cannot_be_added_to_stays(given: object) -> None:
    """The backend refuses the body."""
    merged, left = merge_url({"sort": given}, QueryString("sort=a"))
    assert (merged, left.raw) == ({"sort": given}, "sort=a")


def test_endpoints_of_a_query_take_only_that() -> None:
    """Other parameters stay in the URL."""
    merged, left = merge_query({"query": {}}, QueryString("q=a&min_score=1&size=2"))
    assert merged == {"query": {"query_string": {"query": "a"}}}
    assert left.raw == "min_score=1&size=2"


def test_numbers_of_any_size_are_written() -> None:
    """Beyond what the quick writer can."""
    assert dump({"n": 2**70}) == '{"n": 1180591620717411303424}'
    assert dump({"n": 1.0}) == '{"n":1.0}'
