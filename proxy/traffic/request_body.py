"""What every request with a pipeline needs: its body as JSON, and a body put back."""

from __future__ import annotations

import asyncio

import orjson

from pipelines.jsontext.slices import Slice, member
from pipelines.payload import Payload
from proxy.formats.convert import FormatError, as_json_type, format_of, to_json
from proxy.http.encoding import BodyTooLargeError, inflate
from proxy.http.errors import ErrorResponse
from proxy.http.headers import Headers, printable, request_headers
from proxy.http.limits import PARSE_INLINE
from proxy.http.media_type import is_json, is_ndjson
from proxy.protocol.bodies.lenient_json import as_json
from proxy.server.exchange import Exchange


async def inflated(exchange: Exchange, limit: int) -> bytes:
    """The whole body without its Content-Encoding, inflated off the event loop, once."""
    raw = await exchange.body(limit)
    encoding = exchange.headers.get("Content-Encoding", "")
    if not encoding or not raw:
        return raw
    if exchange.inflated is None:
        exchange.inflated = await asyncio.to_thread(inflate, raw, encoding, limit)
    if len(exchange.inflated) > limit:
        raise BodyTooLargeError(limit)
    return exchange.inflated


async def read_json_body(exchange: Exchange, limit: int, *, lines: bool = False) -> bytes:
    """The inflated body of a request a pipeline has to read; empty if there is none.

    YAML and CBOR are turned into JSON, but not `lines`, which are NDJSON. Raises `UnreadableError`
    for any other media type, and for a body that is not valid in its own.
    """
    if not exchange.has_body:
        return b""
    body = await inflated(exchange, limit)
    if not body:
        if exchange.source is not None:
            raise UnreadableError("the body in the URL (source) is empty")
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
        raise UnreadableError(reason, status=406, type="media_type_header_exception")
    try:
        return await asyncio.to_thread(to_json, body, format)
    except FormatError as error:
        raise UnreadableError(str(error)) from error


class UnreadableError(ErrorResponse):
    """A body that no pipeline can be given. What the backend makes of it is the backend's affair.

    It is a response for those who cannot pass the body on; `refused` is the backend's, if it has
    refused it already.
    """

    def __init__(
        self,
        reason: str,
        refused: ErrorResponse | None = None,
        *,
        status: int = 400,
        type: str = "parse_exception",
    ) -> None:
        super().__init__(status, type, reason)
        self.refused = refused


async def parse(body: bytes, what: str) -> Payload:
    """What a client sent as a payload, parsed off the event loop if it is large.

    Its text is plain JSON where the body says the same in another way: in UTF-16, with comments.
    Raises `UnreadableError`.
    """
    if len(body) > PARSE_INLINE:
        return await asyncio.to_thread(parse_now, body, what)
    return parse_now(body, what)


def parse_now(body: bytes, what: str) -> Payload:
    """The same, here and now."""
    try:
        return Payload.received(body)
    except ValueError as error:
        problem = error
    try:
        plain = as_json(body).encode()
        if plain != body:
            return Payload.received(plain)
    except ValueError:
        # What keeps the body itself from being read is as good a reason.
        pass
    if isinstance(problem, orjson.JSONDecodeError):
        reason = f"the {what} is not valid JSON: {problem}"
    else:
        reason = f"the {what} cannot be used: {problem}"
    raise UnreadableError(reason) from problem


async def parse_response(body: bytes, what: str) -> Payload:
    """What the backend answered as a payload, parsed as `parse` does. Raises `UnreadableError`."""
    if len(body) > PARSE_INLINE:
        return await asyncio.to_thread(_response_now, body, what)
    return _response_now(body, what)


def _response_now(body: bytes, what: str) -> Payload:
    try:
        return Payload.parse(body)
    except ValueError as error:
        problem = error
    try:
        # A document may have been stored with comments in it.
        return Payload.parse(as_json(body))
    except ValueError:
        reason = f"the {what} is not JSON that a pipeline can read: {problem}"
        raise UnreadableError(reason) from problem


def located(body: bytes, name: str) -> tuple[str, Slice | None]:
    """The text of a response, and where the member `name` of its object lies.

    Raises `UnreadableError` where its parts cannot be told apart.
    """
    try:
        text = body.decode()
        return text, member(text, name)
    except ValueError as error:
        problem = error
    try:
        # A document may have been stored with comments in it.
        text = as_json(body)
        text.encode()
        return text, member(text, name)
    except ValueError:
        raise UnreadableError(f"the response is not JSON that can be read: {problem}") from problem


def new_body_headers(exchange: Exchange, content_type: str = "") -> Headers:
    """The request's headers for a body of ours: plain, in JSON, and of another length.

    The client's Content-Type stays if it is that of JSON, unless another one is given. A response
    that would have come in the format of the client's body is asked for in it.
    """
    headers = request_headers(exchange.raw_headers)
    for name in ("Content-Length", "Content-Encoding"):
        headers.popall(name, None)
    given = headers.get("Content-Type", "")
    format = format_of(given)
    if exchange.source is not None and format is None:
        # It told of no body; the backend looked past it.
        given = ""
    if content_type or not given:
        headers["Content-Type"] = content_type or "application/json"
    elif format in ("yaml", "cbor", "smile"):
        headers["Content-Type"] = as_json_type(given)
        if format_of(headers.get("Accept", "")) is None:
            headers["Accept"] = given
    return headers


def visible_headers(exchange: Exchange, names: frozenset[str]) -> dict[str, str]:
    """The request headers a UDF may see, in lower case."""
    given = exchange.headers
    return {name: printable(value) for name in names if (value := given.get(name)) is not None}
