"""How much of a head is read from a client, and the responses to what is more or no head at all."""

from __future__ import annotations

from typing import Final

from aiohttp.http_exceptions import LineTooLong

from proxy.http.errors import ErrorResponse, MalformedRequest
from proxy.server.errors import response_for
from proxy.server.exchange import JSON, first_line
from proxy.server.limits import MAX_FIELD, MAX_FIELDS, MAX_HEAD, MAX_LINE


def _last_response(error: ErrorResponse, phrase: str) -> bytes:
    """The response to a request whose head never came to its end."""
    body = error.body()
    return (
        f"HTTP/1.1 {error.status} {phrase}\r\nConnection: close\r\nContent-Type: {JSON}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


LATE: Final = _last_response(
    ErrorResponse(408, "request_timeout_exception", "the head of the request did not come in time"),
    "Request Timeout",
)
LARGE: Final = _last_response(
    ErrorResponse(
        431, "too_long_http_header_exception", f"the head is larger than {MAX_HEAD} bytes"
    ),
    "Request Header Fields Too Large",
)


def refused(error: BaseException) -> ErrorResponse:
    """The response to what the parser could not read."""
    if isinstance(error, LineTooLong):
        if error.args[1] == MAX_LINE:
            reason = f"the request line is larger than {MAX_LINE} bytes"
            return ErrorResponse(414, "too_long_http_line_exception", reason)
        reason = f"a header field is larger than {MAX_FIELD} bytes"
        return ErrorResponse(431, "too_long_http_header_exception", reason)
    reason = first_line(error)
    if reason.startswith("Too many headers"):
        reason = f"there are more than {MAX_FIELDS} header fields"
        return ErrorResponse(431, "too_long_http_header_exception", reason)
    return response_for(MalformedRequest(f"not a valid HTTP/1.1 request: {reason}"))
