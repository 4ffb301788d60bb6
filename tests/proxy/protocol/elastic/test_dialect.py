"""Calls in the spelling of Elasticsearch, and what OpenSearch is asked and heard to say."""

from __future__ import annotations

import orjson
import pytest

from proxy.http.errors import ErrorResponse
from proxy.protocol.elastic.dialect import (
    ALLOCATION,
    CAT_COUNT,
    CLOSE_PIT,
    DATA_STREAMS,
    FIELD_CAPS,
    HEALTH,
    HINTS,
    INFO,
    INFO_FOR_7,
    OPEN_PIT,
    RESOLVE,
    SEARCH_SHARDS,
    SHARD_STORES,
    TERM_VECTORS,
    Translation,
    translated_target,
    translation_of,
)


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


def test_an_opened_one_is_reported_as_elasticsearch_does() -> None:
    """Without what only OpenSearch says."""
    said = orjson.dumps({"pit_id": "x", "_shards": {"total": 1}, "creation_time": 5})
    status, body = OPEN_PIT.translated(200, said)
    assert (status, orjson.loads(body)) == (200, {"id": "x", "_shards": {"total": 1}})


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"error": {}}'])
def test_responses_of_another_form_stay(body: bytes) -> None:
    """What is not understood is not touched; nor are errors."""
    assert OPEN_PIT.translated(200, body) == (200, body)
    assert CLOSE_PIT.translated(200, body) == (200, body)
    assert OPEN_PIT.translated(404, body) == (404, body)


def test_closing_is_asked_for_as_opensearch_spells_it() -> None:
    """The one id becomes a list."""
    translation = translation_of("DELETE", "/_pit?pretty")
    assert translation is CLOSE_PIT
    assert translation.body is not None
    assert translated_target(translation, "/_pit?pretty") == "/_search/point_in_time?pretty"
    body, added = translation.body(b'{"id": "x"}')
    assert (orjson.loads(body), added) == ({"pit_id": ["x"]}, {})


@pytest.mark.parametrize(
    ("pits", "expected"),
    [
        ([{"successful": True, "pit_id": "x"}], (200, {"succeeded": True, "num_freed": 1})),
        ([{"successful": False, "pit_id": "x"}], (404, {"succeeded": False, "num_freed": 0})),
        ([], (404, {"succeeded": False, "num_freed": 0})),
    ],
)
def test_a_closed_one_is_reported_as_elasticsearch_does(
    pits: list[object], expected: tuple[int, object]
) -> None:
    """With 404 where there was nothing to close."""
    status, body = CLOSE_PIT.translated(200, orjson.dumps({"pits": pits}))
    assert (status, orjson.loads(body)) == expected


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"id": ["x"]}', b'{"id": 7}'])
def test_closing_nothing_is_refused(body: bytes) -> None:
    """With 400, and the form it has to have."""
    assert CLOSE_PIT.body is not None
    with pytest.raises(ErrorResponse, match="send") as refused:
        CLOSE_PIT.body(body)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("POST", "/_field_caps", FIELD_CAPS),
        ("GET", "/a,b*/_field_caps?ignore_unavailable=true", FIELD_CAPS),
        ("POST", "/%3Clogs-%7Bnow%2Fd%7D%3E/_field_caps", FIELD_CAPS),
        ("POST", "/_all/_field_caps/", FIELD_CAPS),
        ("POST", "/a/_doc/_field_caps", None),
        ("POST", "/a/_termvectors/_field_caps", TERM_VECTORS),
        ("POST", "/_mtermvectors", TERM_VECTORS),
        ("POST", "/a/_doc/_mtermvectors", None),
        ("POST", "/_resolve/index/a*", RESOLVE),
        ("GET", "/_resolve/index/a*", None),
        ("POST", "/_cat/count", CAT_COUNT),
        ("GET", "/_cat/count/a", None),
        ("GET", "/_cluster/health", HEALTH),
        ("GET", "/_cluster/health/a?level=shards", HEALTH),
        ("GET", "/_cluster/health?filter_path=status", None),
        ("GET", "/", INFO),
        ("GET", "/?pretty", INFO),
        ("HEAD", "/", None),
        ("GET", "/a", None),
        ("GET", "/a/_search?timeout=1s", None),
        ("PUT", "/a?master_timeout=1s", None),
        ("GET", "/_data_stream/a?master_timeout=1s", DATA_STREAMS),
        ("GET", "/_data_stream/a?master_timeout=1s&filter_path=x", HINTS),
        ("DELETE", "/_data_stream/a?master_timeout=1s", HINTS),
        ("GET", "/_data_stream/a/_mappings", None),
        ("GET", "/_data_stream/_stats", None),
        ("PUT", "/_index_template/a?master_timeout=1s", None),
        ("GET", "/_data_stream/a?expand_wildcards=open", DATA_STREAMS),
        ("GET", "/_data_stream/a*?expand_wildcards=all&filter_path=x", HINTS),
        ("DELETE", "/_data_stream/a*?expand_wildcards=open", None),
        ("GET", "/_data_stream?expand_wildcards=open&filter_path=x", None),
        ("GET", "/_data_stream", DATA_STREAMS),
        ("GET", "/_search_shards?master_timeout=1s&filter_path=x", HINTS),
        ("GET", "/a/_search_shards?timeout=1s", SEARCH_SHARDS),
        ("POST", "/_search_shards", SEARCH_SHARDS),
        ("GET", "/a,b/_shard_stores/", SHARD_STORES),
        ("GET", "/_all/_shard_stores", SHARD_STORES),
        ("GET", "/a/_doc/_shard_stores", None),
        ("POST", "/_cluster/allocation/explain", ALLOCATION),
        ("GET", "/_cluster/allocation/explain?include_disk_info=true", ALLOCATION),
        ("POST", "/a/_doc?include_source_on_error=true", HINTS),
        ("POST", "/a/_doc?include_source_on_error=false", None),
    ],
)
def test_calls_that_are_translated(method: str, target: str, expected: Translation | None) -> None:
    """By method and path; a document's id is no call."""
    assert translation_of(method, target) is expected


def test_only_clients_of_7_are_reported_a_version_of_7() -> None:
    """They refuse every other."""
    assert translation_of("GET", "/", True) is INFO_FOR_7


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/_data_stream/a?master_timeout=1s&pretty", "/_data_stream/a?pretty"),
        ("/_data_stream/a?timeout=1s&master_timeout=2s", "/_data_stream/a"),
        ("/_cat/aliases?timeout=1s&master_timeout=2s", "/_cat/aliases?timeout=1s"),
        ("/a/_doc?include_source_on_error=true&refresh", "/a/_doc?refresh"),
    ],
)
def test_hints_are_left_out(target: str, expected: str) -> None:
    """Those that OpenSearch refuses there, and no other."""
    assert translated_target(HINTS, target) == expected


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"fields": 7}', b'{"fields": []}', b"fields: a"]
)
def test_bodies_that_name_no_fields_stay(body: bytes) -> None:
    """OpenSearch refuses them in its own words."""
    for translation in (FIELD_CAPS, TERM_VECTORS):
        assert translation.body is not None
        assert translation.body(body) == (body, {})


def test_numbers_of_a_health_stay_as_written() -> None:
    """A member is put behind another, spaced alike; one that is there stays."""
    health = '{ "unassigned_shards" : 0,\n  "active" : 1.50e1 }'
    status, reported = HEALTH.translated(200, health.encode())
    assert (status, reported.decode()) == (
        200,
        '{ "unassigned_shards" : 0, "unassigned_primary_shards" : 0,\n  "active" : 1.50e1 }',
    )
    assert HEALTH.translated(200, reported) == (200, reported)
    for other in (b"{}", b"[]", b"nonsense", b'{"indices": 7, "unassigned_shards": 1}'):
        assert HEALTH.translated(200, other) == (200, other)


NODE = '{"name":"a","ephemeral_id":"e"}'
NODES = b'{"nodes":{"N":{"version":"3.8.1","roles":["data","cluster_manager","search"]}}}'
ADDED = (
    '"external_id":"a","roles":["data","master"],"version":"3.8.1","min_index_version":2000099,'
    '"max_index_version":3080199'
)


@pytest.mark.parametrize(
    ("translation", "before", "after"),
    [
        (
            SEARCH_SHARDS,
            f'{{"nodes":{{"N":{NODE},"O":{NODE}}},"x":1.0}}',
            f'{{"nodes":{{"N":{{"name":"a",{ADDED},"ephemeral_id":"e"}},"O":{NODE}}},"x":1.0}}',
        ),
        (
            SHARD_STORES,
            f'{{"indices":{{"i":{{"shards":{{"0":{{"stores":[{{"N":{NODE},"x":{{}}}}]}}}}}}}}}}',
            '{"indices":{"i":{"shards":{"0":{"stores":[{"N":{"name":"a",'
            f'{ADDED},"ephemeral_id":"e"}},"x":{{}}}}]}}}}}}}}}}',
        ),
        (
            ALLOCATION,
            '{"current_node":{"id":"N"},"node_allocation_decisions":[{"node_id":"N"},{"x":1}]}',
            '{"current_node":{"id":"N","roles":["data","master"]},"node_allocation_decisions":'
            '[{"node_id":"N","roles":["data","master"]},{"x":1}]}',
        ),
        (ALLOCATION, '{"current_node":{"id":"N","roles":[]}}', ""),
        (SEARCH_SHARDS, '{"nodes":{}}', ""),
        (SEARCH_SHARDS, "{}", ""),
        (SEARCH_SHARDS, '{"nodes":7}', ""),
        (SHARD_STORES, '{"indices":{"i":{"shards":{"0":{"stores":[]}}}}}', ""),
        (DATA_STREAMS, '{"data_streams":[]}', ""),
        (DATA_STREAMS, "not JSON", ""),
    ],
)
def test_what_typed_clients_need_is_added(
    translation: Translation, before: str, after: str
) -> None:
    """Beside what is there, which stays as written; where nodes are not told, nothing is added."""
    assert translation.translated(200, before.encode(), NODES) == (200, (after or before).encode())
    if translation.detail is not None:
        for denied in (b'{"error":{},"status":403}', b"{}", b"", b'{"nodes":{"N":{}}}'):
            assert translation.translated(200, before.encode(), denied) == (200, before.encode())
    assert translation.translated(404, before.encode(), NODES) == (404, before.encode())
