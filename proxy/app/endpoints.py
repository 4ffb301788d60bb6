"""Which handler answers which operation: one line each; every other request is passed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipelines.execution.batch import Batches
from pipelines.registry import Registry
from proxy.backend.client import Backend
from proxy.config.option import Address
from proxy.handlers.get import GetHandler
from proxy.handlers.indices import IndicesHandler
from proxy.handlers.nodes import NodesHandler
from proxy.handlers.searches.async_search import AsyncSearchHandler
from proxy.handlers.searches.msearch import MsearchHandler
from proxy.handlers.searches.point_in_time import PointInTimeHandler
from proxy.handlers.searches.query_only import QueryOnlyHandler
from proxy.handlers.searches.scroll import ScrollHandler
from proxy.handlers.searches.search import SearchHandler
from proxy.handlers.writes.bulk import BulkHandler
from proxy.handlers.writes.dead_letter import DeadLetters
from proxy.handlers.writes.document import DocumentHandler
from proxy.handlers.writes.update import Updates
from proxy.protocol.endpoints import Operation
from proxy.protocol.given_ids import GivenIds
from proxy.protocol.resume_id import Cursors
from proxy.traffic.continuation import Continuation
from proxy.traffic.router import Handler
from proxy.traffic.services import Services
from proxy.traffic.templates import Templates


def endpoint_handlers(
    services: Services,
    *,
    batches: Batches,
    registry: Registry,
    backend: Backend,
    secret: Callable[[], bytes],
    indices: IndicesHandler,
    templates: Templates,
    public_address: Address | None,
) -> Mapping[Operation, Handler]:
    """The handlers of a proxy with these parts; `secret` signs the ids that clients are given."""
    updates, dead_letters = Updates(backend), DeadLetters(backend)
    cursors = Cursors(secret)
    given = GivenIds(cursors)
    continuation = Continuation(services.selector, registry, cursors, given)
    scroll = ScrollHandler(services, cursors, continuation)
    search = SearchHandler(services, templates, continuation)
    documents = DocumentHandler(services, updates, dead_letters, backend)
    bulk = BulkHandler(services, batches, updates, dead_letters)
    reads = GetHandler(services)
    points = PointInTimeHandler(services, continuation, cursors, given)
    async_search = AsyncSearchHandler(services, cursors, continuation)
    msearch = MsearchHandler(services, templates, continuation)
    queries = QueryOnlyHandler(services)
    nodes = NodesHandler(services.relay, public_address)
    return {
        Operation.SEARCH: search,
        Operation.DOCUMENT: documents.one,
        Operation.UPDATE: documents.update,
        Operation.BULK: bulk,
        Operation.SCROLL: scroll.page,
        Operation.CLEAR_SCROLL: points.close,
        Operation.OPEN_PIT: points.open,
        Operation.CLOSE_PIT: points.close,
        Operation.PIT_SEGMENTS: points.close,
        Operation.ALL_PITS: points.all,
        Operation.ASYNC_SEARCH: async_search.submit,
        Operation.ASYNC_RESULT: async_search.result,
        Operation.ASYNC_STATUS: async_search.status,
        Operation.ASYNC_DELETE: async_search.delete,
        Operation.GET_DOCUMENT: reads.one,
        Operation.GET_SOURCE: reads.one,
        Operation.MGET: reads.many,
        Operation.PUT_SETTINGS: indices.put_settings,
        Operation.GET_SETTINGS: indices.get,
        Operation.CREATE_INDEX: indices.create,
        Operation.DELETE_INDEX: indices.delete,
        Operation.COPY_INDEX: indices.settings_elsewhere,
        Operation.SETTINGS_ELSEWHERE: indices.settings_elsewhere,
        Operation.MSEARCH: msearch,
        Operation.MSEARCH_TEMPLATE: msearch,
        Operation.SEARCH_TEMPLATE: search.template,
        Operation.COUNT: queries,
        Operation.EXPLAIN: queries,
        Operation.VALIDATE: queries,
        Operation.BY_QUERY: queries,
        Operation.NODES: nodes.nodes,
        Operation.CAT_NODES: nodes.cat,
    }
