"""Every request that is not administration: what it is decides who answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from proxy.documents import DocumentTraffic
from proxy.exchange import Exchange
from proxy.guard import check_body, check_target
from proxy.indices import IndexTraffic
from proxy.metrics import Metrics
from proxy.relay import Relay
from proxy.resolver import Resolver
from proxy.search import SearchTraffic
from proxy.target import Operation, Target, read_target
from proxy.transform import inflated

Answer = Callable[[Exchange, Target], Awaitable[web.StreamResponse]]

# Calls that change what a name means.
_RENAMING = frozenset({"_alias", "_aliases", "_data_stream", "_rollover", "_shrink", "_split"})


class Traffic:
    """The data plane: guards the store, then hands each request to whoever answers its kind."""

    def __init__(
        self,
        relay: Relay,
        search: SearchTraffic,
        documents: DocumentTraffic,
        indices: IndexTraffic,
        resolver: Resolver,
        metrics: Metrics,
        *,
        max_body: int,
    ) -> None:
        self._relay = relay
        self._resolver = resolver
        self._metrics = metrics
        self._max_body = max_body
        self._answers: Mapping[Operation, Answer] = {
            Operation.SEARCH: search,
            Operation.DOCUMENT: documents.one,
            Operation.BULK: documents.bulk,
            Operation.PUT_SETTINGS: indices.put_settings,
            Operation.GET_SETTINGS: indices.get_settings,
            Operation.CREATE_INDEX: indices.create,
            Operation.DELETE_INDEX: indices.delete,
            Operation.NAMES_IN_BODY: self._checked,
            Operation.MSEARCH: self._checked,
            Operation.SEARCH_TEMPLATE: self._checked,
            Operation.MSEARCH_TEMPLATE: self._checked,
            Operation.MGET: self._checked,
            Operation.REINDEX: self._checked,
        }

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        target = read_target(exchange.method, exchange.target)
        status = 500
        try:
            check_target(exchange.method, target)
            answer = await self._answers.get(target.operation, self._other)(exchange, target)
            status = answer.status
            return answer
        except Exception as error:
            status = getattr(error, "status", 500)
            raise
        finally:
            self._metrics.count_request(target.operation.value, status)

    async def _other(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        answer = await self._relay(exchange)
        if not _RENAMING.isdisjoint(target.segments) and exchange.method not in ("GET", "HEAD"):
            self._resolver.forget()
        return answer

    async def _checked(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """Relay a request whose body names indices, none of which may be the store."""
        if not exchange.has_body:
            return await self._other(exchange, target)
        check_body(await inflated(exchange, self._max_body))
        async with await self._relay.send(
            exchange, body=await exchange.body(self._max_body)
        ) as response:
            answer = await self._relay.answer(exchange, response)
        if not _RENAMING.isdisjoint(target.segments):
            self._resolver.forget()
        return answer
