"""An msearch body taken apart and put together again; what did not change keeps its bytes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from pipelines.jsontext.slices import without_member
from proxy.http.encoding import joined, split_lines
from proxy.protocol.bodies.lenient_json import as_json, first_value, is_whole, loose_value
from proxy.protocol.target import expressions


class MsearchSyntaxError(ValueError):
    """The body is not an msearch body; the message says which line and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MsearchItem:
    """One search: its header and its body, as received. `local` is a response of our own.

    `unread` says why the header cannot be read as plain JSON; it is empty if it can.
    """

    line: int
    header: bytes
    meta: dict[str, Any]
    body: bytes
    local: dict[str, Any] | None = None
    unread: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The index expressions of the header; none where the URL's count."""
        given = self.meta.get("index", self.meta.get("indices"))
        if isinstance(given, list):
            return tuple(part for name in _simple(given) for part in expressions(name))
        return expressions(given) if isinstance(given, str) else ()

    @property
    def is_nowhere(self) -> bool:
        """Whether it names something, but nothing that an index can be called."""
        return bool(self.names) and not any(map(is_whole, self.names))

    @property
    def pipeline(self) -> str | None:
        """The pipelines named for this item alone; a member of ours, not the backend's."""
        given = self.meta.get("pipeline")
        return given if isinstance(given, str) else None

    @property
    def expand(self) -> str | None:
        spellings = [key for key in ("expand_wildcards", "expandWildcards") if key in self.meta]
        if len(spellings) > 1:
            # Which of them counts is for the backend to say; nothing is beyond this one.
            return "all"
        given = self.meta.get(spellings[0]) if spellings else None
        if isinstance(given, list):
            return ",".join(_simple(given))
        return given if isinstance(given, str) else None

    def with_body(self, text: str) -> MsearchItem:
        return replace(self, body=text.encode())

    def with_names(self, names: Sequence[str]) -> MsearchItem:
        """This item on these index expressions."""
        key = "indices" if "indices" in self.meta and "index" not in self.meta else "index"
        meta = {**self.meta, key: list(names)}
        return replace(self, meta=meta, header=orjson.dumps(meta))

    def without_pipeline(self) -> MsearchItem:
        """This item less its `pipeline`, which the backend would refuse."""
        meta = {key: value for key, value in self.meta.items() if key != "pipeline"}
        if self.unread:
            header = without_member(as_json(self.header), "pipeline")
            return replace(self, meta=meta, header=header.encode(errors="surrogateescape"))
        return replace(self, meta=meta, header=orjson.dumps(meta))

    def with_response(self, response: dict[str, Any]) -> MsearchItem:
        return replace(self, local=response)


def read_msearch(body: bytes, *, skips_first: bool = True) -> list[MsearchItem]:
    """The items of an msearch body, in order. Raises `MsearchSyntaxError`.

    An empty header line is legal and means: as the URL says. With `skips_first` the first line of
    all is none if it is empty, as for OpenSearch. A last header without a body is ignored.
    """
    if not body.endswith(b"\n"):
        raise MsearchSyntaxError("the msearch request must be terminated by a newline [\\n]")
    lines = split_lines(body)[:-1]
    begin = 1 if skips_first and not lines[0] else 0
    return [
        _read_item(lines[position], lines[position + 1], position + 1)
        for position in range(begin, len(lines) - 1, 2)
    ]


def _read_item(header: bytes, body: bytes, line: int) -> MsearchItem:
    unread = ""
    try:
        value = first_value(header)
    except ValueError as error:
        unread = f"the header in line {line} cannot be read: {error}"
        try:
            # The backends may still take it.
            value = loose_value(header)
        except ValueError as reason:
            raise MsearchSyntaxError(f"line {line}: the header cannot be read: {reason}") from error
    # To the backends, all that is no object says nothing.
    meta = value if isinstance(value, dict) else {}
    return MsearchItem(line=line, header=header, meta=meta, body=body, unread=unread)


def _simple(values: list[Any]) -> list[str]:
    # Objects and arrays are no names, and may be nested too deeply to be written.
    return [str(value) for value in values if not isinstance(value, dict | list)]


def write_msearch(items: Sequence[MsearchItem]) -> bytes:
    """The body with the items that go to the backend; empty if none does."""
    parts = [part for item in items if item.local is None for part in (item.header, item.body)]
    return joined(parts, b"\n")
