"""What becomes of a document whose pipeline failed: an error, nothing, or a dead letter."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pipelines.errors import StageError
from proxy.backend.client import Backend
from proxy.traffic.runs import RunFailedError


class DeadLetters:
    """Applies the `on_error` of document pipelines. A final one always fails its document."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def settle(
        self,
        failure: RunFailedError,
        *,
        index: str,
        document_id: str | None,
        document: bytes,
        credentials: Mapping[str, str],
    ) -> dict[str, Any]:
        """What to tell of a document that is left out; raises `failure` where it is an error.

        A dead letter is stored before that; if it cannot be, `BackendRefusedError` or
        `UpstreamError` says so and the document fails.
        """
        definition = failure.run.pipeline.definition
        if failure.run.pipeline.final or definition.on_error not in ("skip", "dead_letter"):
            raise failure
        if definition.dead_letter_index is None:
            return {}
        error = failure.run.error
        letter = {
            "@timestamp": int(time.time() * 1000),
            "index": index,
            "id": document_id,
            "pipeline": definition.label,
            "stage": failure.extra.get("stage"),
            "kind": error.kind if isinstance(error, StageError) else "rejected",
            "reason": failure.reason,
            "run": failure.extra.get("id"),
            # As text: the mapping of the letters must not depend on what failed.
            "document": document.decode("utf-8", "replace"),
        }
        target = f"/{quote(definition.dead_letter_index, safe='')}/_doc"
        response = await self._backend.call("POST", target, letter, headers=credentials)
        stored = response.require(200, 201)
        return {"dead_letter": {"_index": stored["_index"], "_id": stored["_id"]}}
