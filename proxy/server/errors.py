"""Which exception becomes which response to the client.

The table `RESPONSES` is the only place where an exception meets an HTTP status. A row for a base
class holds for its subclasses. An exception without a row is a bug of ours: 500, and its text stays
in the log, under the id that the response carries.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import structlog

from pipelines.errors import (
    ConflictError,
    DefinitionError,
    MissingError,
    NoJsonError,
    StageError,
)
from proxy.http.encoding import BodyEncodingError, BodyError, BodyTooLargeError
from proxy.http.errors import NO_HEADERS, NOTHING, ErrorResponse, MalformedRequest, SlowClient
from proxy.store.errors import (
    StoreBusy,
    StoreConflict,
    StoreFull,
    StoreRefused,
    StoreTimeout,
    StoreUnavailable,
)
from proxy.upstream.errors import (
    UpstreamBroken,
    UpstreamBusy,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from proxy.upstream.request_head import FieldsTooLargeError, LineTooLongError

_T = TypeVar("_T")

_log = structlog.get_logger("proxy.server.errors")

_LOG_FIELDS: Final = frozenset({"status", "type", "reason", "exc_info", "event", "level"})

UNEXPECTED: Final = (500, "proxy_exception")


# exception -> (status, type). `pipelines` knows no status; its errors get theirs here.
RESPONSES: Final[Mapping[type[Exception], tuple[int, str]]] = {
    UpstreamUnreachable: (502, "backend_unreachable_exception"),
    UpstreamBroken: (502, "backend_unreachable_exception"),
    UpstreamTooLarge: (502, "backend_unreachable_exception"),
    UpstreamTimeout: (504, "backend_timeout_exception"),
    UpstreamBusy: (429, "rejected_execution_exception"),
    StoreUnavailable: (502, "backend_unreachable_exception"),
    StoreTimeout: (504, "backend_timeout_exception"),
    StoreBusy: (429, "rejected_execution_exception"),
    StoreConflict: (409, "version_conflict_exception"),
    StoreFull: (413, "content_too_long_exception"),
    StoreRefused: (403, "security_exception"),
    LineTooLongError: (414, "too_long_http_line_exception"),
    FieldsTooLargeError: (431, "too_long_http_header_exception"),
    BodyTooLargeError: (413, "content_too_long_exception"),
    BodyEncodingError: (415, "media_type_header_exception"),
    BodyError: (400, "parse_exception"),
    MalformedRequest: (400, "illegal_argument_exception"),
    SlowClient: (408, "request_timeout_exception"),
    DefinitionError: (400, "illegal_argument_exception"),
    NoJsonError: (400, "parse_exception"),
    MissingError: (404, "resource_not_found_exception"),
    ConflictError: (409, "version_conflict_exception"),
    StageError: (500, "pipeline_execution_exception"),
}

# exception -> the members its cause carries beside type and reason.
EXTRAS: Final[Mapping[type[Exception], Callable[[Exception], Mapping[str, object]]]] = {
    DefinitionError: lambda error: {"path": path} if (path := getattr(error, "path", "")) else {},
}

# exception -> headers of its response.
HEADERS: Final[Mapping[type[Exception], Mapping[str, str]]] = {
    UpstreamBusy: {"Retry-After": "1"},
    StoreBusy: {"Retry-After": "1"},
}

# kind of a `StageError` -> the status of the bulk item whose document met it. Shippers send an item
# with a 500 again, for ever if need be: only where trying again may help. 400 is what the backend's
# own processors give.
ITEM_STATUS: Final[Mapping[str, int]] = {
    "timeout": 500,
    "unavailable": 500,
    "breaker": 500,
    "memory": 400,
    "input_too_large": 400,
    "output_too_large": 400,
    "invalid_result": 400,
    "udf_exception": 400,
    "trap": 400,
    "load": 400,
    "input_type": 400,
    "refused": 400,
}

# After these the next byte on the client's connection cannot be told from the last body.
_CLOSING: Final = (MalformedRequest, SlowClient)


def response_for(error: Exception, request_id: str = "") -> ErrorResponse:
    """Return the response to a request that ended in `error`; call it once a request.

    Every status from 500 on has an ``id`` and a line in the log with the same id; a bug of ours is
    logged with its traceback and tells the client nothing else.
    """
    response = _ready(error) or _from_table(error)
    if response.status < 500:
        return response
    extra = {"id": secrets.token_hex(8), **response.extra}
    expected = _ready(error) is not None or _row(RESPONSES, error) is not None
    _log.log(
        logging.WARNING if expected else logging.ERROR,
        "request failed",
        status=response.status,
        type=response.type,
        reason=str(error),
        request_id=request_id or None,
        exc_info=None if expected else error,
        **{name: value for name, value in extra.items() if name not in _LOG_FIELDS},
    )
    return ErrorResponse(
        response.status,
        response.type,
        response.reason,
        extra=extra,
        headers=response.headers,
        close=response.close,
    )


def item_status(error: StageError) -> int:
    """The status of a bulk item whose document met `error`."""
    return 500 if error.overran else ITEM_STATUS.get(error.kind, 400)


def status_of(error: Exception) -> int:
    """The status of the response to a request that ended in `error`."""
    if ready := _ready(error):
        return ready.status
    row = _row(RESPONSES, error)
    return UNEXPECTED[0] if row is None else row[0]


def _ready(error: Exception) -> ErrorResponse | None:
    """The response that an error is, or brings, already."""
    if isinstance(error, StoreRefused):
        return error.response
    return error if isinstance(error, ErrorResponse) else None


def _from_table(error: Exception) -> ErrorResponse:
    row = _row(RESPONSES, error)
    if row is None:
        status, kind = UNEXPECTED
        return ErrorResponse(status, kind, "the proxy failed; the log has the cause under this id")
    extra = _row(EXTRAS, error)
    return ErrorResponse(
        *row,
        str(error),
        extra=extra(error) if extra else NOTHING,
        headers=_row(HEADERS, error) or NO_HEADERS,
        close=isinstance(error, _CLOSING),
    )


def _row(table: Mapping[type[Exception], _T], error: Exception) -> _T | None:
    for kind in type(error).__mro__:
        if kind in table:
            return table[kind]
    return None
