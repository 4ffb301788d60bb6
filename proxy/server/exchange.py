"""One client request, as the code that answers it sees it."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy

from proxy.config.client_settings import ClientSettings
from proxy.http.encoding import BodyTooLargeError
from proxy.http.errors import ErrorResponse, MalformedRequest, SlowClient
from proxy.http.headers import Fields, Headers, as_fields
from proxy.http.limits import JOIN_LIMIT
from proxy.http.memo import remembered
from proxy.protocol.elastic.client import vendor_response
from proxy.protocol.source_parameter import SourceParameter
from proxy.server.head_facts import head_facts
from proxy.server.pace import Pace
from proxy.server.request_id import REQUEST_ID, request_id
from proxy.server.response import StreamedResponse, WholeResponse

JSON: Final = "application/json; charset=UTF-8"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_HEADERS: Final[Mapping[str, str]] = {}
_VERSIONS: Final = (HttpVersion11, HttpVersion10)
# The characters of RFC 3986, 3.2.2 and 3.2.3; an empty one is legal.
_HOST: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*", re.ASCII)


class Exchange:
    """One request of a client and the response to it; lives as long as the handler that answers.

    `target` is the path and query as received, `raw_path` and `query` its two parts (`query` is
    None without a question mark); nothing is decoded. `headers` are for looking fields up,
    `raw_headers` are what was sent. `length` is the body's, None where it is chunked, 0 where there
    is none; `max_body` is what the proxy passes on at most. Both are bytes. `inflated` is the body
    without its encoding, where somebody needed that; `reports_id` whether the response tells the
    request's id, as it does where pipelines have a part in it. `facts` is what the fields say,
    `source` the body where the URL has it.
    """

    # What few requests need stands here, which costs the others nothing.
    inflated: bytes | None = None
    source: SourceParameter | None = None
    reports_id = False
    _pace: Pace | None = None
    _request_id = ""

    def __init__(
        self,
        request: web.BaseRequest,
        *,
        max_body: int,
        patience: ClientSettings,
        closing: Callable[[web.BaseRequest], bool] = lambda _: False,
    ) -> None:
        self._request = request
        self.max_body = max_body
        self._patience = patience
        self._closing = closing
        self._body: bytes | None = None
        self._response: web.StreamResponse | None = None
        self.method = request.method
        self.headers: CIMultiDictProxy[str] = request.headers
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = request.raw_headers
        version = request.version
        if version not in _VERSIONS:
            raise MalformedRequest("the protocol has to be HTTP/1.1 or HTTP/1.0")
        facts = head_facts(self.raw_headers, self.headers, is_new=version == HttpVersion11)
        self.facts = facts
        self.target = request_target(request.raw_path, facts.host)
        self.raw_path, mark, query = self.target.partition("?")
        self.query: str | None = query if mark else None
        self.length = facts.length
        if self.length != 0 and (broken := request.content.exception()) is not None:
            raise _framed_wrongly(broken) from broken
        # The client waits with the body until it is told to go on.
        self._expects = facts.expects

    def ask(self, target: str) -> None:
        """From here on, the request is for this path and query."""
        self.target = target
        self.raw_path, mark, query = target.partition("?")
        self.query = query if mark else None

    def take_source(self, source: SourceParameter) -> None:
        """From here on, the body is the one that the URL has; `headers` tell its media type."""
        self.ask(source.rest)
        self.source, self._body, self.inflated = source, source.body, None
        # An empty one is a body too.
        self.length = len(source.body) or None
        headers = self.headers.copy()
        headers.popall("Content-Encoding", None)
        headers["Content-Type"] = source.media_type
        self.headers = CIMultiDictProxy(headers)
        # What the fields said was of another body, if of any.
        self.facts = replace(self.facts, is_plain_json=False)

    @property
    def has_body(self) -> bool:
        """Whether a body comes with the request."""
        return self.length != 0

    @property
    def credentials(self) -> Mapping[str, str]:
        """The caller's own, for calls that are made on its behalf."""
        value = self.headers.get("Authorization")
        return {"Authorization": value} if value else {}

    @property
    def request_id(self) -> str:
        """What the client calls this request, or a name made for it."""
        if not self._request_id:
            self._request_id = request_id(self.headers.get("X-Opaque-Id"))
        return self._request_id

    @property
    def socket(self) -> tuple[str, int]:
        """The host and port of the proxy's end of the connection."""
        transport = self._request.transport
        host, port, *_ = (transport and transport.get_extra_info("sockname")) or ("", 0)
        return str(host), int(port)

    @property
    def response(self) -> web.StreamResponse | None:
        """The response, once its head has gone to the client."""
        return self._response

    def at_hand(self) -> bytes | None:
        """The whole body as it was sent, if there is one and all of it is here; else None."""
        if self._body is None and self.length:
            payload = self._request.content
            if self.length > self.max_body or not payload.is_eof() or payload.exception():
                return None
            self._expects = False
            self._body = payload.read_nowait()
        return self._body

    async def body(self, limit: int) -> bytes:
        """Return the whole body as it was sent, encoding included; again at each call.

        Raises BodyTooLargeError above `limit` bytes, before reading where the client announced it;
        MalformedRequest and SlowClient as `stream` does.
        """
        limit = min(limit, self.max_body)
        if self._body is None:
            if self.length is not None and self.length > limit:
                raise BodyTooLargeError(limit)
            self._body = await self._whole(limit)
        if len(self._body) > limit:
            raise BodyTooLargeError(limit)
        return self._body

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, once.

        Raises BodyTooLargeError above the proxy's own limit, MalformedRequest where the framing is
        broken or the client gone, SlowClient when nothing came for too long.
        """
        if self._body is not None:
            yield self._body
            return
        async for chunk in self._counted(self.max_body):
            yield chunk

    def respond(
        self,
        status: int,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes = b"",
        *,
        reason: str | None = None,
    ) -> WholeResponse:
        """Return a response with exactly these fields; the length is corrected to that of `body`.

        To HEAD, a Content-Length among the fields stays and no body is sent.
        """
        return self.relay(status, as_fields(Headers(headers)), body, reason=reason)

    def relay(
        self, status: int, fields: Fields, body: bytes = b"", *, reason: str | None = None
    ) -> WholeResponse:
        """Return the same response, its fields as they go on the wire."""
        response = WholeResponse(status, reason, fields, body)
        self._close_if_due(response)
        return response

    def respond_json(
        self, status: int, body: bytes, headers: Mapping[str, str] = _NO_HEADERS
    ) -> WholeResponse:
        """Return a response of the proxy's own: JSON, as an Elasticsearch client expects it."""
        fields = Headers({"Content-Type": JSON})
        fields.update(headers)
        if self.facts.client is not None:
            fields = vendor_response(fields, self.facts.client)
        return self.respond(status, fields, body)

    def fail(self, error: ErrorResponse) -> WholeResponse:
        """Return the response that tells the client of `error`."""
        reported = {REQUEST_ID: self.request_id} if self.reports_id else {}
        response = self.respond_json(error.status, error.body(), {**error.headers, **reported})
        if error.close:
            response.force_close()
        return response

    async def start(
        self, status: int, headers: Mapping[str, str], *, reason: str | None = None
    ) -> web.StreamResponse:
        """Send the head of a response and return it, for its body to be written to.

        Framed by the Content-Length among the fields, else chunked, else (HTTP/1.0) by closing.
        """
        response = StreamedResponse(status=status, reason=reason, headers=headers)
        self._close_if_due(response)
        if self._request.version < HttpVersion11 and "Content-Length" not in response.headers:
            response.force_close()
        self._response = response
        await response.prepare(self._request)
        return response

    def is_held_up(self, response: web.StreamResponse) -> bool:
        """Whether a response, or one before it, is more than what the client takes at once."""
        if self._response is not None:
            return False
        large = isinstance(response, WholeResponse) and len(response.whole) > JOIN_LIMIT
        return large or self._request.protocol.writing_paused

    async def deliver(self, response: web.StreamResponse) -> None:
        """Send a whole response, and wait until its client took it; a streamed one was sent.

        For callers that hold something until then. Raises ConnectionError when the client is gone.
        """
        if self._response is None:
            self._response = response
            await response.prepare(self._request)

    def abort(self) -> None:
        """Break the client's connection, so that it cannot take half a response for a whole one."""
        if (transport := self._request.transport) is not None:
            transport.abort()
        self._request.protocol.force_close()

    def _close_if_due(self, response: web.StreamResponse) -> None:
        # With an unanswered Expect the client may or may not send the body it announced, so the
        # next bytes on this connection could be that body or another request.
        if self._expects or self._closing(self._request):
            response.force_close()

    async def _whole(self, limit: int) -> bytes:
        payload = self._request.content
        if payload.is_eof() and payload.exception() is None:
            # All of it came with the head, which is what small requests do.
            self._expects = False
            return payload.read_nowait()
        # Put together as it comes: all at once, a large one would hold up the event loop.
        whole = io.BytesIO()
        async for chunk in self._counted(limit):
            whole.write(chunk)
        return whole.getvalue()

    async def _counted(self, limit: int) -> AsyncIterator[bytes]:
        await self._go_on()
        size = 0
        while chunk := await self._next():
            size += len(chunk)
            if size > limit:
                raise BodyTooLargeError(limit)
            yield chunk

    async def _go_on(self) -> None:
        if not self._expects:
            return
        self._expects = False
        writer = self._request.writer
        await writer.write(_CONTINUE)
        # Not part of the response: aiohttp takes a request with output for one already answered.
        writer.output_size = 0

    async def _next(self) -> bytes:
        payload = self._request.content
        try:
            if payload.is_eof():
                return await payload.readany()
            return await self._paced(payload)
        except (web.RequestPayloadError, HttpProcessingError) as exc:
            raise _framed_wrongly(exc) from exc
        except (ConnectionError, RuntimeError) as exc:
            raise MalformedRequest("the client went away before its request was complete") from exc

    async def _paced(self, payload: StreamReader) -> bytes:
        """The next piece of a body that still comes. Raises SlowClient."""
        if self._pace is None:
            self._pace = Pace(self._patience)
        pace, silence = self._pace, self._patience.body_timeout
        clock = asyncio.get_running_loop().time
        since = clock()
        try:
            async with asyncio.timeout(min(silence, pace.left)):
                chunk = await payload.readany()
        except TimeoutError as exc:
            if pace.left > silence:
                reason = f"no byte of the request body came for {silence:g} s (body_timeout)"
            else:
                reason = (
                    "the request body came with less than "
                    f"{self._patience.client_min_rate} bytes a second (client_min_rate)"
                )
            raise SlowClient(reason) from exc
        pace.moved(len(chunk), clock() - since)
        return chunk


def _framed_wrongly(error: BaseException) -> MalformedRequest:
    return MalformedRequest(f"the request body is framed wrongly: {first_line(error)}")


Handler = Callable[[Exchange], Awaitable[web.StreamResponse]]


def refusal(error: ErrorResponse) -> WholeResponse:
    """Return the response to a request of which no exchange could be made; ends its connection."""
    headers = Headers({"Content-Type": JSON, **error.headers})
    return WholeResponse(error.status, None, as_fields(headers), error.body(), refuses=True)


@remembered
def request_target(target: str, host: str) -> str:
    """Return a request target in origin form, its Host header checked. Raises MalformedRequest."""
    if _HOST.fullmatch(host) is None:
        raise MalformedRequest("the header Host has to be a host, with or without a port")
    return origin_form(target, host)


def origin_form(target: str, host: str) -> str:
    """Return a request target as path and query; ``*`` stays.

    A full URL loses its scheme and host (RFC 9112, 3.2.2), which have to be those of the Host
    header. Raises MalformedRequest for any other form and for a fragment, which never travels.
    """
    if "#" in target:
        raise MalformedRequest("the request target cannot hold a #; encode it as %23")
    if target.startswith("/") or target == "*":
        return target
    scheme, mark, rest = target.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        raise MalformedRequest("the request target has to begin with /")
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    if rest[:end].lower() != host.lower():
        raise MalformedRequest("the request target names another host than the header Host")
    path = rest[end:]
    return path if path.startswith("/") else "/" + path


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, without the bytes that some parsers append."""
    text = str(getattr(error, "message", "") or error).strip()
    return text.splitlines()[0].rstrip(":") if text else type(error).__name__
