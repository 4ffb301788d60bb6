"""What a request is: pure, from the method and the raw target to an endpoint and its indices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from pipelines.context import Phase
from proxy.endpoints import SAFE_BELOW_INDEX, SAFE_ON_CLUSTER, Operation, find_endpoint
from proxy.query_string import QueryString
from proxy.remember import remembered

__all__ = ["Operation", "Target", "read_target"]

_ALL_PHASES: frozenset[Phase] = frozenset({"query", "result", "document"})
# A verb behind a typed document (/{index}/{type}/{id}/_update) and its untyped place.
_TYPED_VERBS = frozenset({"_update", "_create", "_source", "_explain", "_termvectors"})


@dataclass(frozen=True, slots=True)
class Target:
    """A request's operation, the index expressions it names (none: all), and a document's id.

    `path` is the raw path, `query` the raw query string; both go on as they came. `segments` are
    the parts of the path, decoded once. `phases` are those whose pipelines run on the endpoint,
    `bypasses` those a mere pass-through would get past.
    """

    operation: Operation
    path: str
    query: QueryString
    names: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    phases: frozenset[Phase] = frozenset()
    bypasses: frozenset[Phase] = frozenset()

    @property
    def id(self) -> str | None:
        """The document's id (or the scroll's or the search's), where the path has one."""
        return self.values.get("id")

    @property
    def index(self) -> str:
        """The index expression as the client wrote it, for messages and for UDFs."""
        return ",".join(self.names)


@remembered
def read_target(method: str, raw_target: str) -> Target:
    """Classify a request. `raw_target` is the path and query of the request line, undecoded.

    An endpoint nobody knows can bypass every phase: on a protected index it is refused.
    """
    path, mark, raw_query = raw_target.partition("?")
    query = QueryString(raw_query, bare=bool(mark) and not raw_query)
    # Segments are told apart before they are decoded: an id may hold an encoded slash.
    segments = tuple(unquote(part) for part in path.split("/") if part)
    index, rest = _split_index(segments)
    names = expressions(index or "")
    if not names and "index" in raw_query:
        names = expressions(query.get("index") or "")
    found = find_endpoint(method, _untyped(rest) if index else rest, has_index=index is not None)
    if found is None:
        harmless = not rest or rest[0] in (SAFE_BELOW_INDEX if index else SAFE_ON_CLUSTER)
        operation = Operation.SAFE if harmless else Operation.OTHER
        bypasses = frozenset[Phase]() if harmless else _ALL_PHASES
        return Target(operation, path, query, names, segments, bypasses=bypasses)
    endpoint, values = found
    if "index" in values:
        names = expressions(values["index"])
    return Target(
        endpoint.operation,
        path,
        query,
        names,
        segments,
        values,
        endpoint.phases,
        endpoint.bypasses,
    )


def expressions(text: str) -> tuple[str, ...]:
    """The parts of an index expression."""
    return tuple(part for part in text.split(",") if part)


def _split_index(segments: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The segment that names indices, and what stands behind it."""
    if segments and (segments[0].split(",")[0] == "_all" or not segments[0].startswith("_")):
        return segments[0], segments[1:]
    return None, segments


def _untyped(rest: tuple[str, ...]) -> tuple[str, ...]:
    """A path below an index without the type that 7.x clients may put there."""
    if len(rest) == 3 and rest[0] == "_doc" and rest[2] in _TYPED_VERBS:
        return (rest[2], rest[1])
    if not rest or rest[0].startswith("_"):
        return rest
    below = rest[1:]
    if not below:
        return ("_doc",)
    if below[0].startswith("_"):
        return below
    if len(below) == 2 and below[1] in _TYPED_VERBS:
        return (below[1], below[0])
    return ("_doc", *below)
