"""A body in the URL (``?source=``): the backend takes it where the request comes without another.

What reads a body here reads that one then. A request whose body nobody changed goes on as it came.
"""

from __future__ import annotations

from typing import Final

from proxy.http.encoding import BodyEncodingError
from proxy.protocol.endpoints import SEARCHES
from proxy.protocol.source_parameter import taken_out
from proxy.protocol.target import Operation, Target
from proxy.server.exchange import Exchange
from proxy.traffic.request_body import inflated

TAKES_SOURCE: Final = SEARCHES | frozenset(
    {
        Operation.MGET,
        Operation.SCROLL,
        Operation.CLEAR_SCROLL,
        Operation.CLOSE_PIT,
        Operation.PIT_SEGMENTS,
        Operation.NAMES_IN_BODY,
        Operation.REINDEX,
    }
)
"""Calls whose body may be in the URL, and is looked at here. Of writes no backend takes it there:
without a body it refuses them."""


async def with_source(exchange: Exchange, target: Target) -> Target:
    """The request with the body that its URL has, if that is what the backend reads.

    Beside another body the parameter stays where it is, for the backend to refuse.
    """
    sent = None
    if exchange.has_body:
        try:
            if await inflated(exchange, exchange.max_body):
                return target
        except BodyEncodingError:
            return target
        sent = await exchange.body(exchange.max_body)
    source, shorter = taken_out(target, sent, exchange.headers.get("Content-Type", ""))
    exchange.take_source(source)
    return shorter
