"""What is changed for an Elasticsearch client on OpenSearch, and for nobody else."""

from __future__ import annotations

import pytest

from proxy.http.headers import Headers
from proxy.http.media_type import plain_media_type
from proxy.protocol.elastic.client import elastic_client, plain_media_types, vendor_response
from tests.proxy.conftest import StartBare
from tests.proxy.wire import ScriptedBackend, http_response, request

V9 = "application/vnd.elasticsearch+json; compatible-with=9"
ELASTICSEARCH = b'{"version": {"number": "9.5.0"}}'


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (V9, "application/json"),
        ("application/vnd.elasticsearch+json;compatible-with=8", "application/json"),
        ("application/vnd.elasticsearch+x-ndjson; compatible-with=9", "application/x-ndjson"),
        ("application/vnd.elasticsearch+cbor", "application/cbor"),
        (
            "application/vnd.elasticsearch+vnd.mapbox-vector-tile; compatible-with=9",
            "application/vnd.mapbox-vector-tile",
        ),
        (f"text/plain,{V9}", "text/plain,application/json"),
        (f"{V9}; charset=utf-8", "application/json; charset=utf-8"),
        ("Application/VND.Elasticsearch+JSON;Compatible-With=9", "application/JSON"),
        ("application/json", "application/json"),
        ("", ""),
    ],
)
def test_plain_media_type(value: str, plain: str) -> None:
    """Vendor types lose their prefix and parameter; everything else stays."""
    assert plain_media_type(value) == plain


def test_only_two_fields_are_made_plain() -> None:
    """A vendor type in another field is left alone."""
    headers = Headers([("accept", V9), ("Content-Type", V9), ("X-Note", V9)])
    assert list(plain_media_types(headers).items()) == [
        ("accept", "application/json"),
        ("Content-Type", "application/json"),
        ("X-Note", V9),
    ]


@pytest.mark.parametrize(
    ("fields", "media_type", "expected"),
    [
        ({"Accept": V9}, "application/json; charset=UTF-8",
         "application/vnd.elasticsearch+json;compatible-with=9"),
        ({"Content-Type": "application/vnd.elasticsearch+x-ndjson; compatible-with=8"},
         "application/json", "application/vnd.elasticsearch+json;compatible-with=8"),
        ({"Accept": "application/vnd.elasticsearch+json"}, "application/json",
         "application/vnd.elasticsearch+json"),
        ({"Accept": f"text/plain,{V9}"}, "text/plain; charset=UTF-8", "text/plain; charset=UTF-8"),
        ({"Accept": "application/json", "Content-Type": V9}, "application/yaml",
         "application/yaml"),
        ({"x-elastic-client-meta": "es=9.5"}, "application/json", "application/json"),
    ],
)  # fmt: skip
def test_vendor_response(fields: dict[str, str], media_type: str, expected: str) -> None:
    """A response gets the vendor form of what the client asked for, and the product header once."""
    client = elastic_client(Headers(fields))
    assert client is not None
    http_response = vendor_response(Headers({"content-type": media_type, "a": "b"}), client)
    assert dict(http_response) == {
        "content-type": expected,
        "a": "b",
        "X-Elastic-Product": "Elasticsearch",
    }
    assert vendor_response(http_response, client) == http_response


@pytest.mark.parametrize("fields", [{}, {"Accept": "*/*"}, {"Content-Type": "application/json"}])
def test_other_clients(fields: dict[str, str]) -> None:
    """A client without the signs of Elasticsearch's is none."""
    assert elastic_client(Headers(fields)) is None


async def ask(start_proxy: StartBare, *fields: str, **values: object) -> dict[bytes, bytes]:
    """The fields of the response to a search with these fields."""
    client = await (await start_proxy(**values)).client()
    got = await client.ask(request("/_search", "POST", b"{}", *fields))
    return dict(got.fields)


async def test_elasticsearch_client_on_opensearch(
    opensearch_like: ScriptedBackend, start_bare: StartBare
) -> None:
    """Vendor types go plain to OpenSearch, and come back as the client asked, with the product."""
    fields = await ask(start_bare, f"Accept: {V9}", f"Content-Type: {V9}")
    sent = opensearch_like.received[-1]
    assert (sent.get("accept"), sent.get("content-type")) == (b"application/json",) * 2
    assert fields == {
        b"content-type": b"application/vnd.elasticsearch+json;compatible-with=9",
        b"X-Elastic-Product": b"Elasticsearch",
        b"Content-Length": b"2",
    }


async def test_product_is_asked_for_once(
    opensearch_like: ScriptedBackend, start_bare: StartBare
) -> None:
    """The backend's product is looked up at the first such client, then remembered."""
    client = await (await start_bare()).client()
    for _ in range(3):
        await client.ask(request("/a", "GET", b"", f"Accept: {V9}"))
    assert opensearch_like.targets == ["/", "/a", "/a", "/a"]


async def test_other_client_on_opensearch(
    opensearch_like: ScriptedBackend, start_bare: StartBare
) -> None:
    """Another client's fields pass untouched, and nobody asks what the backend is."""
    fields = await ask(start_bare, "Content-Type: application/json")
    assert fields == {b"content-type": b"application/json", b"Content-Length": b"2"}
    assert opensearch_like.targets == ["/_search"]


async def test_elasticsearch_client_on_elasticsearch(
    backend: ScriptedBackend, start_bare: StartBare
) -> None:
    """On Elasticsearch its own client's fields pass untouched."""
    backend.replies["/"] = http_response(
        ELASTICSEARCH, "200 OK", "X-Elastic-Product: Elasticsearch"
    )
    fields = await ask(start_bare, f"Accept: {V9}")
    assert backend.received[-1].get("accept") == V9.encode()
    assert fields == {b"Content-Length": b"2"}


async def test_compat_off(opensearch_like: ScriptedBackend, start_bare: StartBare) -> None:
    """Switched off, nothing is ever touched."""
    fields = await ask(start_bare, f"Accept: {V9}", compat="off")
    assert opensearch_like.received[-1].get("accept") == V9.encode()
    assert fields == {b"content-type": b"application/json", b"Content-Length": b"2"}
    assert opensearch_like.targets == ["/_search"]
