"""The request of a search and its response, as pipelines see them."""

from __future__ import annotations

import asyncio
import io

import orjson

from pipelines.jsontext.graft import graft, loses_nothing
from pipelines.jsontext.slices import with_member
from pipelines.payload import Payload
from proxy.http.media_type import is_json
from proxy.http.query_string import QueryString
from proxy.protocol.search_params import merge_template, merge_url, merged_text
from proxy.traffic.request_body import UnreadableError, parse
from proxy.upstream.client import UpstreamResponse


def unreadable(response: UpstreamResponse) -> str | None:
    """Why a result pipeline cannot read this response; None if it can."""
    content_type = response.get("Content-Type") or ""
    if not is_json(content_type):
        return f"the response is {content_type or 'of no known type'}, not JSON"
    if response.get("Content-Encoding") is not None:
        return "the response is compressed although that was not asked for"
    return None


async def read_up_to(response: UpstreamResponse, limit: int) -> tuple[bytes, bool]:
    """The body, and whether that is all of it: reading stops above `limit` bytes."""
    if response.length is not None:
        return (b"", False) if response.length > limit else (await response.read(limit), True)
    # Put together as it comes: all at once, a large one would hold up the event loop.
    whole = io.BytesIO()
    async for chunk in response.chunks():
        whole.write(chunk)
        if whole.tell() > limit:
            return whole.getvalue(), False
    return whole.getvalue(), True


async def templated_request(source: bytes, query: QueryString) -> tuple[Payload, QueryString]:
    """The same for what a template came to."""
    payload = await parse(source, "search request")
    merged, remaining = merge_template(payload.data, query)
    for name in merged.keys() - payload.data.keys():
        text = with_member(payload.text, name, orjson.dumps(merged[name]).decode())
        payload = Payload(text, merged)
    return payload, remaining


async def merged_request(source: bytes, query: QueryString) -> tuple[Payload, QueryString]:
    """The request as a payload with URL parameters in it, and the URL without them.

    Where the URL adds nothing, the client's own text is the payload, so that numbers of any size
    stay as they were written.
    """
    payload = await parse(source, "search request")
    if not query.raw:
        return payload, query
    merged, remaining = merge_url(payload.data, query)
    if merged == payload.data:
        return payload, remaining
    try:
        text = merged_text(payload.text.encode(), query)
    except ValueError as error:
        reason = f"the search request cannot be used: {error}"
        raise UnreadableError(reason) from error
    if not loses_nothing(payload.text, payload.data):
        text = await asyncio.to_thread(graft, payload.text, text)
    return Payload(text, merged), remaining
