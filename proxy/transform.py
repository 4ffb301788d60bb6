"""What every request with a pipeline needs: its body as JSON, and a body put back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import orjson

from pipelines.payload import Payload
from proxy.bodies import inflate, is_json, is_ndjson
from proxy.errors import ErrorAnswer
from proxy.exchange import Exchange
from proxy.formats import FormatError, as_json_type, format_of, to_json
from proxy.headers import Headers, request_headers

# Above this, parsing would hold up the event loop for longer than a millisecond or so.
PARSE_INLINE = 256 * 1024


_PLAIN: Final = frozenset({"application/json", "application/json; charset=UTF-8"})


def is_plain_json(exchange: Exchange) -> bool:
    """Whether the body is JSON as it is, and says so in one of the usual ways."""
    headers = exchange.headers
    return headers.get("Content-Type") in _PLAIN and "Content-Encoding" not in headers


async def inflated(exchange: Exchange, limit: int) -> bytes:
    """The whole body without its Content-Encoding, inflated off the event loop."""
    raw = await exchange.body(limit)
    encoding = exchange.headers.get("Content-Encoding", "")
    if not encoding or not raw:
        return raw
    return await asyncio.to_thread(inflate, raw, encoding, limit)


async def read_json_body(exchange: Exchange, limit: int, *, lines: bool = False) -> bytes:
    """The inflated body of a request a pipeline has to read; empty if there is none.

    YAML and CBOR are turned into JSON, but not `lines`, which are NDJSON. Raises `ErrorAnswer`: 406
    for any other media type, 400 for a body that is not valid in its own.
    """
    if not exchange.has_body:
        return b""
    body = await inflated(exchange, limit)
    if not body:
        return b""
    content_type = exchange.headers.get("Content-Type", "")
    if is_json(content_type) or (lines and is_ndjson(content_type)):
        return body
    format = format_of(content_type)
    if lines or format not in ("yaml", "cbor"):
        instead = "application/x-ndjson" if lines else "application/yaml or application/cbor"
        reason = (
            f"Content-Type header [{content_type}] is not supported where a pipeline has to read"
            f" the body; send application/json, {instead}"
        )
        raise ErrorAnswer(406, "media_type_header_exception", reason)
    try:
        return await asyncio.to_thread(to_json, body, format)
    except FormatError as error:
        raise ErrorAnswer(400, "parse_exception", str(error)) from error


async def parse(body: bytes, what: str) -> Payload:
    """Parse a JSON object off the event loop if it is large; a 400 says where it is broken."""
    try:
        if len(body) > PARSE_INLINE:
            return await asyncio.to_thread(Payload.parse, body)
        return Payload.parse(body)
    except ValueError as error:
        if isinstance(error, orjson.JSONDecodeError):
            reason = f"the {what} is not valid JSON: {error}"
        else:
            reason = f"the {what} cannot be used: {error}"
        raise ErrorAnswer(400, "parse_exception", reason) from error


def new_body_headers(exchange: Exchange, content_type: str = "") -> Headers:
    """The request's headers for a body of ours: plain, in JSON, and of another length.

    The client's Content-Type stays if it is that of JSON, unless another one is given. An answer
    that would have come in the format of the client's body is asked for in it.
    """
    headers = request_headers(exchange.raw_headers)
    for name in ("Content-Length", "Content-Encoding"):
        headers.popall(name, None)
    given = headers.get("Content-Type", "")
    if content_type or not given:
        headers["Content-Type"] = content_type or "application/json"
    elif format_of(given) in ("yaml", "cbor"):
        headers["Content-Type"] = as_json_type(given)
        if format_of(headers.get("Accept", "")) is None:
            headers["Accept"] = given
    return headers


def visible_headers(exchange: Exchange, names: frozenset[str]) -> dict[str, str]:
    """The request headers a UDF may see, in lower case."""
    return {name: value for name in names if (value := exchange.headers.get(name)) is not None}


def credentials_of(exchange: Exchange) -> Mapping[str, str]:
    """The caller's own credentials, for calls made on its behalf."""
    value = exchange.headers.get("Authorization")
    return {"Authorization": value} if value else {}
