"""Documents that go through a UDF together: one call into the sandbox, one line of answer each.

A batch is for documents that end well. Of one that does not, or that asks for more care than it
gets here, nothing is told but that it is to be run by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from pipelines.errors import StageError
from pipelines.graft import graft, is_as_written, is_plain
from pipelines.json_text import fits_orjson
from pipelines.projection import Projection
from pipelines.wasm import reply
from pipelines.wasm.call import Limits
from pipelines.wasm.log import RunLog

ANSWER_CHARS: Final = 8 * 1024 * 1024
"""What the documents of a batch may come to together; the rest is run one by one."""


class Document(NamedTuple):
    """A document on its way through stages: before one, or as one left it.

    `text` is its JSON on one line, `data` the same parsed, None if nobody did yet. `state` and
    `metadata` are what the next stage is given. `log` holds the lines of the stage it comes from.
    Once `rejected` (reason and status) or `dropped` it goes no further.
    """

    id: str | None
    text: str
    data: dict[str, Any] | None = None
    changed: bool = False
    state: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}
    log: Sequence[str] = ()
    rejected: tuple[str, int] | None = None
    dropped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Documents with what is the same for all: `context` as that of a `Call`, `id` left out."""

    documents: Sequence[Document]
    context: Mapping[str, object]
    projection: Projection | None = None


class Prepared:
    """A batch as JSON text, and how its answer is read. For one use, on one thread."""

    def __init__(self, batch: Batch, limits: Limits) -> None:
        self._batch = batch
        self._limits = limits
        # Of the documents that are in the call, one beside the other.
        self._places: list[int] = []
        self._datas: list[dict[str, Any]] = []
        self._given: list[str] = []
        # One look at all texts costs a fifth of one at each.
        all_fit = fits_orjson("\n".join([document.text for document in batch.documents]))
        for place, document in enumerate(batch.documents):
            if all_fit or fits_orjson(document.text):
                self._take(place, document)

    def text(self) -> str:
        """The call, its parts joined and not parsed."""
        batch, limits = self._batch, self._limits
        taken = [batch.documents[place] for place in self._places]
        around = {
            "phase": "document",
            "request": None,
            "limit": limits.output_bytes,
            "log": limits.log_bytes,
            "room": ANSWER_CHARS,
            "context": batch.context,
            "ids": [document.id for document in taken],
            "carried": {
                str(number): (document.state, document.metadata)
                for number, document in enumerate(taken)
                if document.state or document.metadata
            },
        }
        return f'{orjson.dumps(around).decode()[:-1]},"batch":[{",".join(self._given)}]}}'

    def read(self, answer: str) -> list[Document | None]:
        """Each document as the stage left it, None for those to be run by themselves."""
        ends: list[Document | None] = [None] * len(self._batch.documents)
        all_fit = fits_orjson(answer)
        # Documents the sandbox did not come to have no line.
        lines = answer.split("\n")[: len(self._places)] if answer else []
        for place, data, line in zip(self._places, self._datas, lines, strict=False):
            try:
                ends[place] = self._read(self._batch.documents[place], data, line, all_fit)
            except (StageError, ValueError, TypeError, RecursionError):
                continue
        return ends

    def _take(self, place: int, document: Document) -> None:
        """Put a document in, unless it has to be run by itself."""
        try:
            data = orjson.loads(document.text) if document.data is None else document.data
            # What is nested too deeply to be written again is too deep for others to go along with.
            orjson.dumps(data)
            given, projection = document.text, self._batch.projection
            if projection is not None:
                given = projection.text(given, data)
            size = reply.byte_length(given)
        except (ValueError, TypeError, RecursionError):
            return
        if isinstance(data, dict) and size <= self._limits.input_bytes:
            self._places.append(place)
            self._datas.append(data)
            self._given.append(given)

    def _read(
        self, before: Document, old: dict[str, Any], line: str, fits: bool
    ) -> Document | None:
        *heads, text = line.split("\t")
        log: Sequence[str] = ()
        state: Mapping[str, Any] = {}
        metadata = before.metadata
        if heads:
            if len(line) - len(text) > reply.HEADER_BYTES or len(heads) > 2:
                return None
            ending = reply.read_ending(orjson.loads(heads[-1]))
            state, metadata = ending.state, {**metadata, **ending.metadata}
            log = self._log(orjson.loads(heads[0])) if len(heads) == 2 else ()
            if ending.rejected or ending.dropped:
                return before._replace(log=log, rejected=ending.rejected, dropped=ending.dropped)
        found = self._changed(before.text, old, text, fits or fits_orjson(text))
        if found is None:
            return None
        text, data, changed = found
        return Document(before.id, text, data, before.changed or changed, state, metadata, log)

    def _changed(
        self, before: str, old: dict[str, Any], text: str, fits: bool
    ) -> tuple[str, dict[str, Any], bool] | None:
        """What became of the text `before`, which was parsed as `old`, and whether it differs."""
        projection = self._batch.projection
        data = reply.read_payload(text, self._limits.output_bytes)
        if projection is not None:
            data = projection.merged(old, data)
        # Kept for 500 documents, what orjson returns would be most of the work: it is made anew.
        written, new = orjson.dumps(old), orjson.dumps(data)
        if not fits and (new == written or projection is not None):
            # What orjson reads as equal, or would write, may not be what stands there.
            return None
        if new == written:
            return before, old, False
        if projection is not None:
            text = new.decode()
        if "\r" in text:
            return None
        if is_as_written(before, written):
            return text, data, True
        if fits and is_plain(before, written):
            return new.decode(), data, True
        return graft(before, text), data, True

    def _log(self, lines: Any) -> list[str]:
        log = RunLog(self._limits.log_bytes)
        for line in lines:
            log.write(line)
        return log.lines
