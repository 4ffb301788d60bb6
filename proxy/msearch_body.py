"""An msearch body taken apart and put together again; what did not change keeps its bytes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from proxy.target import expressions


class MsearchSyntaxError(ValueError):
    """The body is not an msearch body; the message says which line and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MsearchItem:
    """One search: its header and its body, as received. `local` is an answer of our own."""

    line: int
    header: bytes
    meta: dict[str, Any]
    body: bytes
    local: dict[str, Any] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The index expressions of the header; none where the URL's count."""
        given = self.meta.get("index", self.meta.get("indices"))
        if isinstance(given, list):
            return tuple(part for name in given for part in expressions(str(name)))
        return expressions(given) if isinstance(given, str) else ()

    @property
    def pipeline(self) -> str | None:
        """The pipelines named for this item alone; a member of ours, not the backend's."""
        given = self.meta.get("pipeline")
        return given if isinstance(given, str) else None

    @property
    def expand(self) -> str | None:
        given = self.meta.get("expand_wildcards")
        if isinstance(given, list):
            return ",".join(map(str, given))
        return given if isinstance(given, str) else None

    def with_body(self, text: str) -> MsearchItem:
        return replace(self, body=text.encode())

    def without_pipeline(self) -> MsearchItem:
        """This item less its `pipeline`, which the backend would refuse."""
        meta = {key: value for key, value in self.meta.items() if key != "pipeline"}
        return replace(self, meta=meta, header=orjson.dumps(meta))

    def answered(self, answer: dict[str, Any]) -> MsearchItem:
        return replace(self, local=answer)


def read_msearch(body: bytes) -> list[MsearchItem]:
    """The items of an msearch body, in order. Raises `MsearchSyntaxError`.

    An empty header line is legal and means: as the URL says.
    """
    if not body.endswith(b"\n"):
        raise MsearchSyntaxError("the msearch request must be terminated by a newline [\\n]")
    lines = body.split(b"\n")[:-1]
    items: list[MsearchItem] = []
    position = 0
    while position < len(lines):
        header = lines[position]
        if not header.strip() and not any(line.strip() for line in lines[position:]):
            break
        if position + 1 >= len(lines):
            raise MsearchSyntaxError(f"line {position + 1}: the header has no body line after it")
        meta = _read_header(header, position + 1)
        items.append(
            MsearchItem(line=position + 1, header=header, meta=meta, body=lines[position + 1])
        )
        position += 2
    return items


def _read_header(header: bytes, line: int) -> dict[str, Any]:
    if not header.strip():
        return {}
    try:
        value = orjson.loads(header)
    except orjson.JSONDecodeError as error:
        raise MsearchSyntaxError(f"line {line}: the header is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise MsearchSyntaxError(f"line {line}: the header must be an object")
    return value


def write_msearch(items: Sequence[MsearchItem]) -> bytes:
    """The body with the items that go to the backend; empty if none does."""
    parts = [part for item in items if item.local is None for part in (item.header, item.body)]
    return b"\n".join([*parts, b""]) if parts else b""
