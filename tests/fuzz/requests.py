"""Harnesses of a request's head: its target, header fields, and how it is written again."""

from __future__ import annotations

from typing import Final

from proxy.backend.resolver import resolve_target
from proxy.formats.convert import as_json_type, format_named, format_of
from proxy.http.encoding import accepts_gzip
from proxy.http.errors import MalformedRequest
from proxy.http.headers import (
    Fields,
    as_fields,
    encode,
    request_fields,
    request_headers,
    response_headers,
)
from proxy.http.media_type import is_json, is_ndjson
from proxy.http.query_string import QueryString
from proxy.protocol.elastic.client import elastic_client, plain_media_types, vendor_response
from proxy.protocol.search_params import dump, merge_query, merge_url
from proxy.protocol.source_parameter import taken_out
from proxy.protocol.store_guard import check_target
from proxy.protocol.target import read_target
from proxy.server.exchange import origin_form
from proxy.upstream.request_head import BadHeadError, Framing, request_head
from tests.fuzz.harness import Harness, declared, refused

# What the HTTP parser lets through in a request line.
_VISIBLE: Final = bytes(range(0x21, 0x7F))
_INVISIBLE: Final = bytes(set(range(256)) - set(_VISIBLE))


def _line(data: bytes) -> tuple[str, str]:
    """A method and a request target, of the characters that can reach the parsers."""
    method, _, target = data.partition(b" ")
    return (
        method.translate(None, _INVISIBLE).decode() or "GET",
        "/" + target.translate(None, _INVISIBLE + b"#").decode().removeprefix("/"),
    )


def run_target(data: bytes) -> None:
    """``METHOD target``: read, guarded, resolved, and as it goes on to the backend."""
    method, raw = _line(data)
    declared((MalformedRequest,), origin_form, raw[1:], "127.0.0.1:9280")
    target = read_target(method, raw)
    query = target.query
    assert target.path == raw.partition("?")[0]
    assert query.after(target.path) == raw
    assert query.without(()).raw == query.raw
    assert all(query.get(name) is not None for name in query.names())
    added = query.with_parameter("a b", "c&,\u00e9")
    assert added.get("a b") == "c&,\u00e9"
    assert added.without({"a b"}).get("a b") is None
    refused(check_target, target)
    resolve_target(target.names, query.get("expand_wildcards"))
    for merge in (merge_url, merge_query):
        merged, left = merge({"query": {}}, query)
        dump(merged).encode()
        assert left.names() <= query.names()
    _check_parts(left, query)
    source, shorter = taken_out(target, None, "")
    assert source.put_back(shorter.line) == target.line
    # Where it could split the message the head is refused, and nothing here can.
    head = declared((BadHeadError,), request_head, method, raw, "localhost", [], None)
    assert head is None or head.count(b"\n") == 3


def _check_parts(left: QueryString, whole: QueryString) -> None:
    pieces = whole.raw.replace(";", "&").split("&")
    for piece in left.raw.replace(";", "&").split("&"):
        assert piece in pieces or not left.raw


def run_head(data: bytes) -> None:
    """Lines of a head: what is written has as many lines, or is refused."""
    lines = data.split(b"\n")
    method, _, target = lines[0].partition(b" ")
    raw = [(name, value) for name, _, value in (line.partition(b":") for line in lines[1:])]
    fields = request_fields(raw)
    assert list(as_fields(request_headers(raw))) == list(fields)
    _check_hop_by_hop(raw, fields)
    framings: tuple[Framing, ...] = (None, 0, 7, "chunked")
    for framing in framings:
        head = declared(
            (BadHeadError,),
            request_head,
            _text(method),
            _text(target),
            "127.0.0.1:9200",
            fields,
            framing,
        )
        if head is None:
            continue
        written = head.split(b"\r\n")
        assert written[0] == b"%b %b HTTP/1.1" % (method, target)
        assert written[-2:] == [b"", b""]
        assert b"\n" not in b"".join(written)
        lengths = [line for line in written if line.lower().startswith(b"content-length:")]
        assert len(lengths) == isinstance(framing, int)
        for line in written[2:-2]:
            name, _, value = line.partition(b": ")
            ours = (b"content-length", b"transfer-encoding")
            assert name.lower() in ours or (name, value) in raw


def _check_hop_by_hop(raw: Fields, kept: Fields) -> None:
    """What a Connection field names is for this connection alone."""
    connections = [value for name, value in raw if name.lower() == b"connection"]
    named = {part.strip().lower() for value in connections for part in value.split(b",")}
    framing = {b"content-length", b"content-type", b"content-encoding", b"host"}
    assert not any(name.lower() in named - framing | {b"connection", b"te"} for name, _ in kept)


def _text(part: bytes) -> str:
    return part.decode("utf-8", "surrogateescape")


def run_fields(data: bytes) -> None:
    """Header fields by what they mean: media types, codings, vendor forms."""
    raw = [
        (name, value.strip())
        for name, _, value in (line.partition(b":") for line in data.split(b"\n"))
    ]
    sent = request_headers(raw)
    response_headers(raw)
    plain = plain_media_types(sent)
    assert len(plain) == len(sent)
    client = elastic_client(sent)
    if client is not None:
        vendor_response(plain, client)
    for value in sent.values():
        encode(value)
        accepts_gzip(value)
        assert not (is_json(value) and is_ndjson(value))
        format_named(value)
        if format_of(value) is not None:
            assert format_of(as_json_type(value)) == "json"


_TARGET_TOKENS: Final = tuple(
    b"GET |POST |PUT |DELETE |HEAD |/_search|/_search/scroll|/_msearch|/_bulk|/_doc/1|/_mget|"
    b"/_update|/_pit|/_settings|/_all|/*|/a,b|/-a|/.querymill|.querymill|/%2Equerymill|%2c|%2f|"
    b"%3Clogs-%7Bnow%2Fd%7Byyyy.MM.dd%7C%2B12:00%7D%7D%3E|<a-{now/M-1M}>|<.query{now}>|::data|?|&|"
    b";|=|index=|source=|source_content_type=application/json|pipeline=|expand_wildcards=all|hidden|"
    b"q=|df=|size=|from=|sort=a:desc|_source=|_source_includes=|suggest_field=|suggest_size=|"
    b"track_total_hits=|filter_path=|+|%|{id}".split(b"|")
)
_HEAD_TOKENS: Final = tuple(
    b"Content-Length: 5|content-length:|Transfer-Encoding: chunked|Connection: close, te|Host: x|"
    b"\nX-A: b|\r\n\r\nGET / HTTP/1.1|\r|\n|\x0b|\x7f|: |:|HTTP/1.1|POST |\xc2\x85".split(b"|")
)
_FIELD_TOKENS: Final = tuple(
    b"\nAccept: |\nContent-Type: |\nAccept-Encoding: |\nx-elastic-client-meta: |application/|json|"
    b'vnd.elasticsearch+|vnd.opensearch+|x-ndjson|yaml|cbor|smile|*|;compatible-with=|8|"9"|;q=0|'
    b";q=0.000|gzip|identity|, |; |charset=utf-8".split(b"|")
)

HARNESSES: Final = (
    Harness("target", run_target, _TARGET_TOKENS),
    Harness("head", run_head, _HEAD_TOKENS),
    Harness("fields", run_fields, _FIELD_TOKENS),
)
