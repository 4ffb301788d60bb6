"""How a client wants its response, where the response is read and written again here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from pipelines.jsontext.graft import graft, loses_nothing
from pipelines.jsontext.json_text import parse, write
from proxy.formats.convert import (
    Format,
    as_json_type,
    content_type,
    format_named,
    format_of,
    from_json,
)
from proxy.formats.filter_path import FilterPath
from proxy.formats.pretty import pretty
from proxy.formats.yaml import YamlError
from proxy.http.encoding import accepts_gzip, deflate
from proxy.http.errors import ErrorResponse
from proxy.http.headers import Fields, FieldsMemory, Headers, encode
from proxy.http.media_type import is_json, is_vendor
from proxy.http.query_string import QueryString, is_true
from proxy.server.exchange import Exchange
from proxy.traffic.limits import FORMAT_INLINE, GZIP_MIN
from proxy.traffic.relay import Relay
from proxy.upstream.client import UpstreamResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseForm:
    """What a client asked its response to be: a format, parts of it, indented, compressed.

    `codings` is its Accept-Encoding.

    `ask` makes of its request one for the whole response in plain JSON, `respond` makes of that
    what the client wanted.
    """

    format: Format = "json"
    filters: FilterPath | None = None
    indented: bool = False
    gzip: bool = False
    codings: str = ""

    @classmethod
    async def of(cls, exchange: Exchange, query: QueryString, relay: Relay) -> ResponseForm:
        """The form that this request asks for.

        The format is what ``format=`` names, else the Accept header, else that of the request's
        body, else JSON; the backend takes what it does not know for the next or for JSON.
        """
        plain = not query.raw and exchange.source is None
        key = (exchange.raw_headers,)
        if plain and (known := _known.get(key)) is not None:
            return known
        headers = exchange.headers
        codings = headers.get("Accept-Encoding", "")
        if named := query.get("format"):
            format: Format | None = format_named(named)
        else:
            format = format_of(headers.get("Accept", ""))
            source = exchange.source
            sent = source.header_type if source else headers.get("Content-Type", "")
            format = format or format_of(sent)
        filters = None
        if paths := query.get("filter_path"):
            try:
                filters = FilterPath.parse(paths, elasticsearch=await relay.is_elasticsearch())
            except ValueError:
                # The backend refuses it, in its own words.
                filters = None
        form = cls(
            format=format or "json",
            filters=filters or None,
            indented=is_true(query.get("pretty")),
            gzip=accepts_gzip(codings),
            codings=codings,
        )
        return _known.keep(key, form) if plain else form

    @property
    def is_plain(self) -> bool:
        """Whether the backend's response to the request of `ask` can go to the client as it is."""
        return self.format == "json" and self.filters is None

    @property
    def _is_as_written(self) -> bool:
        """Whether the text of a response is the response."""
        return self.is_plain and not (self.indented or self.gzip)

    def check(self) -> None:
        """Raise `ErrorResponse` (406) for a format that cannot be written here."""
        if self.format == "smile":
            raise ErrorResponse(
                406,
                "media_type_header_exception",
                "a response that a pipeline has to read cannot be given as SMILE; ask for"
                " application/json, application/cbor or application/yaml",
            )

    @property
    def is_asked_for(self) -> bool:
        """Whether the client's own request gets the whole response, in JSON and not compressed."""
        return self.is_plain and not self.codings

    def ask(self, query: QueryString, headers: Headers) -> tuple[QueryString, Headers]:
        """The query string and headers that get the whole response, in JSON and not compressed."""
        headers = headers.copy()
        headers.popall("Accept-Encoding", None)
        names = set()
        if self.filters is not None:
            names.add("filter_path")
        if self.format != "json":
            names.add("format")
            headers["Accept"] = _json_accepted(headers)
        return query.without(names) if names else query, headers

    async def respond(
        self,
        exchange: Exchange,
        response: UpstreamResponse,
        body: str | bytes,
        more: Iterable[tuple[str, str]] = (),
        *,
        status: int | None = None,
    ) -> web.StreamResponse:
        """The client's response: the head of `response`, `more` header fields, and the body.

        `body` is JSON: bytes as they came from the backend, or text that was made here. Bytes that
        are something else after all go on as they are. `status` is another than the backend's.
        """
        reason = response.reason if status is None else None
        status = response.status if status is None else status
        if self._is_as_written:
            whole = body if isinstance(body, bytes) else body.encode()
            return exchange.relay(status, _new_length(response, more), whole, reason=reason)
        fields = response.headers.copy()
        fields.popall("Content-Length", None)
        fields.extend(more)
        if isinstance(body, bytes) and not _is_plain_json(response):
            return exchange.respond(status, fields, body, reason=reason)
        written, given = await self.write(exchange, body, status)
        if "Vary" in given and _varies(fields):
            del given["Vary"]
        for name in given:
            if name != "Vary":
                fields.popall(name, None)
        fields.extend(given)
        fields["Content-Length"] = str(len(written))
        return exchange.respond(status, fields, written, reason=reason)

    async def write(
        self, exchange: Exchange, body: str | bytes, status: int
    ) -> tuple[bytes, dict[str, str]]:
        """The bytes of a response, and the header fields that tell their format and coding."""
        if len(body) > FORMAT_INLINE and not self._is_as_written:
            written, packed, format = await asyncio.to_thread(self._write, body, status)
        else:
            written, packed, format = self._write(body, status)
        fields = {}
        if format != "json":
            kind, client = content_type(format), exchange.facts.client
            fields["Content-Type"] = client.vendor_type(kind) if client else kind
        if packed:
            fields |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return written, fields

    def _write(self, body: str | bytes, status: int) -> tuple[bytes, bool, Format]:
        """The bytes of the response, whether they are compressed, and their format.

        What only JSON can hold stays JSON: half surrogate pairs, numbers beyond a double.
        """
        format = self.format
        try:
            try:
                written = self._formed(body, status)
            except (ValueError, TypeError, YamlError):
                written, format = body if isinstance(body, bytes) else body.encode(), "json"
        except RecursionError as error:
            raise ErrorResponse(
                400,
                "illegal_argument_exception",
                "the response is nested too deeply for filter_path or a format other than JSON;"
                " ask for all of it, in JSON",
            ) from error
        if self.gzip and len(written) > GZIP_MIN:
            return deflate(written), True, format
        return written, False, format

    def _formed(self, body: str | bytes, status: int) -> bytes:
        if isinstance(body, bytes) and self.is_plain:
            return body
        text = body if isinstance(body, str) else body.decode()
        if self.filters is not None:
            text = _filtered(text, self.filters, status)
        if self.format != "json":
            return from_json(text, self.format)
        return (pretty(text) if self.indented else text).encode()


# By the fields of requests whose URL says nothing of it.
_known: Final = FieldsMemory[ResponseForm]()


def _filtered(text: str, filters: FilterPath, status: int) -> str:
    value = parse(text)
    # The backend writes errors whole.
    if status >= 400 and "error" in value:
        return text
    left = write(filters.apply(value))
    return left if loses_nothing(text, value) else graft(text, left)


def _json_accepted(headers: Headers) -> str:
    """The Accept value for JSON: the vendor's if one media type is, as Elasticsearch insists."""
    for name in ("Accept", "Content-Type"):
        value = headers.get(name, "")
        if is_vendor(value) and format_of(value) is not None:
            return as_json_type(value)
    return "application/json"


def _is_plain_json(response: UpstreamResponse) -> bool:
    return is_json(response.get("Content-Type") or "") and response.get("Content-Encoding") is None


def _new_length(response: UpstreamResponse, more: Iterable[tuple[str, str]]) -> Fields:
    """The header fields of a response with another body, whose length is added when it is sent."""
    kept = [field for field in response.fields if field[0].lower() != b"content-length"]
    return [*kept, *((encode(name), encode(value)) for name, value in more)]


def _varies(fields: Headers) -> bool:
    named = ",".join(fields.getall("Vary", ())).lower()
    return "*" in named or "accept-encoding" in named
