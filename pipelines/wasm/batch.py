"""Documents that go through a UDF together: one call into the sandbox, one line of response each.

A batch is for documents that end well. Of one that does not, or that asks for more care than it
gets here, nothing is told but that it is to be run by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipelines.errors import StageError
from pipelines.jsontext.graft import graft, is_plain
from pipelines.jsontext.json_text import fits_orjson, may_be_rounded, repeats_key
from pipelines.jsontext.projection import Projection
from pipelines.payload import Document
from pipelines.wasm import codec as reply
from pipelines.wasm.call import Limits
from pipelines.wasm.log import RunLog

RESPONSE_CHARS: Final = 8 * 1024 * 1024
"""What the documents of a batch may come to together; the rest is run one by one."""
_MOST_CHAR_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Documents with what is the same for all: `context` as that of a `Call`, `id` left out."""

    documents: Sequence[Document]
    context: Mapping[str, object]
    projection: Projection | None = None


class Prepared:
    """A batch as JSON text, and how its response is read. For one use, on one thread."""

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
            self._take(place, document, all_fit or fits_orjson(document.text))

    @property
    def most_bytes(self) -> int:
        """What a response can come to: the last document may go beyond what there is room for."""
        return _MOST_CHAR_BYTES * (RESPONSE_CHARS + self._limits.output_bytes)

    def text(self) -> str:
        """The call, its parts joined and not parsed."""
        batch, limits = self._batch, self._limits
        taken = [batch.documents[place] for place in self._places]
        around: dict[str, Any] = {
            "phase": "document",
            "request": None,
            "limit": limits.output_bytes,
            "log": limits.log_bytes,
            "room": RESPONSE_CHARS,
            "context": batch.context,
            "ids": [document.id for document in taken],
            "carried": {
                str(number): (document.state, document.metadata)
                for number, document in enumerate(taken)
                if document.state or document.metadata
            },
        }
        if batch.projection is not None:
            around["declared"] = orjson.Fragment(batch.projection.declared)
        return f'{orjson.dumps(around).decode()[:-1]},"batch":[{",".join(self._given)}]}}'

    def read(self, response: str) -> list[Document | None]:
        """Each document as the stage left it, None for those to be run by themselves.

        Raises `StageError` where these are all.
        """
        ends: list[Document | None] = [None] * len(self._batch.documents)
        try:
            reported = orjson.loads(response)
        except ValueError as error:
            raise StageError("invalid_result", f"its response is not JSON: {error}") from error
        if not isinstance(reported, list):
            return ends
        exact = fits_orjson(response)
        # Documents that the sandbox did not come to are not in the response.
        for place, data, end in zip(self._places, self._datas, reported, strict=False):
            try:
                ends[place] = self._read(self._batch.documents[place], data, end, exact)
            except (StageError, ValueError, TypeError, RecursionError):
                continue
        return ends

    def _take(self, place: int, document: Document, exact: bool) -> None:
        """Put a document in, unless it has to be run by itself."""
        try:
            data = orjson.loads(document.text) if document.data is None else document.data
            # What is nested too deeply to be written again is too deep for others to go along with.
            written = orjson.dumps(data)
            if repeats_key(document.text, written) or (not exact and may_be_rounded(written)):
                return
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
        self, before: Document, old: dict[str, Any], end: Any, exact: bool
    ) -> Document | None:
        """How a document ended, which was parsed as `old`. Raises what a wrong response raises."""
        log: Sequence[str] = ()
        state: Mapping[str, Any] = {}
        metadata = before.metadata
        if type(end) is list:
            header, end, *logs = end
            ending = _ending(header)
            state, metadata = ending.state, {**metadata, **ending.metadata}
            log = self._log(logs)
            if ending.rejected or ending.dropped:
                return before._replace(log=log, rejected=ending.rejected, dropped=ending.dropped)
        if type(end) is str:
            end = orjson.loads(end)
        if end == {}:
            return Document(before.id, before.text, old, before.changed, state, metadata, log)
        if not exact and may_be_rounded(orjson.dumps(end)):
            return None
        data = self._merged(old, end)
        # What orjson returns takes long to keep for hundreds of documents: it is made anew here.
        written, new = orjson.dumps(old), orjson.dumps(data)
        if new == written:
            return Document(before.id, before.text, old, before.changed, state, metadata, log)
        if 2 * len(new) > self._limits.output_bytes:
            # Close to the limit it matters how a UDF writes its numbers.
            return None
        text = new.decode()
        if not is_plain(before.text, written):
            text = graft(before.text, text)
        return Document(before.id, text, data, True, state, metadata, log)

    def _merged(self, old: dict[str, Any], end: Any) -> dict[str, Any]:
        """The document with what the sandbox told of it. Raises `TypeError`."""
        projection = self._batch.projection
        if type(end) is list:
            (whole,) = end
        elif projection is None or not any(type(old.get(key)) is dict for key in end):
            return {**old, **end}
        else:
            whole = {**projection.given(old), **end}
        if type(whole) is not dict:
            raise TypeError("a document is an object")
        return whole if projection is None else projection.merged(old, whole)

    def _log(self, logs: list[Any]) -> list[str]:
        log = RunLog(self._limits.log_bytes)
        for line in logs[0] if logs else ():
            if type(line) is not str:
                raise TypeError("a line is a text")
            log.write(line)
        return log.lines


def _ending(header: Any) -> reply.Ending:
    """What the text of a document's header says. Raises `TypeError`, `ValueError`, `StageError`."""
    if type(header) is not str or reply.byte_length(header) > reply.HEADER_BYTES:
        raise TypeError("a header is a text, and not a long one")
    read = orjson.loads(header)
    if type(read) is not dict:
        raise TypeError("a header holds an object")
    return reply.read_ending(read)
