"""Which header fields go on, and the head of a request as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.headers import Headers, as_fields, decode, encode, request_headers, response_headers
from proxy.http.origin import Origin
from proxy.upstream.request_head import BadHeadError, request_head

TOKENS = st.text("abcdefXYZ-09", min_size=1, max_size=12).map(str.encode)
VALUES = st.binary(max_size=20).filter(lambda v: not any(b < 32 or b == 127 for b in v))
HOP = {
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate",
    b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade",
}  # fmt: skip


@given(st.lists(st.tuples(TOKENS, VALUES), max_size=12))
def test_end_to_end_fields_are_kept_as_they_are(fields: list[tuple[bytes, bytes]]) -> None:
    """Without a Connection field nothing is lost, moved or respelt."""
    kept = request_headers(fields)
    assert [(encode(n), encode(v)) for n, v in kept.items()] == [
        (n, v) for n, v in fields if n.lower() not in HOP | {b"host", b"expect"}
    ]


@given(st.binary(max_size=40))
def test_text_stands_for_bytes(value: bytes) -> None:
    """Decoding and encoding a value gives back its bytes, whatever they are."""
    assert encode(decode(value)) == value


@pytest.mark.parametrize("name", sorted(HOP))
def test_hop_by_hop_fields_go_nowhere(name: bytes) -> None:
    """Fields between two hops are taken out in both directions, in any case."""
    fields = [(name.title(), b"x"), (b"A", b"b"), (name.upper(), b"y")]
    assert list(request_headers(fields)) == list(response_headers(fields)) == ["A"]


def test_fields_named_by_connection_go_nowhere() -> None:
    """Every field that any Connection field names is taken out, except those that frame a body."""
    fields = [
        (b"X-One", b"1"),
        (b"Connection", b"close, X-ONE"),
        (b"connection", b" x-two ,Content-Length,content-type"),
        (b"x-two", b"2"),
        (b"Content-Length", b"3"),
        (b"Content-Type", b"t"),
        (b"X-Three", b"3"),
    ]
    kept = response_headers(fields)
    assert list(kept) == ["Content-Length", "Content-Type", "X-Three"]


def test_host_and_expect_stay_with_the_proxy() -> None:
    """A request's Host and Expect are not for the backend; a response may have such fields."""
    fields = [(b"Host", b"x"), (b"Expect", b"100-continue")]
    assert list(request_headers(fields)) == []
    assert list(response_headers(fields)) == ["Host", "Expect"]


def test_head() -> None:
    """The head is the request line, Host, and the fields in order; a length keeps its place."""
    headers = Headers([("a", "1"), ("content-LENGTH", "9"), ("B", "\udce9")])
    assert request_head("PUT", "/x?", "h:1", as_fields(headers), 2) == (
        b"PUT /x? HTTP/1.1\r\nHost: h:1\r\na: 1\r\ncontent-LENGTH: 2\r\nB: \xe9\r\n\r\n"
    )
    assert request_head("PUT", "/", "h", (), 2).endswith(b"Content-Length: 2\r\n\r\n")


def test_head_of_a_chunked_or_missing_body() -> None:
    """A chunked body has no length, a missing one no framing at all."""
    headers = Headers([("Content-Length", "9"), ("a", "1")])
    assert request_head("PUT", "/", "h", as_fields(headers), "chunked") == (
        b"PUT / HTTP/1.1\r\nHost: h\r\na: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    head = request_head("GET", "/", "h", as_fields(headers), None)
    assert head == b"GET / HTTP/1.1\r\nHost: h\r\na: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "target", "name", "value"),
    [
        ("GET ", "/", "a", "b"),
        ("", "/", "a", "b"),
        ("GET", "", "a", "b"),
        ("GET", "/ x", "a", "b"),
        ("GET", "/\tx", "a", "b"),
        ("GET", "/\r\nx", "a", "b"),
        ("GET", "/", "a", "b\r\nc: d"),
        ("GET", "/", "a", "b\nc"),
        ("GET", "/", "a", "b\rc"),
        ("GET", "/", "a", "\x00"),
        ("GET", "/", "a\r\n", "b"),
        ("GET", "/", "a", "\x7f"),
    ],
)
def test_head_that_would_split(method: str, target: str, name: str, value: str) -> None:
    """Nothing that could make two messages of one is ever written."""
    with pytest.raises(BadHeadError):
        request_head(method, target, "h", as_fields(Headers({name: value})), None)


@given(st.text(max_size=30), st.text(max_size=10), st.text(max_size=30))
def test_head_is_one_message_or_refused(target: str, name: str, value: str) -> None:
    """Whatever the parts, a head that is written has exactly the lines it was given."""
    try:
        head = request_head("GET", target, "h", as_fields(Headers({name: value})), None)
    except (BadHeadError, UnicodeEncodeError):
        return
    lines = head.split(b"\r\n")
    assert len(lines) == 5 - (name.lower() == "content-length")
    assert lines[0].count(b" ") == 2
    assert b"\n" not in head.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    ("url", "authority", "text"),
    [
        ("http://a", "a", "http://a"),
        ("http://a:80/", "a", "http://a"),
        ("http://a:9200", "a:9200", "http://a:9200"),
        ("https://A.example:443", "a.example", "https://a.example"),
        ("http://[::1]:9200", "[::1]:9200", "http://[::1]:9200"),
    ],
)
def test_origins(url: str, authority: str, text: str) -> None:
    """An origin knows what to write into Host, and how to write itself."""
    origin = Origin.parse(url)
    assert (origin.authority, str(origin)) == (authority, text)
