"""What is different after a pipeline: a few lines to set side by side, made for any output."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from proxy.demo.response import Hit, Response, Shown

Mark = Literal["head", "plain", "new", "moved", "note", "error"]

_TOP = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a column; `mark` says what a colour may tell of it."""

    text: str
    mark: Mark = "plain"


@dataclass(frozen=True, slots=True)
class Change:
    """Two columns of lines; the first line of each is its headline."""

    before: tuple[Line, ...]
    after: tuple[Line, ...]


def change_of(shown: Shown) -> Change:
    """What to show of a showcase."""
    columns = _search if shown.showcase.kind == "search" else _document
    return columns(shown.before, shown.after)


def request_text(shown: Shown) -> str:
    """What was sent: the query of a search, or the document."""
    body = shown.showcase.body
    sent: Any = body["query"] if shown.showcase.kind == "search" else body
    return json.dumps(sent, ensure_ascii=False)


def _search(before: Response, after: Response) -> Change:
    was = {hit.id: place for place, hit in enumerate(before.hits, 1)}
    # Whether a hit is new can be told only where all hits before are known.
    known = len(before.hits) == before.total
    more = after.total - before.total
    head = _headline(after, f" ({more:+})" if more else "")
    lines = [_ranked(place, hit, was, known) for place, hit in enumerate(after.hits, 1)]
    reported = lines[:_TOP]
    later = next((line for line in lines[_TOP:] if line.mark == "new"), None)
    if later is not None and not any(line.mark == "new" for line in reported):
        reported.append(later)
    left = [Line(f"{place}. {_titled(hit)}") for place, hit in enumerate(before.hits[:_TOP], 1)]
    return Change(
        (_headline(before), *left, *_failure(before)),
        (head, *reported, *_notes(after), *_failure(after)),
    )


def _ranked(place: int, hit: Hit, was: dict[str, int], known: bool) -> Line:
    text = f"{place}. {_titled(hit)}"
    old = was.get(hit.id)
    if old is None:
        return Line(f"{text} (new)", "new") if known else Line(text)
    return Line(text) if old == place else Line(f"{text} (was {old})", "moved")


def _titled(hit: Hit) -> str:
    return f"{hit.id} {hit.title}"


def _headline(response: Response, more: str = "") -> Line:
    if response.error:
        return Line(f"{response.status} refused", "head")
    return Line(f"{response.total} hits{more}", "head")


def _notes(response: Response) -> list[Line]:
    """What the pipelines told the client."""
    return [
        Line(f"told: {name}: {json.dumps(_brief(value), ensure_ascii=False)}", "note")
        for name, value in response.metadata.items()
    ]


def _brief(value: Any) -> Any:
    """The plain members of an object; the nested ones are detail."""
    if not isinstance(value, dict):
        return value
    return {name: member for name, member in value.items() if not isinstance(member, dict | list)}


def _failure(response: Response) -> list[Line]:
    """A refusal's reasons, one a line."""
    return [Line(part, "error") for part in response.error.split("; ") if part]


def _document(before: Response, after: Response) -> Change:
    sent = before.document or {}
    gained = [
        Line(f"{name}: {json.dumps(value, ensure_ascii=False)} (new)", "new")
        for name, value in (after.document or {}).items()
        if sent.get(name) != value
    ]
    left = (Line(f"{len(sent)} fields, as sent"),) if before.document is not None else ()
    return Change(
        (_stored(before), *left, *_failure(before)),
        (_stored(after), *gained, *_failure(after)),
    )


def _stored(response: Response) -> Line:
    what = "refused, nothing stored" if response.document is None else "stored"
    return Line(f"{response.status} {what}", "head")
