"""What a search found, what became of a document, and whether that is what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.demo.material import Showcase


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit of a search."""

    id: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The response to one request. `status` is its HTTP status, `error` the reason of a refusal.

    A search has `total`, `hits` in order and the `metadata` its pipelines left; a write has the
    `document` as it is stored, None if nothing is.
    """

    status: int
    error: str = ""
    total: int = 0
    hits: tuple[Hit, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    document: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A showcase, its responses, and in `faults` whatever was not as expected."""

    showcase: Showcase
    before: Response
    after: Response
    faults: tuple[str, ...]


def judge(showcase: Showcase, before: Response, after: Response) -> Shown:
    """Hold two responses against what the showcase expects."""
    faults: list[str] = []
    for name, wanted in showcase.expect.items():
        check = _CHECKS.get(name)
        if check is None:
            faults.append(f"{name}: unknown; known are {', '.join(_CHECKS)}")
        else:
            faults += [f"{name}: {fault}" for fault in check(wanted, before, after)]
    return Shown(showcase=showcase, before=before, after=after, faults=tuple(faults))


def _status(wanted: Any, before: Response, after: Response) -> Iterator[str]:
    if after.status != wanted:
        yield f"is {after.status}, not {wanted}"
    if (after.document is None) != (wanted >= 400):
        yield "nothing was stored" if after.document is None else "it was stored all the same"


def _total_before(wanted: Any, before: Response, after: Response) -> Iterator[str]:
    if before.total != wanted:
        yield f"is {before.total}, not {wanted}"


def _total_after(wanted: Any, before: Response, after: Response) -> Iterator[str]:
    if after.total != wanted:
        yield f"is {after.total}, not {wanted}"


def _title_gained(wanted: Any, before: Response, after: Response) -> Iterator[str]:
    if any(wanted in hit.title for hit in before.hits):
        yield f"{wanted!r} was found before"
    if not any(wanted in hit.title for hit in after.hits):
        yield f"{wanted!r} is not found after"


def _first_title_before(wanted: Any, before: Response, after: Response) -> Iterator[str]:
    if not before.hits or before.hits[0].title != wanted:
        yield f"{wanted!r} does not lead before"
    if not after.hits or after.hits[0].title == wanted:
        yield f"{wanted!r} still leads after"


def _fields_gained(wanted: Any, before: Response, after: Response) -> Iterator[str]:
    stored = after.document or {}
    for name, value in wanted.items():
        if stored.get(name) != value:
            yield f"{name} is {stored.get(name)!r}, not {value!r}"


def _reasons(wanted: Any, before: Response, after: Response) -> Iterator[str]:
    for reason in wanted:
        if reason not in after.error:
            yield f"{reason!r} is not named"


_CHECKS = {
    "status": _status,
    "total_before": _total_before,
    "total_after": _total_after,
    "title_gained": _title_gained,
    "first_title_before": _first_title_before,
    "fields_gained": _fields_gained,
    "reasons": _reasons,
}
