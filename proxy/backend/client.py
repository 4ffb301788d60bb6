"""JSON calls to the backend made by the proxy itself: the store, aliases, settings, previews."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from multidict import CIMultiDict

from pipelines.jsontext.pieces import loads
from proxy.http.errors import ErrorResponse, envelope
from proxy.http.limits import PARSE_INLINE
from proxy.upstream.client import Upstream, UpstreamRequest
from proxy.upstream.request_head import HeadTooLargeError


class BackendRefusedError(ErrorResponse):
    """The backend answered a call of the proxy's with an error, which the client gets to see."""

    def __init__(self, status: int, raw: bytes) -> None:
        reason = f"the backend answered {status}: {raw[:500].decode(errors='replace')}"
        super().__init__(status, "backend_refused_exception", reason)
        self._raw = raw

    def body(self) -> bytes:
        """Return the backend's own words, where it had any."""
        return self._raw or super().body()


@dataclass(frozen=True, slots=True)
class BackendResponse:
    """A status, and the parsed JSON body (None where it is empty or not JSON)."""

    status: int
    data: Any
    body: bytes

    def require(self, *statuses: int) -> Any:
        """The data, if the status is one of these; otherwise raises `BackendRefusedError`."""
        if self.status not in statuses:
            raise BackendRefusedError(self.status, self.body)
        return self.data


class Backend:
    """The backend as the proxy's own client sees it; shares the connections of `Upstream`."""

    def __init__(self, upstream: Upstream, authorization: str = "") -> None:
        self._upstream = upstream
        self._own = {"Authorization": authorization} if authorization else {}

    async def call(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        retry: bool = False,
        most: int | None = None,
    ) -> BackendResponse:
        """One call. `headers` (the caller's credentials) replace the proxy's own, if given.

        `target` is the raw path and query. Raises the errors of `Upstream.send`, and
        `UpstreamTooLarge` for a response of more than `most` bytes (max_response_bytes).
        """
        sent = CIMultiDict(self._own if headers is None else headers)
        sent["Accept"] = "application/json"
        data: bytes | None = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = body if isinstance(body, bytes) else orjson.dumps(body)
        request = UpstreamRequest(
            method=method, target=target, headers=sent, body=data, retry=retry or method == "GET"
        )
        try:
            with await self._upstream.send(request) as response:
                raw = await response.read(most)
                status = response.status
        except HeadTooLargeError as error:
            # What the backend itself answers to that, and callers know what to do about.
            status, raw = 400, envelope(400, "too_long_frame_exception", str(error))
        if len(raw) <= PARSE_INLINE:
            return BackendResponse(status, _parsed(raw), raw)
        return BackendResponse(status, await asyncio.to_thread(_parsed, raw), raw)


def _parsed(raw: bytes) -> Any:
    try:
        return loads(raw)
    except ValueError:
        return None
