"""What a request is: pure, from the method and the raw target to an operation and its indices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from proxy.query_string import QueryString


class Operation(Enum):
    """What the proxy has to know of a request; everything else is `OTHER` and passes."""

    SEARCH = "search"
    DOCUMENT = "document"
    BULK = "bulk"
    GET_SETTINGS = "get settings"
    PUT_SETTINGS = "put settings"
    CREATE_INDEX = "create index"
    DELETE_INDEX = "delete index"
    NAMES_IN_BODY = "names in body"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Target:
    """A request's operation, the index expressions it names (none: all), and a document's id.

    `path` is the raw path, `query` the raw query string; both go on as they came. `segments` are
    the parts of the path, decoded.
    """

    operation: Operation
    path: str
    query: QueryString
    names: tuple[str, ...] = ()
    id: str | None = None
    segments: tuple[str, ...] = ()

    @property
    def index(self) -> str:
        """The index expression as the client wrote it, for messages and for UDFs."""
        return ",".join(self.names)


# Endpoints whose bodies name indices, and so could name the store.
_NAMES_IN_BODY = frozenset({"_msearch", "_mget", "_reindex", "_aliases", "_mtermvectors"})
_NAMES_IN_BODY_PATHS = frozenset({("_msearch", "template"), ("_search", "template")})


def read_target(method: str, raw_target: str) -> Target:
    """Classify a request. `raw_target` is the path and query of the request line, undecoded."""
    path, _, raw_query = raw_target.partition("?")
    query = QueryString(raw_query)
    # Segments are told apart before they are decoded: an id may hold an encoded slash.
    segments = [unquote(part) for part in path.split("/") if part]
    operation, names, doc_id = _classify(method, segments)
    if not names and "index" in raw_query:
        names = _expressions(query.get("index") or "")
    return Target(operation, path, query, names, doc_id, tuple(segments))


def _classify(method: str, segments: list[str]) -> tuple[Operation, tuple[str, ...], str | None]:
    index = ""
    if (segments and not segments[0].startswith("_")) or (segments and segments[0] == "_all"):
        index, *segments = segments
    names = _expressions(index)
    match method, segments:
        case (("GET" | "POST"), ["_search"]):
            return Operation.SEARCH, names, None
        case (("PUT" | "POST"), ["_doc" | "_create", doc_id]) if names:
            return Operation.DOCUMENT, names, doc_id
        case "POST", ["_doc"] if names:
            return Operation.DOCUMENT, names, None
        case (("PUT" | "POST"), ["_bulk"]):
            return Operation.BULK, names, None
        case "GET", ["_settings", *_]:
            return Operation.GET_SETTINGS, names, None
        case "PUT", ["_settings"]:
            return Operation.PUT_SETTINGS, names, None
        case "PUT", [] if names:
            return Operation.CREATE_INDEX, names, None
        case "DELETE", [] if names:
            return Operation.DELETE_INDEX, names, None
        case _, [endpoint] if endpoint in _NAMES_IN_BODY:
            return Operation.NAMES_IN_BODY, names, None
        case _, [first, second] if (first, second) in _NAMES_IN_BODY_PATHS:
            return Operation.NAMES_IN_BODY, names, None
    return Operation.OTHER, names, None


def _expressions(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)
