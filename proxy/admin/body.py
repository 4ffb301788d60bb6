"""The bodies of administration calls: told apart by media type, made into JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Literal

from proxy.formats.convert import FormatError, to_json
from proxy.http.errors import ErrorResponse
from proxy.http.media_type import media_type
from proxy.server.exchange import Exchange
from proxy.traffic.request_body import inflated

READ: Final[Mapping[str, Literal["json", "yaml", "cbor"]]] = {
    "application/json": "json",
    "text/json": "json",
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
    "text/x-yaml": "yaml",
    "application/cbor": "cbor",
}
# What programs send where nobody chose a type, and a client for lines of one object.
_UNCHOSEN: Final = frozenset(
    {
        "",
        "*/*",
        "application/*",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/x-ndjson",
        "text/plain",
    }
)
_SHOWN: Final = 200


async def json_body(exchange: Exchange, limit: int) -> bytes:
    """The body without its Content-Encoding, as JSON; YAML and CBOR are turned into it.

    Raises `ErrorResponse`: 415 for any other media type, 400 for a body that is not valid in its
    own or has binary data, which would be taken for text, and 413 above `limit` bytes.
    """
    content_type = exchange.headers.get("Content-Type", "")
    kind = media_type(content_type)
    format = "json" if kind in _UNCHOSEN else READ.get(kind)
    if format is None:
        raise unsupported(content_type)
    body = await inflated(exchange, limit)
    if format == "json" or not body.strip():
        return body
    try:
        return await asyncio.to_thread(to_json, body, format, binary=False)
    except FormatError as error:
        raise ErrorResponse(400, "parse_exception", str(error)) from error


def unsupported(content_type: str, besides: str = "") -> ErrorResponse:
    """A 415 that names the media type and those that are taken, `besides` first."""
    reason = (
        f"Content-Type header [{content_type[:_SHOWN]}] is not supported; send {besides}"
        "application/json, application/yaml or application/cbor"
    )
    return ErrorResponse(415, "media_type_header_exception", reason)
