"""Calls of an Elasticsearch client that OpenSearch has too, but spells in another way.

What is here differs in path, parameter and member names alone. A call whose meaning differs is
not translated: OpenSearch's own answer tells the client more than half a result would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from proxy.errors import ErrorAnswer
from proxy.query_string import QueryString
from proxy.target import Operation, read_target

Answered = tuple[int, bytes]
"""Status and body of an answer."""


@dataclass(frozen=True, slots=True)
class Translation:
    """One call in both spellings, and how one becomes the other.

    `elasticsearch` and `opensearch` name it for the documents. `target` takes the raw path and the
    query string; `body` the request's body, None where it goes on as it came; `answer` the parsed
    body of an answer with status 200, and returns what Elasticsearch would have said.
    """

    elasticsearch: str
    opensearch: str
    target: Callable[[str, QueryString], str]
    body: Callable[[bytes], bytes] | None
    answer: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]

    def answered(self, status: int, body: bytes) -> Answered:
        """An answer of OpenSearch in the spelling of Elasticsearch; errors stay what they are."""
        if status != 200:
            return status, body
        try:
            status, said = self.answer(orjson.loads(body))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return 200, body
        return status, orjson.dumps(said)


def translation_of(method: str, raw_target: str) -> Translation | None:
    """How OpenSearch spells a call; None for one that it spells the same, or does not have."""
    if "_pit" not in raw_target:
        return None
    target = read_target(method, raw_target)
    # A trailing slash or an encoded letter still names the call.
    return _BY_OPERATION.get(target.operation) if target.segments[-1:] == ("_pit",) else None


def translated_target(translation: Translation, raw_target: str) -> str:
    """The path and query OpenSearch expects for a call."""
    path, _, query = raw_target.partition("?")
    # The answer is made anew and small; filtered by the other spelling it would be empty.
    return translation.target(path.rstrip("/"), QueryString(query).without({"filter_path"}))


def _open_target(path: str, query: QueryString) -> str:
    partial = query.get("allow_partial_search_results")
    # Elasticsearch opens no partial point in time unless told to, OpenSearch does unless told not.
    # How many shards are asked at once is a hint, which OpenSearch does not take here.
    kept = query.without({"allow_partial_search_results", "max_concurrent_shard_requests"})
    query = kept.with_parameter("allow_partial_pit_creation", partial or "false")
    return query.after(f"{path.rpartition('/')[0]}/_search/point_in_time")


def _opened(answer: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"id": answer["pit_id"], "_shards": answer["_shards"]}


def _close_target(path: str, query: QueryString) -> str:
    return query.after("/_search/point_in_time")


def _close_body(body: bytes) -> bytes:
    try:
        pit_id = orjson.loads(body)["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pit_id = None
    if not isinstance(pit_id, str):
        raise ErrorAnswer(
            400,
            "illegal_argument_exception",
            'the body of [DELETE /_pit] does not name the point in time; send {"id": "..."}',
        )
    return orjson.dumps({"pit_id": [pit_id]})


def _closed(answer: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    freed = sum(pit["successful"] is True for pit in answer["pits"])
    return (200 if freed else 404), {"succeeded": freed > 0, "num_freed": freed}


OPEN_PIT: Final = Translation(
    "POST /{index}/_pit", "POST /{index}/_search/point_in_time", _open_target, None, _opened
)
CLOSE_PIT: Final = Translation(
    "DELETE /_pit", "DELETE /_search/point_in_time", _close_target, _close_body, _closed
)
TRANSLATIONS: Final = (OPEN_PIT, CLOSE_PIT)
_BY_OPERATION: Final = {Operation.OPEN_PIT: OPEN_PIT, Operation.CLOSE_PIT: CLOSE_PIT}
