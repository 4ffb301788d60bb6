"""The documents of a bulk that get the same pipelines, run in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from pipelines.context import Context
from pipelines.errors import DroppedError, RejectedError
from pipelines.execution.batch import Batches, BatchRun
from pipelines.payload import Document
from proxy.handlers.writes.document import item_error, noop
from proxy.http.errors import ErrorResponse
from proxy.protocol.bodies.bulk_body import BulkItem
from proxy.server.request_id import new_id
from proxy.traffic.runs import Runs, response_of
from proxy.traffic.selection import Chosen

BATCH_BYTES: Final = 256 * 1024
"""Of the documents of one batch; one that is larger is run by itself."""
AT_ONCE: Final = 2
"""Batches of one bulk: while one is read or written here, another is in its sandbox."""
SHARED_DOCUMENTS: Final = 64
"""From so many on, documents are shared out among batches."""
LEAST_DOCUMENTS: Final = 8
"""Fewer are sooner run one by one than handed to another thread."""


class BulkBatches:
    """Runs `index` and `create` items; what a batch does not settle is left to be run alone."""

    def __init__(self, batches: Batches, *, max_bytes: int) -> None:
        """`max_bytes` is the size of the largest document that pipelines are given at all."""
        self._batches = batches
        self._largest = min(max_bytes, BATCH_BYTES)

    async def run(
        self,
        items: list[BulkItem],
        places: Sequence[int],
        chosen: Chosen,
        *,
        index: str,
        headers: dict[str, str],
        runs: Runs,
    ) -> list[int]:
        """Put what became of the items at `places` there; gives the places that are left."""
        if len(places) < LEAST_DOCUMENTS:
            return list(places)
        left: list[int] = []
        waiting = list(reversed(places))
        at_once = AT_ONCE if len(places) >= SHARED_DOCUMENTS else 1
        share = -(-len(places) // at_once)

        context = Context(
            id="", phase="document", index=index, request_id=runs.request_id, headers=headers
        )

        async def work() -> None:
            while waiting and (room := self._batches.room(chosen)):
                taken, documents = self._fill(items, waiting, min(room, share), left)
                if not taken:
                    continue
                run = await self._batches.run(chosen, documents, context, new_id)
                _settle(items, taken, run, index, left)
                for pipeline, took_ms in run.took_ms:
                    runs.add(pipeline, took_ms)

        async with asyncio.TaskGroup() as group:
            for number in range(at_once):
                group.create_task(work(), name=f"bulk batches {number}")
        return left + waiting[::-1]

    def _fill(
        self, items: list[BulkItem], waiting: list[int], room: int, left: list[int]
    ) -> tuple[list[int], list[Document]]:
        """The next of the documents that are `waiting`, from its end, and their places."""
        taken: list[int] = []
        documents: list[Document] = []
        size = 0
        while waiting and len(taken) < room:
            place = waiting[-1]
            item = items[place]
            source = item.source or b""
            size += len(source)
            if size > BATCH_BYTES and taken:
                break
            waiting.pop()
            try:
                text = source.rstrip(b"\r").decode() if len(source) <= self._largest else None
            except UnicodeDecodeError:
                text = None
            if text is None:
                size -= len(source)
                left.append(place)
            else:
                taken.append(place)
                documents.append(Document(item.id, text))
        return taken, documents


def _settle(
    items: list[BulkItem], places: list[int], run: BatchRun, index: str, left: list[int]
) -> None:
    for number, (place, end) in enumerate(zip(places, run.ends, strict=True)):
        item = items[place]
        if isinstance(end, Document):
            if end.changed:
                items[place] = item.with_source(end.text)
        elif end is None:
            left.append(place)
        elif isinstance(end, DroppedError):
            items[place] = item.with_response({**noop(index, item.id), "status": 200})
        else:
            items[place] = _refused(item, index, end, run.ids[number])


def _refused(item: BulkItem, index: str, error: RejectedError, id: str) -> BulkItem:
    response = response_of(error, id)
    assert isinstance(response, ErrorResponse)
    return item.with_response(item_error(index, item.id, response))
