"""Errors as the client sees them, in the backend's envelope."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import orjson

NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class ErrorResponse(Exception):
    """An error that is a response already.

    `status` is an HTTP status, `type` a word in the backend's style, `extra` goes into the cause
    beside them (JSON values), `headers` onto the response. `close` ends the client's connection.
    """

    def __init__(
        self,
        status: int,
        type: str,
        reason: str,
        *,
        extra: Mapping[str, object] = NOTHING,
        headers: Mapping[str, str] = NO_HEADERS,
        close: bool = False,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.type = type
        self.reason = reason
        self.extra = extra
        self.headers = headers
        self.close = close

    def body(self) -> bytes:
        """Return the response's body in the backend's error envelope."""
        return envelope(self.status, self.type, self.reason, extra=self.extra)


class MalformedRequest(Exception):
    """What a client sent is not HTTP; its connection cannot be used any further."""


class SlowClient(Exception):
    """A client stopped sending the body it announced."""


def envelope(
    status: int, type: str, reason: str, *, extra: Mapping[str, object] = NOTHING
) -> bytes:
    """Return ``{"error": {"root_cause": [cause], **cause}, "status"}`` as JSON bytes.

    Where `reason` quotes a header field that is not UTF-8, its bytes are shown as ``\\udcff``.
    """
    reason = reason.encode("utf-8", "backslashreplace").decode()
    cause = {"type": type, "reason": reason, **extra}
    return orjson.dumps(
        {"error": {"root_cause": [cause], **cause}, "status": status},
        default=str,
        option=orjson.OPT_NON_STR_KEYS,
    )
