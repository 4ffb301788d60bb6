"""What the header fields of a request say: a table, and that equal fields are read once."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.http.errors import ErrorResponse, MalformedRequest
from proxy.http.headers import encode
from proxy.server.head_facts import HeadFacts, head_facts


def facts(*fields: tuple[str, str], is_new: bool = True) -> HeadFacts:
    raw = tuple((encode(name), encode(value)) for name, value in fields)
    return head_facts(raw, CIMultiDictProxy(CIMultiDict(fields)), is_new=is_new)


NOTHING = {
    "host": "",
    "length": 0,
    "expects": False,
    "has_via": False,
    "names_pipelines": False,
    "is_plain_json": False,
    "client": None,
}
CASES: list[tuple[list[tuple[str, str]], dict[str, Any]]] = [
    ([], {}),
    ([("host", "search:9200")], {"host": "search:9200"}),
    ([("Content-Length", "12")], {"length": 12}),
    ([("Transfer-Encoding", "Chunked")], {"length": None}),
    ([("Expect", "100-Continue"), ("Content-Length", "12")], {"length": 12, "expects": True}),
    ([("Expect", "100-continue")], {}),
    ([("via", "1.1 other")], {"has_via": True}),
    ([("querymill-pipeline", "a")], {"names_pipelines": True}),
    ([("Content-Type", "application/json")], {"is_plain_json": True}),
    ([("Content-Type", "application/json; charset=UTF-8")], {"is_plain_json": True}),
    ([("Content-Type", "application/json"), ("Content-Encoding", "gzip")], {}),
    ([("Content-Type", "application/x-ndjson")], {}),
]


@pytest.mark.parametrize(("fields", "said"), CASES)
def test_what_fields_say(fields: list[tuple[str, str]], said: dict[str, Any]) -> None:
    """Each field says one thing; what is not said is what HTTP means by silence."""
    found = facts(*fields)
    assert {name: getattr(found, name) for name in NOTHING} == NOTHING | said


def test_an_elasticsearch_client_is_known() -> None:
    """By its media types, which stay in the fields that are sent on."""
    found = facts(("Accept", "application/vnd.elasticsearch+json; compatible-with=9"))
    assert found.client is not None
    assert found.client.version == "9"
    assert found.sent == ((b"Accept", b"application/vnd.elasticsearch+json; compatible-with=9"),)


def test_an_old_request_expects_nothing() -> None:
    """Under HTTP/1.0 nobody waits for a go-ahead."""
    fields = (("Expect", "100-continue"), ("Content-Length", "2"))
    assert not facts(*fields, is_new=False).expects
    assert facts(*fields).expects


@pytest.mark.parametrize(
    ("fields", "is_new"),
    [
        ([("Transfer-Encoding", "gzip, chunked")], True),
        ([("Transfer-Encoding", "chunked")], False),
    ],
)
def test_two_ways_of_framing_are_refused(fields: list[tuple[str, str]], is_new: bool) -> None:
    """A body that others could take for another one is malformed, each time."""
    for _ in range(2):
        with pytest.raises(MalformedRequest):
            facts(*fields, is_new=is_new)


def test_an_unknown_expectation_fails() -> None:
    """Only a go-ahead can be expected."""
    with pytest.raises(ErrorResponse) as refused:
        facts(("Expect", "200-ok"))
    assert refused.value.status == 417


def test_equal_fields_are_read_once() -> None:
    """Equal fields give the same object, others another one."""
    fields = (("Host", "read-once"), ("Content-Length", "1"))
    assert facts(*fields) is facts(*fields)
    assert facts(*fields) is not facts(("Host", "read-once"), ("Content-Length", "2"))
