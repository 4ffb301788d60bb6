"""Declared paths that can lead to nothing, told at upload with the spelling that was meant.

Only what is certain counts: a document may have any field, a backend may add members to hits and
responses, and an earlier stage may set some.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipelines.context import Phase
from pipelines.definitions.spelling import nearest
from pipelines.errors import DefinitionError
from pipelines.jsontext.projection import RESPONSE, Projection

_HIT: Final = frozenset(
    {
        *("_index", "_id", "_type", "_score", "_source", "_routing", "_version", "_seq_no"),
        *("_primary_term", "_ignored", "_explanation", "_shard", "_node", "_nested", "_rank"),
        *("fields", "highlight", "sort", "matched_queries", "inner_hits", "ignored_field_values"),
    }
)
_RESPONSE: Final = frozenset(
    {
        *("took", "timed_out", "terminated_early", "num_reduce_phases", "phase_took", "_shards"),
        *("_clusters", "hits", "aggregations", "suggest", "profile", "_scroll_id", "pit_id", "ext"),
        *("status", "error", "_pipeline_metadata", "processor_results"),
    }
)
# What the backends keep beside a document, and refuse as a field of it.
_BESIDE: Final = frozenset(
    {"_index", "_id", "_type", "_score", "_source", "_routing", "_version", "_seq_no"}
)
_LIKE: Final = 0.85
# By what people call them: where the hits, one of them, or a document are meant to begin.
_HITS_PREFIXES: Final = ("results.hits.hits.", "hits.hits.", "hits.", "hit.", "results.")
_DOCUMENT_PREFIXES: Final = ("doc.", "document.", "source.")


def check_input(declared: Projection, phase: Phase, path: str, *, first: bool) -> None:
    """Refuse a declared path that can match nothing; what is stored already still runs.

    `path` is that of the stage's config. Raises `DefinitionError`.
    """
    if (fault := first_unreachable(declared.paths, phase, first=first)) is not None:
        position, reason = fault
        raise DefinitionError(f"{path}.input[{position}]", reason)


def first_unreachable(paths: Sequence[str], phase: Phase, *, first: bool) -> tuple[int, str] | None:
    """The position of the first path that can match nothing, and why; None if all can.

    `first` tells that no other stage runs before, which could have set what the backend has not.
    """
    for position, path in enumerate(paths):
        why = _of_document(path) if phase == "document" else _of_response(path, first)
        if why:
            return position, f"[{path[:100]}] matches nothing: {why}"
    return None


def _of_document(path: str) -> str:
    head, _, rest = path.partition(".")
    if head == "_source" and rest:
        return f"a path begins at the document itself; write {rest}"
    if head in _BESIDE:
        return "that is not in a document; context.id and context.index tell of it"
    return ""


def _of_response(path: str, first: bool) -> str:
    if path.startswith(RESPONSE):
        return _of_response_member(path.removeprefix(RESPONSE))
    head, _, rest = path.partition(".")
    if head == "_source" and f"{rest}.".startswith("_source."):
        return f"_source is there twice; write {rest}"
    if head in _HIT:
        return ""
    if not first and not path.startswith(_HITS_PREFIXES):
        return ""
    if meant := _meant(path):
        return f"a path begins at each hit, or with {RESPONSE} at the response; write {meant}"
    if head in ("request", "query"):
        return "the request is no part of a response; context.request and context.query have it"
    if head.startswith("_"):
        return ""
    return f"a hit has no member {head[:100]}; write _source.{path}"


def _of_response_member(path: str) -> str:
    head, dot, rest = path.partition(".")
    if head in _RESPONSE:
        return ""
    if head in _HIT:
        return f"that is a member of each hit; write {path}"
    meant = "aggregations" if head == "aggs" else nearest(head, _RESPONSE, like=_LIKE)
    return (
        f"a response has no member {head[:100]}; write {RESPONSE}{meant}{dot}{rest}"
        if meant
        else ""
    )


def _meant(path: str) -> str:
    """The path that was most likely meant by one that does not begin with a member of hits."""
    if path.partition(".")[0] == "aggs":
        return f"{RESPONSE}aggregations{path.removeprefix('aggs')}"
    plain = path.removeprefix("results.")
    if plain in ("hits.total", "hits.max_score") or plain.startswith("hits.total."):
        return RESPONSE + plain
    for prefix in _HITS_PREFIXES:
        if path.startswith(prefix):
            return _in_hit(path.removeprefix(prefix))
    for prefix in _DOCUMENT_PREFIXES:
        if path.startswith(prefix):
            return f"_source.{path.removeprefix(prefix)}"
    head, dot, rest = path.partition(".")
    if head in _RESPONSE:
        return RESPONSE + path
    like = f"_{head}" if f"_{head}" in _HIT else nearest(head, _HIT, like=_LIKE)
    return f"{like}{dot}{rest}" if like else ""


def _in_hit(path: str) -> str:
    head = path.partition(".")[0]
    if head in _HIT:
        return path
    return RESPONSE + path if head in _RESPONSE else _meant(path) or f"_source.{path}"
