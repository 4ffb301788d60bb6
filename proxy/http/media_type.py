"""Media types: told apart, with or without Elasticsearch's vendor form."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

VENDOR: Final = re.compile(
    r"application/vnd\.elasticsearch\+(?P<subtype>[a-z0-9.+-]+)"
    r"(?P<version>\s*;\s*compatible-with\s*=\s*\"?[0-9]{1,4}\"?)?",
    re.ASCII | re.IGNORECASE,
)

# What both products write before a subtype of their own.
_ANY_VENDOR: Final = re.compile(r"application/vnd\.(?:elasticsearch|opensearch)\+")
_JSON_TYPES: Final = frozenset({"application/json", "text/json"})
_NDJSON_TYPES: Final = frozenset({"application/x-ndjson", "application/x-jsonlines"})


def plain_media_type(value: str) -> str:
    """Return a Content-Type or Accept value with its vendor media types in plain form."""
    return VENDOR.sub(lambda match: f"application/{match['subtype']}", value)


def media_type(content_type: str) -> str:
    """Return ``type/subtype`` in lower case, in plain form, without parameters."""
    return _media_type(content_type) if len(content_type) <= _SHORT else _read(content_type)


def _read(content_type: str) -> str:
    return _ANY_VENDOR.sub("application/", content_type.partition(";")[0].strip().lower(), count=1)


_SHORT: Final = 200
# Clients and backends send the same few all day.
_media_type = lru_cache(512)(_read)


def is_vendor(value: str) -> bool:
    """Whether a Content-Type or Accept value has a media type of Elasticsearch's own."""
    return "vnd.elasticsearch+" in value.lower()


def is_json(content_type: str) -> bool:
    """Whether a body of this Content-Type is one JSON value."""
    return media_type(content_type) in _JSON_TYPES


def is_ndjson(content_type: str) -> bool:
    """Whether a body of this Content-Type is lines of JSON, as bulk and msearch take it."""
    return media_type(content_type) in _NDJSON_TYPES
