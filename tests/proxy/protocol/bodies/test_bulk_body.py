"""Bulk and msearch bodies, taken apart and put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.bodies.bulk_body import BulkSyntaxError, merge_response, read_bulk, write_bulk
from proxy.protocol.bodies.msearch_body import MsearchSyntaxError, read_msearch, write_msearch

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
    assert read_bulk(b'// x\n/* "index" */\n' + BULK)[0].line == 3
    with pytest.raises(BulkSyntaxError, match="line 1"):
        read_bulk(b"null\n" + BULK)


def test_items_change_one_by_one() -> None:
    """What is answered here does not go to the backend; its response stands in its place."""
    first, second, third = read_bulk(BULK)
    done = [
        first.with_response({"status": 400, "error": {}}),
        second,
        third.as_write("index", '{"a":1}', 5, 6),
    ]
    assert write_bulk(done) == (
        b'{"delete":{"_id":2}}\n{"index":{"_id":"3","if_seq_no":5,"if_primary_term":6}}\n{"a":1}\n'
    )
    response = (
        '{"took": 1, "errors": false, "items": [{"delete":{"x":"\\ud83d"}}, {"index":{"y":1e400}}]}'
    )
    assert merge_response(done, response) == (
        '{"took": 1, "errors": true, "items": [{"index":{"status":400,"error":{}}},'
        '{"delete":{"x":"\\ud83d"}},{"update":{"y":1e400}}]}'
    )
    for wrong in ('{"items": []}', "{}", "no JSON"):
        with pytest.raises(ValueError, match=r"another number|expected"):
            merge_response(done, wrong)
    assert third.without_pipeline(None).header == b'{"update":{"_id":"3"}}'
    assert third.without_pipeline("y").header == b'{"update":{"_id":"3","pipeline":"y"}}'


MSEARCH = b'{"index":["a,b","c"],"expand_wildcards":["open","hidden"]}\n{"size": 1.0}\n\n{}\n'


def _nested(depth: int) -> bytes:
    value = b"[" * depth + b"]" * depth
    return b'{"update":{"_id":"1","pipeline":"p","_source":' + value + b"}}\n{}\n"


def test_an_action_nested_deeply_can_be_written_with_another_pipeline() -> None:
    """Where it is read."""
    (item,) = read_bulk(_nested(200))
    assert b'"p"' not in item.without_pipeline(None).header


@pytest.mark.parametrize("depth", [2000, 20_000])
def test_an_action_nested_more_deeply_is_none(depth: int) -> None:
    """Its parts cannot be told apart."""
    with pytest.raises(BulkSyntaxError, match="line 1: the action cannot be read"):
        read_bulk(_nested(depth))


def test_an_msearch_body_comes_back_to_the_byte() -> None:
    """Empty headers included."""
    first, second = read_msearch(MSEARCH)
    assert (first.names, first.expand, first.pipeline) == (("a", "b", "c"), "open,hidden", None)
    assert (second.names, second.meta, second.expand) == ((), {}, None)
    assert write_msearch([first, second]) == MSEARCH
    named = read_msearch(b'{"index":"a","pipeline":"p"}\n{}\n')[0]
    assert named.pipeline == "p"
    assert named.without_pipeline().header == b'{"index":"a"}'
    assert write_msearch([named.with_response({"status": 400})]) == b""


def test_an_msearch_body_needs_its_last_line_feed() -> None:
    """As the backends say, too."""
    with pytest.raises(MsearchSyntaxError, match="terminated by a newline"):
        read_msearch(b"{}\n{}")


@pytest.mark.parametrize(
    ("header", "meta"),
    [
        (b"", {}),
        (b"  \r", {}),
        (b"[]", {}),
        (b'"x"', {}),
        (b'{"index":"a"} // behind', {"index": "a"}),
        (b'{"index":"a"} xyz', {"index": "a"}),
        (b'{/* "index":"b", */"index":"a"}', {"index": "a"}),
        (b'\xef\xbb\xbf{"index":"\xc1\xa1"}', {"index": "a"}),
        ('{"index":"a"}'.encode("utf-16-le"), {"index": "a"}),
    ],
)
def test_headers_are_read_as_the_backends_do(header: bytes, meta: dict[str, str]) -> None:
    """In all the ways they take one, and it stays as it was written."""
    (item,) = read_msearch(header + b"\n{}\n", skips_first=False)
    assert (item.meta, item.header, item.unread) == (meta, header, "")


@pytest.mark.parametrize("header", [b'{"index":"\\ud83d"}', b'{"a":1e400}'])
def test_a_header_that_backends_take_says_why_it_is_not_read(header: bytes) -> None:
    """With its line; the others are read."""
    first, second = read_msearch(b"{}\n{}\n" + header + b"\n{}\n")
    assert first.unread == ""
    assert second.unread.startswith("the header in line 3 cannot be read")


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"x",
        b'{"index":"a","index":"b"}',
        b'{"a":NaN}',
        b'{"a":"\xff"}',
        b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}",
    ],
)
def test_a_header_that_backends_refuse_is_none(header: bytes) -> None:
    """They refuse all searches for it."""
    with pytest.raises(MsearchSyntaxError, match="line 3: the header cannot be read"):
        read_msearch(b"{}\n{}\n" + header + b"\n{}\n")


def test_the_first_line_of_all_may_be_empty() -> None:
    """To OpenSearch it is none then; to Elasticsearch it is a header."""
    body = b'\n{"index":"a"}\n{"size":0}\n{}\n'
    assert [item.meta for item in read_msearch(body)] == [{"index": "a"}]
    skipped = read_msearch(body, skips_first=False)
    assert [item.meta for item in skipped] == [{}, {"size": 0}]


LINE = st.sampled_from(
    [b"", b"{}", b"[]", b"{", b'{"index":{}}', b'{"delete":{}}', b'{"index":1}', b" ", b"\xff"]
)


@given(st.lists(LINE, max_size=8), st.booleans())
def test_any_lines_are_read_or_refused(lines: list[bytes], ended: bool) -> None:
    """And what is read is written as it was, but for empty lines between items of a bulk."""
    body = b"\n".join(lines) + (b"\n" if ended else b"")
    try:
        items = read_bulk(body)
    except BulkSyntaxError:
        items = []
    for item in items:
        assert item.header in body
    try:
        searches = read_msearch(body, skips_first=False)
    except MsearchSyntaxError:
        return
    assert body.startswith(write_msearch(searches))
