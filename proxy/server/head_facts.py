"""What the header fields of a request say about it, found out once for equal ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from multidict import CIMultiDictProxy

from proxy.http.errors import ErrorResponse, MalformedRequest
from proxy.http.headers import NAMES_PIPELINES, Fields, FieldsMemory, request_fields
from proxy.protocol.elastic.client import ElasticClient, elastic_client

_NONE: Final[list[str]] = []
_PLAIN_JSON: Final = frozenset({"application/json", "application/json; charset=UTF-8"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFacts:
    """The facts.

    `length` is the body's in bytes, None where it is chunked, 0 where there is none. `expects` says
    that the client waits with its body until it is told to go on, `has_via` that it came by a
    proxy, `names_pipelines` that the header field for that is there, `is_plain_json` that a body is
    JSON as it is and says so in one of the usual ways. `client` is the Elasticsearch client that
    sent this, None where another one did. `sent` are the fields that the backend gets.
    """

    host: str
    length: int | None
    expects: bool
    has_via: bool
    names_pipelines: bool
    is_plain_json: bool
    client: ElasticClient | None
    sent: Fields


def head_facts(raw: Fields, headers: CIMultiDictProxy[str], *, is_new: bool) -> HeadFacts:
    """Read the fields of a request, `raw` and as `headers`; `is_new` is HTTP/1.1.

    Raises MalformedRequest for a body that could be framed in two ways, ErrorResponse (417) for an
    expectation that nobody meets.
    """
    key = (raw, is_new)
    return _known.get(key) or _known.keep(key, _read(raw, headers, is_new))


_known: Final = FieldsMemory[HeadFacts]()


def _read(raw: Fields, headers: CIMultiDictProxy[str], is_new: bool) -> HeadFacts:
    length = _length(headers, is_new)
    return HeadFacts(
        host=headers.get("Host", ""),
        length=length,
        expects=_expects(headers, is_new) and length != 0,
        has_via="Via" in headers,
        names_pipelines=NAMES_PIPELINES in headers,
        is_plain_json=(
            headers.get("Content-Type") in _PLAIN_JSON and "Content-Encoding" not in headers
        ),
        client=elastic_client(headers),
        sent=request_fields(raw),
    )


def _length(headers: CIMultiDictProxy[str], is_new: bool) -> int | None:
    coding = headers.get("Transfer-Encoding")
    if coding is None:
        return int(headers.get("Content-Length", 0))
    # The parser undoes "chunked" at the end of any list, and whoever gets the body after us
    # would not know of what stands before it.
    if coding.lower() != "chunked" or not is_new:
        raise MalformedRequest("Transfer-Encoding can only be chunked, and needs HTTP/1.1")
    return None


def _expects(headers: CIMultiDictProxy[str], is_new: bool) -> bool:
    expect = headers.getall("Expect", _NONE)
    if not expect or not is_new:
        return False
    if any(value.lower() != "100-continue" for value in expect):
        raise ErrorResponse(
            417,
            "illegal_argument_exception",
            "the header Expect can only be 100-continue",
            close=True,
        )
    return True
