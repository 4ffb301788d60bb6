"""The JSON object that flows through a run: its text, and its parsed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from pipelines.errors import StageError
from pipelines.jsontext.json_text import repeats_key


class Payload(NamedTuple):
    """`text` is what is forwarded (numbers of any size survive in it); `data` is for looking at.

    `changed` is true once any stage changed it, so that whoever made it knows whether the
    original bytes can go on instead.
    """

    text: str
    data: dict[str, Any]
    changed: bool = False

    @classmethod
    def parse(cls, source: bytes | str) -> Payload:
        """Parse JSON text; a `ValueError` says what is wrong with it, and where."""
        data = orjson.loads(source)
        if not isinstance(data, dict):
            raise ValueError("the body must be a JSON object")
        return cls(source if isinstance(source, str) else source.decode(), data)

    @classmethod
    def received(cls, source: bytes | str) -> Payload:
        """The same of what a client sent: no key comes twice, and it can be written again."""
        payload = cls.parse(source)
        if repeats_key(payload.text, _written(payload.data)):
            raise ValueError("a key comes twice in one of its objects")
        return payload

    @classmethod
    def of(cls, data: dict[str, Any]) -> Payload:
        """A payload made from Python values. Raises `ValueError` as `parse` does."""
        _written(data)
        return cls(orjson.dumps(data).decode(), data)


class Document(NamedTuple):
    """One of a batch of documents: as it came, or as a stage left it.

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


def _written(data: dict[str, Any]) -> bytes:
    try:
        # It travels on inside other objects.
        return orjson.dumps([[[[data]]]])
    except TypeError as error:
        raise ValueError("nested too deeply; 250 levels are allowed") from error


def check_input(phase: str, payload: Payload) -> None:
    """Refuse a payload that is not what pipelines of type `phase` take, as a `StageError`."""
    data = payload.data
    if phase == "query" and not isinstance(data.get("query", {}), dict):
        raise StageError("input_type", "a search request needs an object under [query]")
    if phase == "result":
        hits = data.get("hits", {})
        if not isinstance(hits, dict) or not isinstance(hits.get("hits", []), list):
            raise StageError("input_type", "a search response needs an array under [hits.hits]")
