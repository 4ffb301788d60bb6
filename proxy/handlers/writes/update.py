"""Partial updates with document pipelines: the upsert, the partial document, or what they merge to.

A pipeline's `on_update` declares its mode. Scripts run in the backend, out of every pipeline's
reach: a final pipeline refuses them, any other lets them pass with a warning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from pipelines.jsontext.slices import Slice, member, members, replaced
from pipelines.payload import Payload
from proxy.backend.client import Backend
from proxy.http.errors import ErrorResponse
from proxy.traffic.runs import Runs
from proxy.traffic.selection import Chosen, bypass_refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a merging update comes to, and the version of the document it was read from.

    `source` is the JSON text of the whole new document.
    """

    kind: Literal["index", "create", "noop", "missing"]
    source: str = ""
    seq_no: int = 0
    primary_term: int = 0
    version: int = 0

    @property
    def stamp(self) -> dict[str, Any]:
        """What tells in a response which version that was."""
        return {
            "_version": self.version,
            "_seq_no": self.seq_no,
            "_primary_term": self.primary_term,
        }


class Updates:
    """Applies document pipelines to the bodies of `_update` and of update items in a bulk."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def merges(self, chosen: Chosen, body: Mapping[str, Any]) -> bool:
        """Whether the stored document has to be read for this update."""
        return "doc" in body and any(p.definition.on_update == "merge" for p in chosen)

    def check(self, chosen: Chosen, body: Mapping[str, Any], runs: Runs) -> None:
        """Refuse (403) an update part of which a final pipeline would not see."""
        for pipeline in chosen:
            mode = pipeline.definition.on_update
            unseen = "script" if "script" in body else "doc" if mode == "upsert" else None
            if unseen is None or unseen not in body:
                continue
            if pipeline.final:
                raise bypass_refused(pipeline, f"_update with [{unseen}]")
            if unseen == "script":
                runs.skipped([pipeline], "a script runs in the backend")

    async def rewrite(
        self, text: str, chosen: Chosen, runs: Runs, document_id: str | None
    ) -> tuple[str, bool]:
        """The body of an update with `doc` and `upsert` as the pipelines leave them.

        Gives the text and whether it changed. Raises what a run raises.
        """
        changes: list[tuple[Slice, str]] = []
        parts = {part.key: part for part in members(text)}
        on_doc = tuple(p for p in chosen if p.definition.on_update == "doc")
        if (upsert := parts.get("upsert")) is not None:
            new = await _run(text, upsert, chosen, runs, document_id)
            if new is not None:
                changes.append((upsert, new))
        if (doc := parts.get("doc")) is not None:
            as_upsert = parts.get("doc_as_upsert")
            if as_upsert is not None and text[as_upsert.start : as_upsert.end] == "true":
                # Made explicit, as all pipelines run on what is created and only some on a part.
                created = await _run(text, doc, chosen, runs, document_id)
                if created is not None:
                    changes.append((as_upsert, f'false,"upsert":{created}'))
            new = await _run(text, doc, on_doc, runs, document_id)
            if new is not None:
                changes.append((doc, new))
        return replaced(text, changes), bool(changes)

    async def merge(
        self,
        index: str,
        document_id: str,
        text: str,
        chosen: Chosen,
        runs: Runs,
        *,
        routing: str | None,
        credentials: Mapping[str, str],
    ) -> Merged:
        """Read the stored document, lay the partial one over it and run the pipelines on that."""
        parts = {part.key: text[part.start : part.end] for part in members(text)}
        target = f"/{quote(index, safe='')}/_doc/{quote(document_id, safe='')}"
        if routing is not None:
            target += f"?routing={quote(routing, safe='')}"
        response = await self._backend.call("GET", target, headers=credentials, retry=True)
        stored = response.data if isinstance(response.data, dict) else {}
        if response.status == 404 or not stored.get("found"):
            first = parts.get("upsert")
            if first is None and parts.get("doc_as_upsert") == "true":
                first = parts["doc"]
            if first is None:
                return Merged(kind="missing")
            created = await runs.run(chosen, "document", _payload(first), document_id=document_id)
            return Merged(kind="create", source=created.text)
        response.require(200)
        whole = response.body.decode()
        found = member(whole, "_source")
        if found is None:
            reason = f"the document [{document_id}] has no _source, so nothing can be merged"
            raise ErrorResponse(400, "document_source_missing_exception", reason)
        current = json.loads(whole[found.start : found.end])
        merged = laid_over(current, json.loads(parts["doc"]))
        payload = _payload(json.dumps(merged, ensure_ascii=False))
        result = await runs.run(chosen, "document", payload, document_id=document_id)
        same = json.loads(result.text) == current
        return Merged(
            kind="noop" if same else "index",
            source=result.text,
            seq_no=stored["_seq_no"],
            primary_term=stored["_primary_term"],
            version=stored["_version"],
        )


def laid_over(current: Any, partial: Any) -> Any:
    """A document with a partial one merged in, as the backend merges: objects member by member."""
    if not isinstance(current, dict) or not isinstance(partial, dict):
        return partial
    merged = dict(current)
    for key, value in partial.items():
        merged[key] = laid_over(current[key], value) if key in current else value
    return merged


async def _run(
    text: str, part: Slice, chosen: Chosen, runs: Runs, document_id: str | None
) -> str | None:
    """The new text of a part; None if it did not change."""
    if not chosen:
        return None
    payload = _payload(text[part.start : part.end])
    result = await runs.run(chosen, "document", payload, document_id=document_id)
    return result.text if result.changed else None


def _payload(text: str) -> Payload:
    try:
        return Payload.parse(text)
    except ValueError as error:
        reason = f"the document of the update cannot be used: {error}"
        raise ErrorResponse(400, "parse_exception", reason) from error
