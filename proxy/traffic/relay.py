"""Traffic without a pipeline: the request to the backend and the response back, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import structlog
from aiohttp import web

from proxy.backend.product import BackendInfo
from proxy.http.encoding import BodyTooLargeError, inflate
from proxy.http.headers import Fields, Headers, request_headers
from proxy.http.media_type import is_json
from proxy.http.memo import remembered
from proxy.http.query_string import QueryString
from proxy.protocol.elastic.client import plain_media_types, vendor_response
from proxy.protocol.elastic.dialect import Translation, translated_target, translation_of
from proxy.server.exchange import Exchange
from proxy.traffic.limits import SMALL, TRANSLATED_MAX
from proxy.upstream.client import Upstream, UpstreamRequest, UpstreamResponse
from proxy.upstream.errors import UpstreamError

_log = structlog.get_logger("proxy.traffic.relay")


_READING_POSTS: Final = frozenset(
    {"_search", "_msearch", "_count", "_mget", "_explain", "_field_caps", "_validate"}
)
_ONCE: Final = frozenset({"scroll", "point_in_time", "_async_search", "_asynchronous_search"})


class Relay:
    """Passes exchanges on to the backend; with `compat`, as Elasticsearch clients need it.

    Call it for plain traffic. Where a pipeline has a say, `send` and `respond` are its two halves.
    """

    def __init__(self, upstream: Upstream, backend: BackendInfo, *, compat: bool) -> None:
        self._upstream = upstream
        self._backend = backend
        self._compat = compat

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        """Answer `exchange` with what the backend says. Raises UpstreamError and BodyError."""
        body = exchange.at_hand() or await request_body(exchange)
        with await self.send(exchange, body=body) as response:
            return await self.respond(exchange, response)

    async def is_elasticsearch(self) -> bool:
        """Whether the backend is Elasticsearch, as far as is known."""
        return (await self._backend.product()).distribution == "elasticsearch"

    async def send(
        self,
        exchange: Exchange,
        *,
        target: str | None = None,
        headers: Headers | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        retry: bool | None = None,
        method: str | None = None,
    ) -> UpstreamResponse:
        """Send a request for `exchange` and return the backend's response, its head read.

        What is not given is taken from the exchange, but the body: None sends none. The response's
        headers are as the client expects them. `retry` None means: if the endpoint only reads.
        """
        sent: Headers | Fields
        client = exchange.facts.client if self._compat else None
        if client is not None and not await self._backend.is_opensearch():
            client = None
        target = exchange.target if target is None else target
        if exchange.source is not None and body is exchange.source.body:
            target, body = exchange.source.put_back(target), exchange.source.sent
        translation, method = None, method or exchange.method
        if client is None:
            sent = exchange.facts.sent if headers is None else headers
        else:
            sent = plain_media_types(headers or request_headers(exchange.raw_headers))
            translation = translation_of(exchange.method, target, client.is_old)
            if translation is not None:
                method = translation.method or method
                target = translated_target(translation, target)
                sent, body, target = await _translated(translation, sent, body, target)
        response = await self._upstream.send(
            UpstreamRequest(
                method=method,
                target=target,
                headers=sent,
                body=body,
                retry=only_reads(exchange.method, exchange.raw_path) if retry is None else retry,
            )
        )
        if translation is not None:
            await self._translate_back(exchange, translation, response)
        if client is not None:
            response.headers = vendor_response(response.headers, client)
        return response

    async def _translate_back(
        self, exchange: Exchange, translation: Translation, response: UpstreamResponse
    ) -> None:
        """Put the response into the client's spelling. Raises UpstreamError, it being released."""
        if translation.response is None or not is_json(response.headers.get("Content-Type", "")):
            return
        try:
            body, detail = await response.read(TRANSLATED_MAX), b"{}"
            more = translation.needs(response.status, body, exchange.raw_path)
            if more is not None:
                detail = await self._detail(exchange, more)
        except BaseException:
            response.release()
            raise
        response.replace(*translation.translated(response.status, body, detail))

    async def _detail(self, exchange: Exchange, target: str) -> bytes:
        """What a translation has to know besides, asked for as the client asks."""
        headers = Headers({"Accept": "application/json", **exchange.credentials})
        request = UpstreamRequest(method="GET", target=target, headers=headers, retry=True)
        with await self._upstream.send(request) as response:
            return await response.read(TRANSLATED_MAX)

    async def respond(
        self, exchange: Exchange, response: UpstreamResponse, *, begun: bytes = b""
    ) -> web.StreamResponse:
        """Return the backend's response to the client; a large body streams through.

        `begun` is what the caller has read of the body already. When the backend dies in the
        middle of one, the client's connection is broken.
        """
        length = response.length
        if exchange.method == "HEAD" or (length is not None and length <= SMALL):
            body = begun + await response.read(SMALL)
            return exchange.relay(response.status, response.fields, body, reason=response.reason)
        if response.status in (204, 304):
            return exchange.relay(response.status, response.fields, reason=response.reason)
        sent = await exchange.start(response.status, response.headers, reason=response.reason)
        try:
            if begun:
                await sent.write(begun)
            async for chunk in response.chunks():
                await sent.write(chunk)
        except UpstreamError as exc:
            _log.warning("response broken off", target=exchange.raw_path, reason=str(exc))
            exchange.abort()
            return sent
        await sent.write_eof()
        return sent


async def _translated(
    translation: Translation,
    headers: Headers,
    body: bytes | AsyncIterator[bytes] | None,
    target: str,
) -> tuple[Headers, bytes | AsyncIterator[bytes] | None, str]:
    """A request's headers, body and target in the other spelling, its response to be read here."""
    headers = headers.copy()
    if translation.response is not None:
        headers.popall("Accept-Encoding", None)
    if translation.body is None:
        return headers, body, target
    if not isinstance(body, bytes | None):
        body = b"".join([chunk async for chunk in body])
    plain = body or b""
    if plain and (encoding := headers.get("Content-Encoding")):
        plain = await asyncio.to_thread(inflate, plain, encoding, TRANSLATED_MAX)
    new, added = translation.body(plain)
    if new == plain:
        return headers, body, target
    for name in ("Content-Length", "Content-Encoding", "Content-Type"):
        headers.popall(name, None)
    if new:
        headers["Content-Type"] = "application/json"
    path, _, raw = target.partition("?")
    query = QueryString(raw).without(added)
    for name, value in added.items():
        query = query.with_parameter(name, value)
    return headers, new or None, query.after(path)


async def small_body(exchange: Exchange) -> bytes | None:
    """The body of `exchange`, read to its end, if it announces a small one."""
    body = exchange.at_hand()
    if body is None and exchange.length and exchange.length <= SMALL:
        return await exchange.body(SMALL)
    return body


async def request_body(exchange: Exchange) -> bytes | AsyncIterator[bytes] | None:
    """Return the body of `exchange` for the upstream: whole where it is small, else as it comes.

    A small one is complete before a connection to the backend is taken for it, so that slow clients
    hold none. Raises BodyTooLargeError where the client announces more than the proxy passes on.
    """
    if not exchange.has_body:
        return None
    if (body := await small_body(exchange)) is not None:
        return body
    if exchange.length is not None and exchange.length > exchange.max_body:
        raise BodyTooLargeError(exchange.max_body)
    return exchange.stream()


@remembered
def only_reads(method: str, raw_path: str) -> bool:
    """Whether a request may be sent twice without any effect but the load.

    Scrolling moves a cursor, and a point in time is opened once more, so they are not among them.
    What counts is the first word of the API in the path: what follows may be a document's id.
    """
    segments = raw_path.split("/")
    if not _ONCE.isdisjoint(segments):
        return False
    if method in ("GET", "HEAD"):
        return True
    words = (segment for segment in segments if segment.startswith("_") and segment != "_all")
    return method == "POST" and next(words, "") in _READING_POSTS
