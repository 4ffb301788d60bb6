"""Calls in the spelling of Elasticsearch, and what OpenSearch is asked and heard to say."""

from __future__ import annotations

import orjson
import pytest

from proxy.errors import ErrorAnswer
from proxy.translate import CLOSE_PIT, OPEN_PIT, translated_target, translation_of


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/a/_pit"),
        ("PUT", "/a/_doc/_pit"),
        ("POST", "/_pit"),
        ("POST", "/_search?preference=_pit"),
        ("POST", "/a/_search/point_in_time?keep_alive=_pit"),
        ("DELETE", "/a/_pit"),
        ("DELETE", "/_search/point_in_time?x=_pit"),
        ("GET", "/a/_search"),
    ],
)
def test_other_calls_have_no_translation(method: str, target: str) -> None:
    """Though the word may stand in them."""
    assert translation_of(method, target) is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a/_pit?keep_alive=1m", "/a/_search/point_in_time?keep_alive=1m&"),
        ("/a%2C-b*/_pit/?routing=x&max_concurrent_shard_requests=2",
         "/a%2C-b*/_search/point_in_time?routing=x&"),
        ("/a/_pit?filter_path=id&keep_alive=1m&allow_partial_search_results=false",
         "/a/_search/point_in_time?keep_alive=1m&"),
        ("/a/_pit", "/a/_search/point_in_time?"),
    ],
)  # fmt: skip
def test_opening_is_asked_for_as_opensearch_spells_it(target: str, expected: str) -> None:
    """The expression stays as it was written; without a word, no partial one is opened."""
    translation = translation_of("POST", target)
    assert translation is OPEN_PIT
    assert translated_target(translation, target) == f"{expected}allow_partial_pit_creation=false"


def test_a_partial_point_in_time_can_be_allowed() -> None:
    """The parameter goes by another name."""
    target = translated_target(OPEN_PIT, "/a/_pit?allow_partial_search_results=true")
    assert target == "/a/_search/point_in_time?allow_partial_pit_creation=true"


def test_an_opened_one_is_told_as_elasticsearch_does() -> None:
    """Without what only OpenSearch says."""
    said = orjson.dumps({"pit_id": "x", "_shards": {"total": 1}, "creation_time": 5})
    status, body = OPEN_PIT.answered(200, said)
    assert (status, orjson.loads(body)) == (200, {"id": "x", "_shards": {"total": 1}})


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"error": {}}'])
def test_answers_of_another_form_stay(body: bytes) -> None:
    """What is not understood is not touched; nor are errors."""
    assert OPEN_PIT.answered(200, body) == (200, body)
    assert CLOSE_PIT.answered(200, body) == (200, body)
    assert OPEN_PIT.answered(404, body) == (404, body)


def test_closing_is_asked_for_as_opensearch_spells_it() -> None:
    """The one id becomes a list."""
    translation = translation_of("DELETE", "/_pit?pretty")
    assert translation is CLOSE_PIT
    assert translation.body is not None
    assert translated_target(translation, "/_pit?pretty") == "/_search/point_in_time?pretty"
    assert orjson.loads(translation.body(b'{"id": "x"}')) == {"pit_id": ["x"]}


@pytest.mark.parametrize(
    ("pits", "expected"),
    [
        ([{"successful": True, "pit_id": "x"}], (200, {"succeeded": True, "num_freed": 1})),
        ([{"successful": False, "pit_id": "x"}], (404, {"succeeded": False, "num_freed": 0})),
        ([], (404, {"succeeded": False, "num_freed": 0})),
    ],
)
def test_a_closed_one_is_told_as_elasticsearch_does(
    pits: list[object], expected: tuple[int, object]
) -> None:
    """With 404 where there was nothing to close."""
    status, body = CLOSE_PIT.answered(200, orjson.dumps({"pits": pits}))
    assert (status, orjson.loads(body)) == expected


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"id": ["x"]}', b'{"id": 7}'])
def test_closing_nothing_is_refused(body: bytes) -> None:
    """With 400, and the form it has to have."""
    assert CLOSE_PIT.body is not None
    with pytest.raises(ErrorAnswer, match="send") as refused:
        CLOSE_PIT.body(body)
    assert refused.value.status == 400
