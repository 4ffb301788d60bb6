"""What is refused because it names the store, and what only looks like it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from proxy.http.errors import ErrorResponse
from proxy.protocol.bodies.members import WINDOW
from proxy.protocol.reach import LEFT_OUT
from proxy.protocol.store_guard import (
    can_expand,
    can_name_store,
    check_body,
    check_bulk,
    check_expansion,
    check_names,
    check_patterns,
    check_target,
    check_unread,
    format_can_name_store,
    named_in,
)
from proxy.protocol.target import read_target


def is_refused(check: Callable[[], object]) -> bool:
    """Whether the check refuses; it does so with a 403 that says where definitions are managed."""
    try:
        check()
    except ErrorResponse as error:
        said = (error.status, error.type, "/_pipeline and /_udf" in error.reason)
    else:
        return False
    assert said == (403, "security_exception", True)
    return True


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        # the name itself, wherever a path or `index` has names
        ("/.querymill/_search", True),
        ("/a,.querymill/_search", True),
        ("/%2Equerymill/_doc/1", True),
        ("/.querymill", True),
        ("/_cat/indices/.querymill", True),
        ("/_search?index=.querymill", True),
        ("/_search?index=a,.querymill", True),
        ("/_cluster/state/_all/.querymill", True),
        ("/_snapshot/r/s/.querymill", True),
        ("/other:.querymill/_search", True),
        ("/%3C.querymill%3E/_search", True),
        ("/.querymill::data/_search", True),
        ("/_unheard_of/.querymill", True),
        # what is not the store's name
        ("/.querymill-2/_search", False),
        ("/querymill/_search", False),
        ("/.QUERYMILL/_search", False),
        ("/a/_doc/.querymill", False),
        ("/a/_search?q=.querymill", False),
        ("/a/_search?index=.querymill", False),
        ("/_search/scroll/.querymill", False),
        # patterns are narrowed where that is possible
        ("/.*/_search", False),
        ("/*/_search?expand_wildcards=all", False),
        ("/_search?expand_wildcards=all", False),
        ("/*:.q*/_search?expand_wildcards=hidden", True),
        ("/_reindex?expand_wildcards=all", True),
    ],
)
def test_targets(target: str, refused: bool) -> None:
    """A path or parameter that names the store is refused; an id or a text may be any."""
    assert is_refused(lambda: check_target(read_target("GET", target))) is refused


@pytest.mark.parametrize(
    ("names", "expand", "refused"),
    [
        (["a"], None, False),
        (["*"], None, False),
        (["*"], "open,closed", False),
        (["*"], "hidden", True),
        (["*"], "all", True),
        ([], "all", True),
        ([], None, False),
        (["a*"], "all", False),
        (["*mill"], "all", True),
        (["_all"], "hidden", True),
        (["*", LEFT_OUT], "all", False),
    ],
)
def test_expansion(names: list[str], expand: str | None, refused: bool) -> None:
    """Patterns that hidden names fit mean the store; without names, all are meant."""
    assert is_refused(lambda: check_expansion(names, expand)) is refused


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        (".querymill", True),
        ("a,.querymill", True),
        (".q*", True),
        (".*", True),
        ("x:.q*", True),
        ("<.querymill>", True),
        ("*", False),
        ("_all", False),
        ("q*", False),
        (".other*", False),
        ("-.q*", False),
        ("", False),
        (1, False),
        (None, False),
        ([".querymill"], False),
    ],
)
def test_names_of_a_body(name: object, refused: bool) -> None:
    """Names, and patterns with a dot; what is no text is no name."""
    assert is_refused(lambda: check_names(["a", name])) is refused


@pytest.mark.parametrize(
    ("patterns", "refused"),
    [
        ("*", False),
        (["*"], False),
        (".q*", True),
        (["a*", ".querymill"], True),
        (["*mill"], True),
        ("a*,.*", True),
        ([".other-*"], False),
        (["_all"], True),
        (None, False),
        ([1], False),
    ],
)
def test_patterns_of_a_template(patterns: object, refused: bool) -> None:
    """Those for all are not for hidden indices; any other that fits would be for the store."""
    assert is_refused(lambda: check_patterns(patterns)) is refused


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b'{"index":".querymill"}', True),
        (b'{"indices":["a",".querymill"]}', True),
        (b'{"source":{"index":{"x":".querymill"}}}', True),
        (b'{"_index":".querymill"}', True),
        (b'{"index_pattern":".q*"}', True),
        (b'{"index":"\\u002equerymill"}', True),
        (b'{"\\u0069ndex":".querymill"}', True),
        (b'{"index":/* */".querymill"}', True),
        ('{"index":".querymill"}'.encode("utf-16-le"), True),
        ('{"index":".querymill"}'.encode("utf-32-be"), True),
        (b'\xef\xbb\xbf{"index":".querymill"}', True),
        (b'{"index":"\xc0\xaequerymill"}', True),
        (b'{"index":"\xe0\x80\xaequerymill"}', True),
        (b'{"index":".querymill"', True),
        (b'{"query":{"match":{"title":".querymill"}}}', False),
        (b'{"index":".querymill-2"}', False),
        (b'{"indexes":".querymill"}', False),
        (b'{"index":"*"}', False),
        (b'{".querymill":"index"}', False),
        (b"{}", False),
        (b"", False),
    ],
)
def test_bodies(body: bytes, refused: bool) -> None:
    """A member that holds index names, at any depth and in every spelling the backend reads."""
    assert is_refused(lambda: check_body(body)) is refused


DOCUMENT = b'{"index":{"_index":".querymill"}}'


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([b'{"index":{"_index":"a"}}', DOCUMENT], False),
        ([b'{"index":{"_index":".querymill"}}', b"{}"], True),
        ([b'{"create":{"_index":"a"}}', DOCUMENT, b'{"delete":{"_index":".querymill"}}'], True),
        ([b'{"delete":{"_index":"a"}}', DOCUMENT], True),
        ([b'{"delete":{"_index":"a"}}', b'{"index":{"_index":"a"}}', DOCUMENT], False),
        ([b'{"update":{"_index":"a"}}', DOCUMENT], False),
        ([b"", b'{"index":{"_index":".querymill"}}', b"{}"], True),
        ([b'// "x"', b'{"index":{"_index":".querymill"}}', b"{}"], True),
        ([b'{"index":{"_index":"\\u002equerymill"}}', b"{}"], True),
        ([b'{"index":{"_id":".querymill","routing":".q*"}}', b"{}"], False),
        ([b'{"index":{"_id":".querymill","_index":".querymill"}}', b"{}"], True),
        ([b'{"index":{}}', b'{"text":".querymill"}'], False),
    ],
)
def test_bulks(lines: list[bytes], refused: bool) -> None:
    """Actions are looked at, documents are not: whether a line is one depends on that before it."""
    assert is_refused(lambda: check_bulk(b"\n".join(lines) + b"\n")) is refused


@pytest.mark.parametrize("size", [0, 5_000, WINDOW - 4, WINDOW, 3 * WINDOW])
@pytest.mark.parametrize(
    ("sign", "by_json", "by_format"),
    [
        (b"querymill", True, True),
        (b"*", True, True),
        (b"<", True, True),
        (b"\\u002e", True, True),
        (b"\xc0\xae", True, True),
        (b"\xe0\x80\xae", True, True),
        (b"\xe0\xa0\x80", False, False),
        (b"\0", True, True),
        (b"query", False, False),
        (b"\\n", False, True),
        (b"\x7f", False, True),
    ],
)
def test_what_can_name_the_store(size: int, sign: bytes, by_json: bool, by_format: bool) -> None:
    """Its name, patterns, date math and other spellings of them, wherever they stand in a body."""
    for body in (b"x" * size + sign, sign + b"x" * size, b"x" * size + sign + b"x" * size):
        assert can_name_store(body) is by_json
        assert format_can_name_store(body) is by_format


@pytest.mark.parametrize(
    ("body", "can"),
    [
        (b'{"expand_wildcards":"all"}', True),
        (b'{"ex\\u0070and_wildcards":"all"}', True),
        (b"e\0x\0p\0", True),
        (b'{"index":"*"}', False),
        (b"", False),
    ],
)
def test_what_can_expand(body: bytes, can: bool) -> None:
    """The word that says which indices patterns mean, or a spelling that could hide it."""
    assert can_expand(body) is can


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"\x85index.querymill", True),
        (b"<.q{now{'uerymill'}}>", True),
        (b"<\\.q>", True),
        (b"expand_wildcards", True),
        (b"Expand", True),
        (b"*", False),
        (b"<plain>", False),
        (b"title", False),
    ],
)
def test_formats_that_are_not_read(body: bytes, refused: bool) -> None:
    """What could be the store's name there is taken for it; patterns alone do not reach it."""
    assert is_refused(lambda: check_unread(body)) is refused


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"index": "a,b"}, ["a", "b"]),
        ({"actions": [{"add": {"index": "a", "alias": "b"}}]}, ["a"]),
        ({"source": {"index": ["a", "b"]}, "dest": {"index": "c"}}, ["a", "b", "c"]),
        ({"docs": [{"_index": "a", "_id": "1"}]}, ["a"]),
        ({"index": ",,"}, []),
        ({"title": "a"}, []),
    ],
)
def test_the_names_in_a_body(body: object, named: list[str]) -> None:
    """One by one, in the order in which they stand."""
    assert named_in(json.dumps(body).encode()) == named
