"""What a request is: pure, from the method and the raw target to an endpoint and its indices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from pipelines.context import Phase
from proxy.http.memo import remembered
from proxy.http.query_string import QueryString
from proxy.protocol.endpoints import (
    NAMES_AT,
    SAFE_BELOW_INDEX,
    SAFE_ON_CLUSTER,
    TAKES_NAMES,
    Endpoint,
    Operation,
    find_endpoint,
)

__all__ = ["Operation", "Target", "read_target"]

_ALL_PHASES: frozenset[Phase] = frozenset({"query", "result", "document"})
# A verb behind a typed document (/{index}/{type}/{id}/_update) and its untyped place.
_TYPED_VERBS = frozenset({"_update", "_create", "_source", "_explain", "_termvectors"})


@dataclass(frozen=True, slots=True)
class Target:
    """A request's operation, the index expressions it names (none: all), and a document's id.

    `path` is the raw path, `query` the raw query string; both go on as they came. `segments` are
    the parts of the path, decoded once; `place` is the number of the one with the names, if any is.
    `parameter` is the one that names indices where the path does not; None where none can.
    `narrowed` says that more stands there than the client wrote. `phases` are those whose pipelines
    run on the endpoint, `bypasses` those a mere pass-through would get past.
    """

    operation: Operation
    path: str
    query: QueryString
    names: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    phases: frozenset[Phase] = frozenset()
    bypasses: frozenset[Phase] = frozenset()
    place: int | None = None
    parameter: str | None = None
    narrowed: bool = False

    @property
    def line(self) -> str:
        """The path and query of the request line."""
        return self.query.after(self.path)

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
    found = find_endpoint(method, _untyped(rest) if index else rest, has_index=index is not None)
    place = 0 if index is not None else _place(found[0] if found else None, segments)
    parameter = _parameter(found[0] if found else None, segments) if place is None else None
    names: tuple[str, ...] = ()
    if place is not None:
        names = expressions(segments[place])
    elif raw_query:
        names = expressions(query.get(parameter or "index") or "")
    target = Target(Operation.OTHER, path, query, names, segments, place=place, parameter=parameter)
    if found is not None:
        endpoint, values = found
        return replace(
            target,
            operation=endpoint.operation,
            values=values,
            phases=endpoint.phases,
            bypasses=endpoint.bypasses,
        )
    if not rest or rest[0] in (SAFE_BELOW_INDEX if index else SAFE_ON_CLUSTER):
        return replace(target, operation=Operation.SAFE)
    return replace(target, bypasses=_ALL_PHASES)


def with_names(target: Target, more: Iterable[str]) -> Target:
    """The request on its index expressions (none: all) and `more`; nothing else of it changes.

    Only where the path has names, or a parameter can.
    """
    added = ",".join(more)
    names = (*(target.names or ("*",)), *expressions(added))
    if names[0] == "_all":
        # In a list it is no name of the backend's.
        names = ("*", *names[1:])
    if target.place is None:
        assert target.parameter is not None
        query = target.query.without({target.parameter})
        query = query.with_parameter(target.parameter, ",".join(names))
        return replace(target, query=query, names=names, narrowed=True)
    parts = target.path.split("/")
    position = [number for number, part in enumerate(parts) if part][target.place]
    written = "*" if target.names == ("_all",) else parts[position]
    parts[position] = f"{written},{quote(added, safe=',*:')}"
    segments = list(target.segments)
    segments[target.place] = ",".join(names)
    path = "/".join(parts)
    return replace(target, path=path, names=names, segments=tuple(segments), narrowed=True)


def _place(endpoint: Endpoint | None, segments: tuple[str, ...]) -> int | None:
    """The number of the segment with names, in a path that does not begin with them."""
    if endpoint is not None and "{index}" in endpoint.path:
        return endpoint.path.index("{index}")
    if len(segments) < 3:
        return None
    place = NAMES_AT.get((segments[0], segments[1]))
    return place if place is not None and place < len(segments) else None


def _parameter(endpoint: Endpoint | None, segments: tuple[str, ...]) -> str | None:
    """The parameter that can name the indices of a call on all of them."""
    if len(segments) > 1 and (segments[0], segments[1]) in NAMES_AT:
        return "indices" if segments[1] == "state" else "index"
    optional = endpoint is not None and endpoint.index == "optional"
    return "index" if optional or (segments and segments[0] in TAKES_NAMES) else None


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
