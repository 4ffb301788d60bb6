"""A bulk body taken apart and put together again; what did not change keeps its bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from pipelines.jsontext.json_text import can_be_written, write
from pipelines.jsontext.slices import (
    Slice,
    elements,
    first_member,
    members,
    replaced,
    with_member,
    without_member,
)
from proxy.http.encoding import joined, split_lines
from proxy.protocol.bodies.lenient_json import as_json, first_value, is_whole, loose_member

ACTIONS = ("index", "create", "update", "delete")
# What says where a document is; the backend too takes nothing but simple values for them.
_PLACES = ("_index", "_id", "routing")
_SIMPLE = frozenset({str, int, float, bool, type(None)})


class BulkSyntaxError(ValueError):
    """The body is not a bulk body; the message says which line and what is wrong."""


class BulkItem(NamedTuple):
    """One action with its document. `header` and `source` are the lines as received.

    `local` is the response of an item that never reaches the backend; a `renamed` one goes there as
    another action and is answered under its own. `unread` says why a pipeline cannot be given what
    the action says; it is empty where all of that is plain JSON.
    """

    line: int
    action: str
    meta: dict[str, Any]
    header: bytes
    source: bytes | None
    local: dict[str, Any] | None = None
    renamed: bool = False
    unread: str = ""

    @property
    def id(self) -> str | None:
        """The document's id, if the action has one."""
        given = self.meta.get("_id")
        return None if given is None else str(given).encode(errors="backslashreplace").decode()

    def with_response(self, response: dict[str, Any]) -> BulkItem:
        """This item with a response of our own: ``{action: {...}}`` is made of it."""
        return self._replace(local={self.action: response})

    def with_source(self, text: str) -> BulkItem:
        return BulkItem(self.line, self.action, self.meta, self.header, text.encode())

    def as_write(self, kind: str, text: str, seq_no: int, primary_term: int) -> BulkItem:
        """This update as a write of the whole document, if it is still the one that was read."""
        kept = ("_index", "_id", "routing", "require_alias")
        meta = {key: self.meta[key] for key in kept if key in self.meta}
        if kind == "index":
            meta |= {"if_seq_no": seq_no, "if_primary_term": primary_term}
        header = orjson.dumps({kind: meta})
        return self._replace(header=header, source=text.encode(), renamed=True)

    def without_pipeline(self, forwarded: str | None) -> BulkItem:
        """This item with its `pipeline` set to what is the backend's to run, if anything."""
        meta = {key: value for key, value in self.meta.items() if key != "pipeline"}
        if forwarded is not None:
            meta["pipeline"] = forwarded
        if self.unread:
            return self._replace(meta=meta, header=_with_pipeline(self.header, forwarded))
        return self._replace(meta=meta, header=orjson.dumps({self.action: meta}))


def read_bulk(body: bytes) -> list[BulkItem]:
    """The items of a bulk body, in order. Raises `BulkSyntaxError`."""
    if not body.endswith(b"\n"):
        raise BulkSyntaxError("the bulk request must be terminated by a newline [\\n]")
    lines = split_lines(body)
    items: list[BulkItem] = []
    position, last = 0, len(lines) - 1
    while position < last:
        header = lines[position]
        if not header.strip():
            position += 1
            continue
        line = position + 1
        value, unread = _read_header(header, line)
        if value is None and not as_json(header).strip():
            # Comments alone are no line to the backends.
            position += 1
            continue
        action, meta, why = _read_action(value, line)
        if why:
            _check_depth(header, line)
        source = None
        if action != "delete":
            position += 1
            if position >= last:
                # The backends leave out an action at the end without a document.
                break
            source = lines[position]
        items.append(BulkItem(line, action, meta, header, source, unread=unread or why))
        position += 1
    return items


class BulkGroup(NamedTuple):
    """The places of items that get the same pipelines: with whole documents, and updates.

    No pipeline can be given those that are `unread`.
    """

    whole: list[int]
    updates: list[int]
    unread: list[int]

    @property
    def places(self) -> list[int]:
        """All of them."""
        return [*self.whole, *self.updates, *self.unread]


def grouped(items: Sequence[BulkItem], index: str) -> dict[tuple[str, str | None], BulkGroup]:
    """The items that bring a document, by their index and `pipeline`.

    `index` is that of items without one.
    """
    groups: dict[tuple[str, str | None], BulkGroup] = {}
    for place, item in enumerate(items):
        if item.action != "delete":
            meta = item.meta
            own = meta.get("pipeline")
            name = str(meta.get("_index") or index)
            if item.unread and not is_whole(name):
                # No index, and nothing is attached to it.
                continue
            key = name, own if isinstance(own, str) else None
            group = groups.get(key)
            if group is None:
                group = groups[key] = BulkGroup([], [], [])
            if item.unread:
                group.unread.append(place)
            else:
                (group.updates if item.action == "update" else group.whole).append(place)
    return groups


def _read_action(value: Any, line: int) -> tuple[str, dict[str, Any], str]:
    """The action, what it says of its document, and why pipelines cannot be given that, if so."""
    if not isinstance(value, dict) or not value:
        raise BulkSyntaxError(f"line {line}: an action is an object with one key")
    (action, meta), *_ = value.items()
    if action not in ACTIONS:
        known = ", ".join(ACTIONS)
        raise BulkSyntaxError(f"line {line}: unknown action [{action[:50]}]; known are {known}")
    if not isinstance(meta, dict):
        raise BulkSyntaxError(f"line {line}: what [{action}] holds must be an object")
    for member in meta.values():
        if type(member) not in _SIMPLE:
            return action, meta, _check_members(action, meta, line)
    return action, meta, ""


def _read_header(header: bytes, line: int) -> tuple[Any, str]:
    """What an action line says, and why pipelines cannot be given that, if so."""
    try:
        value = orjson.loads(header)
        # With a colon for each key none came twice.
        if len(value) == 1 and header.count(b":") == 1 + len(*value.values()):
            return value, ""
    except (ValueError, TypeError, AttributeError):
        pass
    try:
        return first_value(header), ""
    except ValueError as error:
        problem = error
    try:
        # The backends may still take it, and need not read further than this.
        action, meta = loose_member(header)
    except ValueError as error:
        raise BulkSyntaxError(f"line {line}: the action cannot be read: {error}") from error
    return {action: meta}, f"the action in line {line} cannot be read: {problem}"


def _with_pipeline(header: bytes, forwarded: str | None) -> bytes:
    """The text of an action with another `pipeline` in it, or none; all else as it was written."""
    text = as_json(header)
    inner = first_member(text)
    meta = without_member(text[inner.start : inner.end], "pipeline")
    if forwarded is not None:
        meta = with_member(meta, "pipeline", orjson.dumps(forwarded).decode())
    return replaced(text, [(inner, meta)]).encode(errors="surrogateescape")


def _check_depth(header: bytes, line: int) -> None:
    """Refuse an action that is nested so deeply that its parts cannot be told apart."""
    try:
        _with_pipeline(header, None)
    except ValueError as error:
        raise BulkSyntaxError(f"line {line}: the action cannot be read: {error}") from error


def _check_members(action: str, meta: dict[str, Any], line: int) -> str:
    for name in _PLACES:
        if isinstance(meta.get(name), dict | list):
            raise BulkSyntaxError(f"line {line}: [{name}] must be a text or number")
    return "" if can_be_written(meta) else f"what [{action}] in line {line} holds cannot be read"


def write_bulk(items: Sequence[BulkItem]) -> bytes:
    """The body with the items that go to the backend; empty if none does."""
    parts: list[bytes] = []
    for item in items:
        if item.local is None:
            parts.append(item.header)
            if item.source is not None:
                parts.append(item.source)
    return joined(parts, b"\n")


def merge_response(items: Sequence[BulkItem], text: str) -> str:
    """The text of the backend's response with our items put in their places.

    What the backend said of the others stays as it was written. Raises `ValueError` if it did not
    answer every item it was sent.
    """
    parts = {part.key: part for part in members(text)}
    whole, errors = parts.get("items"), parts.get("errors")
    theirs = elements(text, whole.start) if whole is not None else []
    if whole is None or len(theirs) != sum(item.local is None for item in items):
        raise ValueError("the backend answered another number of items than it was sent")
    remaining = iter(theirs)
    merged = ",".join([_response_of(text, item, remaining) for item in items])
    changes = [(whole, f"[{merged}]")]
    failed = any("error" in item.local[item.action] for item in items if item.local is not None)
    if failed and errors is not None:
        changes.append((errors, "true"))
    return replaced(text, changes)


def _response_of(text: str, item: BulkItem, remaining: Iterator[Slice]) -> str:
    if item.local is not None:
        return write(item.local)
    response = next(remaining)
    if not item.renamed:
        return text[response.start : response.end]
    (inner,) = members(text, response.start)
    return f'{{"{item.action}":{text[inner.start : inner.end]}}}'
