"""The searches of an msearch on their way: their pipelines, their runs, and what came of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipelines.jsontext.slices import Slice
from pipelines.payload import Payload
from proxy.protocol.bodies.msearch_body import MsearchItem
from proxy.protocol.resume_id import Memory
from proxy.server.errors import response_for
from proxy.traffic.failed_shards import failed_shards_of
from proxy.traffic.response_format import ResponseForm
from proxy.traffic.runs import Runs
from proxy.traffic.search_run import SearchRun
from proxy.traffic.selection import Selection
from proxy.upstream.response import UpstreamResponse

_NOTHING = Payload("{}", {})
_NO_SEARCH = SearchRun((), (), _NOTHING)


@dataclass(slots=True)
class Work:
    """An item with its pipelines and runs.

    `search` is what it asks for, `sent` what query pipelines made of that, `finished` the response.
    `alone` is the response to an item that had to be sent by itself, `refused` one that refuses it
    as the client wrote it.
    """

    item: MsearchItem
    selection: Selection
    runs: Runs
    search: SearchRun = _NO_SEARCH
    sent: Payload = _NOTHING
    touched: bool = False
    failure: dict[str, Any] | None = None
    alone: str | None = None
    memory: Memory | None = None
    rendered: bool = False
    refused: bytes = b""
    finished: str = ""


@dataclass(slots=True)
class Responses:
    """What the backend returned for all of them.

    Without a `form` it is to be passed on as it comes; `response` is None where nothing was left to
    be sent. `raw` is the body, `text` the same and `whole` where the responses lie in it, where
    they can be told apart and have to be.
    """

    response: UpstreamResponse | None
    form: ResponseForm | None = None
    raw: bytes | None = None
    text: str = ""
    whole: Slice | None = None


def needs_work(works: list[Work]) -> bool:
    """Whether a response is another than the backend gave."""
    return any(
        work.failure is not None
        or work.alone is not None
        or work.memory is not None
        or work.selection.result
        or work.runs.metadata
        for work in works
    )


_REFUSED: Final = b'"status":400'
_SOME_FAILED: Final = re.compile(rb'"failed":(?!0[,}])')


def judged_items(raw: bytes, works: list[Work]) -> list[Work]:
    """The items with a response of 400; others are told of shards that failed on what changed."""
    if _REFUSED not in raw and _SOME_FAILED.search(raw) is None:
        return []
    responses = orjson.loads(raw)["responses"]
    sent = [work for work in works if work.item.local is None]
    refused: list[Work] = []
    for work, response in zip(sent, responses, strict=True):
        if response.get("status") == 400:
            refused.append(work)
        elif work.runs.changed and (failed := failed_shards_of(response)) is not None:
            work.runs.failed_in_part(failed)
    return refused


def is_refused(response: Any) -> bool:
    """Whether the only search of an msearch was refused."""
    responses = response.get("responses") if isinstance(response, dict) else None
    return bool(responses and responses[0].get("status") == 400)


def together(works: list[Work]) -> Runs:
    first, *others = (work.runs for work in works)
    for runs in others:
        first.take(runs)
    return first


def failure_of(error: Exception, request_id: str) -> dict[str, Any]:
    """An item's response to an error, as the backend gives it."""
    shown: dict[str, Any] = orjson.loads(response_for(error, request_id).body())
    return shown
