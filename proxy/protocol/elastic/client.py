"""What an Elasticsearch client needs to work unchanged on an OpenSearch backend.

Such a client sends media types of its own (``application/vnd.elasticsearch+json`` with a parameter
``compatible-with=9``), which OpenSearch refuses with 406, and gives up on a server that does not
name its product. With ``compat = auto`` and an OpenSearch backend the request goes on with plain
media types, and the response comes back as the client asked for it, with the product header.
Nothing else is touched, and nothing at all for another client or backend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from proxy.http.headers import Headers
from proxy.http.media_type import VENDOR, is_vendor, plain_media_type

PRODUCT_HEADER: Final = "X-Elastic-Product"
PRODUCT: Final = "Elasticsearch"
CLIENT_META_HEADER: Final = "x-elastic-client-meta"

_VERSION: Final = re.compile(r"[0-9]+", re.ASCII)
_OLD: Final = re.compile(r"es=7\.", re.ASCII)


@dataclass(frozen=True, slots=True)
class ElasticClient:
    """An Elasticsearch client, known by its headers.

    `version` is the N of ``compatible-with=N`` ("" where it sent none); `vendor` are the subtypes
    it wants to see in vendor form, such as ``json`` and ``x-ndjson``. `is_old` is one of 7.x, which
    asks whether the server is Elasticsearch before anything else.
    """

    version: str
    vendor: frozenset[str]
    is_old: bool = False

    def vendor_type(self, media_type: str) -> str:
        """Return the vendor form of `media_type`, or `media_type` where the client wants that."""
        kind, _, subtype = media_type.partition(";")[0].strip().lower().partition("/")
        if kind != "application" or subtype not in self.vendor:
            return media_type
        suffix = f";compatible-with={self.version}" if self.version else ""
        return f"application/vnd.elasticsearch+{subtype}{suffix}"


def elastic_client(headers: Mapping[str, str]) -> ElasticClient | None:
    """Return who sent a request with these headers, or None if it is no Elasticsearch client."""
    accept = headers.get("Accept", "")
    content_type = headers.get("Content-Type", "")
    if not is_vendor(accept) and not is_vendor(content_type):
        meta = headers.get(CLIENT_META_HEADER)
        return None if meta is None else ElasticClient("", frozenset(), _is_old(meta))
    # What it accepts counts; what it sent is the second best sign of what it wants back.
    found = list(VENDOR.finditer(accept)) or list(VENDOR.finditer(content_type))
    subtypes = {match["subtype"].lower() for match in found}
    if not accept:
        # A bulk body is NDJSON, its response is JSON.
        subtypes.add("json")
    versions = (_VERSION.search(match["version"] or "") for match in found)
    version = next((match[0] for match in versions if match), "")
    is_old = version == "7" or _is_old(headers.get(CLIENT_META_HEADER, ""))
    return ElasticClient(version, frozenset(subtypes), is_old)


def _is_old(meta: str) -> bool:
    """Whether what a client tells of itself, such as ``es=7.17.12,py=3.11.7``, is of 7.x."""
    return _OLD.match(meta) is not None


def plain_media_types(headers: Headers) -> Headers:
    """Return request headers with the vendor media types in plain form."""
    return Headers(
        (name, plain_media_type(value) if name.lower() in ("accept", "content-type") else value)
        for name, value in headers.items()
    )


def vendor_response(headers: Headers, client: ElasticClient) -> Headers:
    """Return response headers as `client` expects them from Elasticsearch."""
    pairs: Iterable[tuple[str, str]] = (
        (name, client.vendor_type(value) if name.lower() == "content-type" else value)
        for name, value in headers.items()
    )
    response = Headers(pairs)
    if PRODUCT_HEADER not in response:
        response[PRODUCT_HEADER] = PRODUCT
    return response
