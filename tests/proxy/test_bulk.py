"""Bulk and msearch bodies, taken apart and put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.bulk import BulkSyntaxError, merge_answer, read_bulk, write_bulk
from proxy.msearch_body import MsearchSyntaxError, read_msearch, write_msearch

BULK = (
    b'{"index":{"_id":"1"}}\r\n{"n": 1.0}\r\n'
    b'{"delete":{"_id":2}}\n'
    b'{"update":{"_id":"3","pipeline":"x"}}\n{"doc":{}}\n'
)


def test_a_bulk_body_comes_back_to_the_byte() -> None:
    """Whatever white space it holds."""
    items = read_bulk(BULK)
    assert [(i.action, i.id, i.line) for i in items] == [
        ("index", "1", 1),
        ("delete", "2", 3),
        ("update", "3", 4),
    ]
    assert write_bulk(items) == BULK
    assert read_bulk(b"\n\n" + BULK)[0].line == 3
    assert read_bulk(b"\n") == []


def test_items_change_one_by_one() -> None:
    """What is answered here does not go to the backend; its answer stands in its place."""
    first, second, third = read_bulk(BULK)
    done = [
        first.answered({"status": 400, "error": {}}),
        second,
        third.as_write("index", '{"a":1}', 5, 6),
    ]
    assert write_bulk(done) == (
        b'{"delete":{"_id":2}}\n{"index":{"_id":"3","if_seq_no":5,"if_primary_term":6}}\n{"a":1}\n'
    )
    answer = {"took": 1, "errors": False, "items": [{"delete": {"x": 1}}, {"index": {"y": 2}}]}
    merged = merge_answer(done, answer)
    assert merged["errors"] is True
    assert merged["items"] == [
        {"index": {"status": 400, "error": {}}},
        {"delete": {"x": 1}},
        {"update": {"y": 2}},
    ]
    with pytest.raises(ValueError, match="another number of items"):
        merge_answer(done, {"items": []})
    assert third.without_pipeline(None).header == b'{"update":{"_id":"3"}}'
    assert third.without_pipeline("y").header == b'{"update":{"_id":"3","pipeline":"y"}}'


MSEARCH = b'{"index":["a,b","c"],"expand_wildcards":["open","hidden"]}\n{"size": 1.0}\n\n{}\n'


def test_an_msearch_body_comes_back_to_the_byte() -> None:
    """Empty headers included."""
    first, second = read_msearch(MSEARCH)
    assert (first.names, first.expand, first.pipeline) == (("a", "b", "c"), "open,hidden", None)
    assert (second.names, second.meta, second.expand) == ((), {}, None)
    assert write_msearch([first, second]) == MSEARCH
    named = read_msearch(b'{"index":"a","pipeline":"p"}\n{}\n')[0]
    assert named.pipeline == "p"
    assert named.without_pipeline().header == b'{"index":"a"}'
    assert write_msearch([named.answered({"status": 400})]) == b""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}\n{}", "terminated by a newline"),
        (b"{\n{}\n", "line 1: the header is not valid JSON"),
        (b"{}\n", "line 1: the header has no body"),
        (b"{}\n{}\n[]\n{}\n", "line 3: the header must be an object"),
    ],
)
def test_a_broken_msearch_body_is_refused_with_its_line(body: bytes, message: str) -> None:
    """As the backend does, and more exactly."""
    with pytest.raises(MsearchSyntaxError, match=message.replace("[", r"\[")):
        read_msearch(body)


LINE = st.sampled_from(
    [b"", b"{}", b"[]", b"{", b'{"index":{}}', b'{"delete":{}}', b'{"index":1}', b" ", b"\xff"]
)


@given(st.lists(LINE, max_size=8), st.booleans())
def test_any_lines_are_read_or_refused(lines: list[bytes], ended: bool) -> None:
    """And what is read is written as it was, but for empty lines between items."""
    body = b"\n".join(lines) + (b"\n" if ended else b"")
    try:
        items = read_bulk(body)
    except BulkSyntaxError:
        items = []
    for item in items:
        assert item.header in body
    try:
        searches = read_msearch(body)
    except MsearchSyntaxError:
        return
    assert body.startswith(write_msearch(searches))
