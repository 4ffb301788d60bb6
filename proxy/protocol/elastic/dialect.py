"""Calls of an Elasticsearch client that OpenSearch has too, but spells in another way.

What is here differs in method, path, parameter and member names alone, and in members that a
response lacks. A call whose meaning differs is not translated: OpenSearch's own response tells the
client more than half a result would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from proxy.http.errors import ErrorResponse
from proxy.http.query_string import QueryString
from proxy.protocol.elastic import members
from proxy.protocol.elastic.hints import USUAL, hints, path_of
from proxy.protocol.target import Operation, read_target

Translated = tuple[int, bytes]
"""Status and body of a response."""
Asked = tuple[bytes, Mapping[str, str]]
"""Body of a request, and parameters that are added to its URL."""


def _same(path: str, query: QueryString) -> str:
    return query.after(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """One call in both spellings, and how one becomes the other.

    `elasticsearch` and `opensearch` name it for the documents. `method` is OpenSearch's, "" where
    it is the client's. `target` takes the raw path and the query string; `body` the request's body,
    None where it goes on as it came; `response` the text of a response and of `detail`'s, and
    returns what Elasticsearch would have said, None where that is the same. `detail` takes a
    response and the path asked for, and names what has to be asked besides. `statuses` are those it
    is for.

    `calls` are the methods and the shape of the path that tell it, `mark` what is in the path of
    each and says that a look is worth it. With `whole` a response of which parts are left out
    (``filter_path``) stays as it is.
    """

    elasticsearch: str
    opensearch: str
    method: str = ""
    target: Callable[[str, QueryString], str] = _same
    body: Callable[[bytes], Asked] | None = None
    response: Callable[[str, str], tuple[int, str]] | None = None
    detail: Callable[[str, str], str | None] | None = None
    statuses: frozenset[int] = frozenset({200})
    mark: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    whole: bool = False

    def needs(self, status: int, body: bytes, path: str) -> str | None:
        """The target that has to be asked before a response can be translated."""
        if self.detail is None or status not in self.statuses:
            return None
        try:
            return self.detail(body.decode(), path)
        except (ValueError, TypeError, AttributeError):
            return None

    def translated(self, status: int, body: bytes, detail: bytes = b"{}") -> Translated:
        """A response of OpenSearch in the spelling of Elasticsearch; errors stay what they are."""
        if self.response is None or status not in self.statuses:
            return status, body
        try:
            said, text = self.response(body.decode(), detail.decode())
        except (ValueError, KeyError, TypeError, AttributeError):
            return status, body
        return (said if status == 200 else status), text.encode()


def translation_of(method: str, raw_target: str, old: bool = False) -> Translation | None:
    """How OpenSearch spells a call; None for one that it spells the same, or does not have.

    `old` is a client of 7.x.
    """
    if _MARKS.search(raw_target) is None:
        return None
    target = read_target(method, raw_target)
    # A trailing slash or an encoded letter still names the call.
    segments = target.segments
    if not segments:
        return (INFO_FOR_7 if old else INFO) if method == "GET" else None
    if segments[-1] == "_pit":
        return _PITS.get(target.operation)
    path = path_of(segments)
    for translation, methods, shape in _SHAPES:
        is_whole = not (translation.whole and target.query.get("filter_path"))
        if method in methods and is_whole and shape.fullmatch(path):
            return translation
    return HINTS if hints(segments, target.query) else None


def translated_target(translation: Translation, raw_target: str) -> str:
    """The path and query OpenSearch expects for a call."""
    path, _, raw = raw_target.partition("?")
    segments = read_target("GET", raw_target).segments
    query = QueryString(raw)
    return translation.target(path.rstrip("/") or "/", query.without(hints(segments, query)))


# Points in time


def _open_target(path: str, query: QueryString) -> str:
    # The response is made anew and small; filtered by the other spelling it would be empty.
    partial = query.get("allow_partial_search_results")
    # Elasticsearch opens no partial point in time unless told to, OpenSearch does unless told not.
    # How many shards are asked at once is a hint, which OpenSearch does not take here.
    kept = query.without(
        {"allow_partial_search_results", "max_concurrent_shard_requests", "filter_path"}
    )
    query = kept.with_parameter("allow_partial_pit_creation", partial or "false")
    return query.after(f"{path.rpartition('/')[0]}/_search/point_in_time")


def _opened(text: str, _: str) -> tuple[int, str]:
    response = orjson.loads(text)
    said = {"id": response["pit_id"], "_shards": response["_shards"]}
    return 200, orjson.dumps(said).decode()


def _close_target(path: str, query: QueryString) -> str:
    return query.without({"filter_path"}).after("/_search/point_in_time")


def _close_body(body: bytes) -> Asked:
    try:
        pit_id = orjson.loads(body)["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pit_id = None
    if not isinstance(pit_id, str):
        raise ErrorResponse(
            400,
            "illegal_argument_exception",
            'the body of [DELETE /_pit] does not name the point in time; send {"id": "..."}',
        )
    return orjson.dumps({"pit_id": [pit_id]}), {}


def _closed(text: str, _: str) -> tuple[int, str]:
    freed = sum(pit["successful"] is True for pit in orjson.loads(text)["pits"])
    said = {"succeeded": freed > 0, "num_freed": freed}
    return (200 if freed else 404), orjson.dumps(said).decode()


# Fields


def _names(value: Any) -> list[str] | None:
    """A list of fields, or text with commas between them; None for anything else."""
    if isinstance(value, str):
        return [part for part in value.split(",") if part]
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return value
    return None


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _field_caps_body(body: bytes) -> Asked:
    asked = _object(body)
    names = _names(asked.pop("fields", None))
    if names is None:
        return body, {}
    return (orjson.dumps(asked) if asked else b""), {"fields": ",".join(names)}


def _listed(asked: dict[str, Any]) -> bool:
    """Make a list of the fields of one request; whether that changed it."""
    value = asked.get("fields")
    if not isinstance(value, str):
        return False
    asked["fields"] = _names(value)
    return True


def _term_vectors_body(body: bytes) -> Asked:
    asked = _object(body)
    parts = [asked, *(part for part in asked.get("docs") or () if isinstance(part, dict))]
    changed = [_listed(part) for part in parts]
    return (orjson.dumps(asked) if any(changed) else body), {}


def _nothing(body: bytes) -> Asked:
    # The only member there is names projects, which OpenSearch has not.
    return (b"" if not _object(body) else body), {}


# Members that responses lack


def _health_detail(text: str, path: str) -> str | None:
    return f"{path}?level=shards" if members.has_unassigned(text) else None


def _nodes_detail(text: str, path: str) -> str | None:
    return members.NODES


# Nothing but the server's name.
_ROOT: Final = r"^/?(?:\?|$)"
OPEN_PIT: Final = Translation(
    elasticsearch="POST /{index}/_pit",
    opensearch="POST /{index}/_search/point_in_time",
    target=_open_target,
    response=_opened,
    mark="_pit",
)
CLOSE_PIT: Final = Translation(
    elasticsearch="DELETE /_pit",
    opensearch="DELETE /_search/point_in_time",
    target=_close_target,
    body=_close_body,
    response=_closed,
    mark="_pit",
)
FIELD_CAPS: Final = Translation(
    elasticsearch="POST /{index}/_field_caps",
    opensearch="POST /{index}/_field_caps?fields=",
    body=_field_caps_body,
    mark="_field_caps",
    calls=(("GET POST", r"([^_/][^/]*/|_all/)?_field_caps"),),
)
TERM_VECTORS: Final = Translation(
    elasticsearch="POST /{index}/_termvectors/{id}",
    opensearch="POST /{index}/_termvectors/{id}",
    body=_term_vectors_body,
    mark="termvectors",
    calls=(
        ("GET POST", r"[^_/]+/_termvectors(/.+)?"),
        ("GET POST", r"([^_/]+/)?_mtermvectors"),
    ),
)
RESOLVE: Final = Translation(
    elasticsearch="POST /_resolve/index/{name}",
    opensearch="GET /_resolve/index/{name}",
    method="GET",
    body=_nothing,
    mark="_resolve",
    calls=(("POST", r"_resolve/index/.+"),),
)
CAT_COUNT: Final = Translation(
    elasticsearch="POST /_cat/count/{index}",
    opensearch="GET /_cat/count/{index}",
    method="GET",
    body=_nothing,
    mark="_cat/count",
    calls=(("POST", r"_cat/count(/.+)?"),),
)
HINTS: Final = Translation(
    elasticsearch="{call}?{hint}",
    opensearch="{call}",
    mark="|".join(("timeout=", *USUAL)),
)
INFO: Final = Translation(
    elasticsearch="GET /",
    opensearch="GET /",
    response=lambda text, _: (200, members.info(text)),
    mark=_ROOT,
)
INFO_FOR_7: Final = Translation(
    elasticsearch="GET /, of 7.x",
    opensearch="GET /",
    response=lambda text, _: (200, members.info_for_7(text)),
    mark=_ROOT,
)
HEALTH: Final = Translation(
    elasticsearch="GET /_cluster/health/{index}",
    opensearch="GET /_cluster/health/{index}",
    response=lambda text, detail: (200, members.health(text, detail)),
    detail=_health_detail,
    # A health that was waited for in vain is told with the second.
    statuses=frozenset({200, 408}),
    mark="_cluster/health",
    calls=(("GET", r"_cluster/health(/.+)?"),),
    whole=True,
)
SEARCH_SHARDS: Final = Translation(
    elasticsearch="GET /{index}/_search_shards",
    opensearch="GET /{index}/_search_shards",
    response=lambda text, detail: (200, members.search_shards(text, detail)),
    detail=_nodes_detail,
    mark="_search_shards",
    calls=(("GET POST", r"([^_/][^/]*/|_all/)?_search_shards"),),
    whole=True,
)
SHARD_STORES: Final = Translation(
    elasticsearch="GET /{index}/_shard_stores",
    opensearch="GET /{index}/_shard_stores",
    response=lambda text, detail: (200, members.shard_stores(text, detail)),
    detail=_nodes_detail,
    mark="_shard_stores",
    calls=(("GET", r"([^_/][^/]*/|_all/)?_shard_stores"),),
    whole=True,
)
ALLOCATION: Final = Translation(
    elasticsearch="GET /_cluster/allocation/explain",
    opensearch="GET /_cluster/allocation/explain",
    response=lambda text, detail: (200, members.allocation(text, detail)),
    detail=_nodes_detail,
    mark="_cluster/allocation",
    calls=(("GET POST", r"_cluster/allocation/explain"),),
    whole=True,
)
DATA_STREAMS: Final = Translation(
    elasticsearch="GET /_data_stream/{name}",
    opensearch="GET /_data_stream/{name}",
    response=lambda text, _: (200, members.data_streams(text)),
    mark="_data_stream",
    calls=(("GET", r"_data_stream(/[^/_][^/]*)?"),),
    whole=True,
)
TRANSLATIONS: Final = (
    OPEN_PIT,
    CLOSE_PIT,
    FIELD_CAPS,
    TERM_VECTORS,
    RESOLVE,
    CAT_COUNT,
    INFO,
    INFO_FOR_7,
    HEALTH,
    SEARCH_SHARDS,
    SHARD_STORES,
    ALLOCATION,
    DATA_STREAMS,
    HINTS,
)
_PITS: Final = {Operation.OPEN_PIT: OPEN_PIT, Operation.CLOSE_PIT: CLOSE_PIT}
_SHAPES: Final = tuple(
    (each, frozenset(methods.split()), re.compile(shape))
    for each in TRANSLATIONS
    for methods, shape in each.calls
)
_MARKS: Final = re.compile("|".join(dict.fromkeys(each.mark for each in TRANSLATIONS)))
