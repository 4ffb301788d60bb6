"""Every endpoint the proxy has to know, one line each: what it is, what could escape through it.

`phases` are the phases whose pipelines run on it. `bypasses` are those whose documents or queries
would get past a pipeline if the request simply passed: on an index with a final pipeline of such a
phase the endpoint is refused. Paths are written below the index; ``{x}`` is any one segment.
Sources: the OpenSearch and Elasticsearch REST API specifications.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pipelines.context import Phase


class Operation(Enum):
    """What a request is to the proxy."""

    # There is one of each; that of Enum computes a text's, each time.
    __hash__ = object.__hash__

    SEARCH = "search"
    MSEARCH = "msearch"
    SEARCH_TEMPLATE = "search template"
    MSEARCH_TEMPLATE = "msearch template"
    SCROLL = "scroll"
    CLEAR_SCROLL = "clear scroll"
    OPEN_PIT = "open pit"
    CLOSE_PIT = "close pit"
    PIT_SEGMENTS = "pit segments"
    ALL_PITS = "all pits"
    ASYNC_SEARCH = "async search"
    ASYNC_RESULT = "async result"
    ASYNC_STATUS = "async status"
    ASYNC_DELETE = "async delete"
    COUNT = "count"
    EXPLAIN = "explain"
    VALIDATE = "validate"
    BY_QUERY = "by query"
    DOCUMENT = "document"
    BULK = "bulk"
    UPDATE = "update"
    GET_DOCUMENT = "get document"
    GET_SOURCE = "get source"
    MGET = "mget"
    GET_SETTINGS = "get settings"
    PUT_SETTINGS = "put settings"
    CREATE_INDEX = "create index"
    DELETE_INDEX = "delete index"
    REINDEX = "reindex"
    COPY_INDEX = "copy index"
    SETTINGS_ELSEWHERE = "settings elsewhere"
    NAMES_IN_BODY = "names in body"
    NODES = "nodes"
    CAT_NODES = "cat nodes"
    DATA = "data"
    SAFE = "safe"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One line of the table."""

    operation: Operation
    methods: frozenset[str]
    path: tuple[str, ...]
    phases: frozenset[Phase] = frozenset()
    bypasses: frozenset[Phase] = frozenset()
    index: str = "optional"
    """Whether an index stands before the path: "optional", "required" or "none"."""

    @property
    def text(self) -> str:
        """The line as documents and messages show it."""
        prefix = "" if self.index == "none" else "/{index}"
        return f"{','.join(sorted(self.methods))} {prefix}/{'/'.join(self.path)}"


NONE: Final[frozenset[Phase]] = frozenset()
READ: Final[frozenset[Phase]] = frozenset({"query", "result"})
QUERY: Final[frozenset[Phase]] = frozenset({"query"})
RESULT: Final[frozenset[Phase]] = frozenset({"result"})
WRITE: Final[frozenset[Phase]] = frozenset({"document"})
ALL: Final[frozenset[Phase]] = READ | WRITE


def _row(
    operation: Operation,
    methods: str,
    path: str,
    phases: frozenset[Phase] = NONE,
    bypasses: frozenset[Phase] = NONE,
    index: str = "optional",
) -> Endpoint:
    parts = tuple(part for part in path.split("/") if part)
    return Endpoint(operation, frozenset(methods.split()), parts, phases, bypasses, index)


_O = Operation


def _async_rows(path: str) -> Iterator[Endpoint]:
    """OpenSearch's asynchronous searches, wherever its plugin puts them."""
    yield _row(_O.ASYNC_SEARCH, "POST", path, READ)
    yield _row(_O.SAFE, "GET", f"{path}/stats", index="none")
    yield _row(_O.SAFE, "GET", f"{path}/_nodes/{{node}}/stats", index="none")
    yield _row(_O.ASYNC_RESULT, "GET", f"{path}/{{id}}", RESULT, index="none")
    yield _row(_O.ASYNC_DELETE, "DELETE", f"{path}/{{id}}", index="none")


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    _row(_O.SEARCH, "GET POST", "_search", READ),
    _row(_O.MSEARCH, "GET POST", "_msearch", READ),
    _row(_O.SEARCH_TEMPLATE, "GET POST", "_search/template", READ),
    _row(_O.MSEARCH_TEMPLATE, "GET POST", "_msearch/template", READ),
    _row(_O.SCROLL, "GET POST", "_search/scroll", RESULT, index="none"),
    _row(_O.SCROLL, "GET POST", "_search/scroll/{id}", RESULT, index="none"),
    _row(_O.CLEAR_SCROLL, "DELETE", "_search/scroll", index="none"),
    _row(_O.CLEAR_SCROLL, "DELETE", "_search/scroll/{id}", index="none"),
    _row(_O.OPEN_PIT, "POST", "_search/point_in_time", index="required"),
    _row(_O.OPEN_PIT, "POST", "_pit", index="required"),
    _row(_O.CLOSE_PIT, "DELETE", "_search/point_in_time", index="none"),
    _row(_O.CLOSE_PIT, "DELETE", "_pit", index="none"),
    _row(_O.ALL_PITS, "GET DELETE", "_search/point_in_time/_all", index="none"),
    _row(_O.PIT_SEGMENTS, "GET", "_cat/pit_segments", index="none"),
    _row(_O.ASYNC_SEARCH, "POST", "_async_search", READ),
    _row(_O.ASYNC_RESULT, "GET", "_async_search/{id}", RESULT, index="none"),
    _row(_O.ASYNC_STATUS, "GET", "_async_search/status/{id}", index="none"),
    _row(_O.ASYNC_DELETE, "DELETE", "_async_search/{id}", index="none"),
    *_async_rows("_plugins/_asynchronous_search"),
    # The same before OpenSearch had its name
    *_async_rows("_opendistro/_asynchronous_search"),
    _row(_O.COUNT, "GET POST", "_count", QUERY),
    _row(_O.EXPLAIN, "GET POST", "_explain/{id}", QUERY, RESULT, "required"),
    _row(_O.VALIDATE, "GET POST", "_validate/query", QUERY),
    _row(_O.BY_QUERY, "POST", "_delete_by_query", QUERY, index="required"),
    _row(_O.BY_QUERY, "POST", "_update_by_query", QUERY, WRITE, "required"),
    _row(_O.DOCUMENT, "POST", "_doc", WRITE, index="required"),
    _row(_O.DOCUMENT, "PUT POST", "_doc/{id}", WRITE, index="required"),
    _row(_O.DOCUMENT, "PUT POST", "_create/{id}", WRITE, index="required"),
    _row(_O.BULK, "PUT POST", "_bulk", WRITE),
    _row(_O.UPDATE, "POST", "_update/{id}", WRITE, RESULT, "required"),
    _row(_O.GET_DOCUMENT, "GET HEAD", "_doc/{id}", RESULT, QUERY, "required"),
    _row(_O.GET_SOURCE, "GET HEAD", "_source/{id}", RESULT, QUERY, "required"),
    _row(_O.MGET, "GET POST", "_mget", RESULT, QUERY),
    _row(_O.SAFE, "DELETE", "_doc/{id}", index="required"),
    # Settings and the life of indices
    _row(_O.GET_SETTINGS, "GET", "_settings"),
    _row(_O.GET_SETTINGS, "GET", "_settings/{name}"),
    _row(_O.PUT_SETTINGS, "PUT", "_settings"),
    _row(_O.CREATE_INDEX, "PUT", "", index="required"),
    _row(_O.DELETE_INDEX, "DELETE", "", index="required"),
    _row(_O.DELETE_INDEX, "DELETE", "_data_stream/{name}", index="none"),
    _row(_O.GET_SETTINGS, "GET", "", index="required"),
    _row(_O.SAFE, "HEAD", "", index="required"),
    _row(_O.SETTINGS_ELSEWHERE, "PUT POST", "_index_template/{name}", index="none"),
    _row(_O.SETTINGS_ELSEWHERE, "POST", "_index_template/_simulate/{name}", index="none"),
    _row(_O.SETTINGS_ELSEWHERE, "POST", "_index_template/_simulate_index/{name}", index="none"),
    _row(_O.SETTINGS_ELSEWHERE, "PUT POST", "_component_template/{name}", index="none"),
    _row(_O.SETTINGS_ELSEWHERE, "PUT POST", "_template/{name}", index="none"),
    _row(_O.SETTINGS_ELSEWHERE, "POST", "_rollover", index="required"),
    _row(_O.SETTINGS_ELSEWHERE, "POST", "_rollover/{target}", index="required"),
    _row(_O.SETTINGS_ELSEWHERE, "PUT POST", "_create_from/{source}/{target}", NONE, ALL, "none"),
    # What copies documents elsewhere
    _row(_O.REINDEX, "POST", "_reindex", NONE, ALL, "none"),
    _row(_O.COPY_INDEX, "PUT POST", "_clone/{target}", NONE, ALL, "required"),
    _row(_O.COPY_INDEX, "PUT POST", "_split/{target}", NONE, ALL, "required"),
    _row(_O.COPY_INDEX, "PUT POST", "_shrink/{target}", NONE, ALL, "required"),
    _row(_O.DATA, "PUT", "_ccr/follow", NONE, ALL, "required"),
    _row(_O.COPY_INDEX, "POST", "_snapshot/{repository}/{snapshot}/_restore", NONE, ALL, "none"),
    _row(_O.DATA, "PUT POST", "_snapshot/{repository}/{snapshot}", NONE, READ, "none"),
    _row(_O.NAMES_IN_BODY, "GET POST", "_transform/_preview", NONE, READ, "none"),
    _row(_O.NAMES_IN_BODY, "PUT POST", "_transform/{id}", NONE, ALL, "none"),
    _row(_O.NAMES_IN_BODY, "PUT", "_rollup/job/{id}", NONE, ALL, "none"),
    _row(_O.NAMES_IN_BODY, "PUT POST", "_enrich/policy/{name}", NONE, READ, "none"),
    # Other ways documents are read
    _row(_O.DATA, "GET POST", "_rank_eval", NONE, READ),
    _row(_O.DATA, "GET POST", "_termvectors", NONE, READ, "required"),
    _row(_O.DATA, "GET POST", "_termvectors/{id}", NONE, READ, "required"),
    _row(_O.NAMES_IN_BODY, "GET POST", "_mtermvectors", NONE, READ),
    _row(_O.DATA, "GET POST", "_terms_enum", NONE, READ, "required"),
    _row(_O.DATA, "GET POST", "_mvt/{field}/{zoom}/{x}/{y}", NONE, READ, "required"),
    _row(_O.DATA, "GET POST", "_knn_search", NONE, READ, "required"),
    _row(_O.DATA, "GET POST", "_graph/explore", NONE, READ, "required"),
    _row(_O.DATA, "GET POST", "_eql/search", NONE, READ, "required"),
    _row(_O.DATA, "GET POST", "_fleet/_fleet_search", NONE, READ, "required"),
    _row(_O.DATA, "GET POST", "_fleet/_fleet_msearch", NONE, READ),
    _row(_O.DATA, "GET POST", "_rollup_search", NONE, READ, "required"),
    _row(_O.DATA, "GET POST", "_percolate", NONE, READ),
    _row(_O.DATA, "GET POST", "_application/search_application/{name}/_search", NONE, READ, "none"),
    _row(_O.DATA, "POST", "_query", NONE, READ, "none"),
    _row(_O.DATA, "POST", "_query/async", NONE, READ, "none"),
    _row(_O.DATA, "GET POST", "_sql", NONE, READ, "none"),
    _row(_O.DATA, "POST", "_sql/async/{id}", NONE, READ, "none"),
    _row(_O.DATA, "POST", "_plugins/_sql", NONE, READ, "none"),
    _row(_O.DATA, "POST", "_plugins/_ppl", NONE, READ, "none"),
    _row(_O.NAMES_IN_BODY, "GET POST", "_scripts/painless/_execute", NONE, READ, "none"),
    _row(_O.DATA, "GET", "_cat/count", NONE, QUERY, "none"),
    _row(_O.DATA, "GET", "_cat/count/{index}", NONE, QUERY, "none"),
    # Other ways documents are written
    _row(_O.DATA, "POST PUT", "_bulk/stream", NONE, WRITE),
    _row(_O.DATA, "POST", "_monitoring/bulk", NONE, WRITE, "none"),
    # What lists the addresses of nodes
    _row(_O.NODES, "GET", "_nodes", index="none"),
    _row(_O.NODES, "GET", "_nodes/{nodes}", index="none"),
    _row(_O.NODES, "GET", "_nodes/{nodes}/{metrics}", index="none"),
    _row(_O.NODES, "GET", "_nodes/{nodes}/info/{metrics}", index="none"),
    _row(_O.CAT_NODES, "GET", "_cat/nodes", index="none"),
    # Names in bodies
    _row(_O.NAMES_IN_BODY, "POST", "_aliases", index="none"),
    _row(_O.NAMES_IN_BODY, "POST", "_cluster/reroute", index="none"),
    _row(_O.NAMES_IN_BODY, "POST", "_data_stream/_modify", index="none"),
)
SEARCHES: Final = frozenset(each.operation for each in ENDPOINTS if "query" in each.phases)
"""What finds documents by a query, on which query pipelines can run."""

SAFE_BELOW_INDEX: Final = frozenset(
    {
        "_alias",
        "_aliases",
        "_analyze",
        "_block",
        "_cache",
        "_close",
        "_data_stream",
        "_disk_usage",
        "_field_caps",
        "_field_usage_stats",
        "_flush",
        "_forcemerge",
        "_ilm",
        "_lifecycle",
        "_mapping",
        "_mappings",
        "_open",
        "_recovery",
        "_refresh",
        "_reload_search_analyzers",
        "_rollover",
        "_search_shards",
        "_segments",
        "_settings",
        "_shard_stores",
        "_stats",
        "_upgrade",
    }
)
"""What can stand behind a protected index: nothing of a document leaves or enters through it."""

SAFE_ON_CLUSTER: Final = frozenset(
    {
        "_alias",
        "_analyze",
        "_cache",
        "_cat",
        "_cluster",
        "_component_template",
        "_data_stream",
        "_dangling",
        "_features",
        "_field_caps",
        "_flush",
        "_forcemerge",
        "_ilm",
        "_index_template",
        "_ingest",
        "_license",
        "_list",
        "_mapping",
        "_nodes",
        "_recovery",
        "_refresh",
        "_remote",
        "_render",
        "_resolve",
        "_script_context",
        "_script_language",
        "_scripts",
        "_search_shards",
        "_segments",
        "_security",
        "_settings",
        "_shard_stores",
        "_slm",
        "_snapshot",
        "_ssl",
        "_stats",
        "_tasks",
        "_template",
        "_xpack",
    }
)
"""The same for requests that name no index."""


NAMES_AT: Final[Mapping[tuple[str, str], int]] = {
    ("_cat", "count"): 2,
    ("_cat", "indices"): 2,
    ("_cat", "recovery"): 2,
    ("_cat", "segments"): 2,
    ("_cat", "shards"): 2,
    ("_cluster", "health"): 2,
    ("_cluster", "state"): 3,
    ("_list", "indices"): 2,
    ("_list", "shards"): 2,
    ("_resolve", "cluster"): 2,
    ("_resolve", "index"): 2,
}
"""Where names of indices stand in paths that begin with neither: the number of the segment."""

TAKES_NAMES: Final = frozenset(
    {
        "_alias",
        "_cache",
        "_field_caps",
        "_flush",
        "_forcemerge",
        "_mapping",
        "_mappings",
        "_recovery",
        "_refresh",
        "_search_shards",
        "_segments",
        "_settings",
        "_shard_stores",
        "_stats",
        "_upgrade",
    }
)
"""Calls on all indices that take the parameter ``index`` for fewer."""


def _by_shape() -> Mapping[tuple[int, str], tuple[Endpoint, ...]]:
    shapes: dict[tuple[int, str], tuple[Endpoint, ...]] = {}
    for endpoint in ENDPOINTS:
        key = (len(endpoint.path), endpoint.path[0] if endpoint.path else "")
        shapes[key] = (*shapes.get(key, ()), endpoint)
    return shapes


_SHAPES: Final = _by_shape()


def find_endpoint(
    method: str, segments: tuple[str, ...], *, has_index: bool
) -> tuple[Endpoint, dict[str, str]] | None:
    """The line for a path below the index, and what its ``{x}`` stand for."""
    for endpoint in _SHAPES.get((len(segments), segments[0] if segments else ""), ()):
        if method not in endpoint.methods:
            continue
        if (endpoint.index == "required" and not has_index) or (
            endpoint.index == "none" and has_index
        ):
            continue
        values: dict[str, str] = {}
        for wanted, found in zip(endpoint.path, segments, strict=True):
            if wanted.startswith("{"):
                values[wanted[1:-1]] = found
            elif wanted != found:
                break
        else:
            return endpoint, values
    return None
