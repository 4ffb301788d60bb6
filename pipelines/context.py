"""What a run knows beside its payload."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

Phase = Literal["query", "document", "result"]
PHASES: tuple[Phase, ...] = ("query", "document", "result")


@dataclass(slots=True, kw_only=True)
class Context:
    """One run's surroundings.

    `id` is the run's (or, with those before and after it, its request's), `request_id` what the
    client calls its request; both are for the log.
    `state` and `metadata` are shared by all runs of one request (query stages to result stages).
    `headers` are the request headers a UDF may see, in lower case. `request` is the JSON text of
    the search request behind a response (result phase). `document_id` is the id of the document
    being written, if the client gave one. `deadline` is on `time.monotonic()`; `stage_budget_ms`
    is what the stage that is running has left of its own timeout, over all its tries, and
    `stage_waited` the seconds it waited for sandboxes, which that timeout does not bound.
    """

    id: str
    phase: Phase
    index: str
    request_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    request: str | None = None
    document_id: str | None = None
    state: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    pipeline: str = ""
    stage: str = ""
    deadline: float = float("inf")
    stage_budget_ms: int = 0
    stage_waited: float = 0.0
    log: list[str] = field(default_factory=list)

    def waited(self, seconds: float) -> None:
        """The stage that is running has its sandbox, after so long."""
        self.stage_waited += seconds

    def remaining(self) -> float:
        """Seconds to the deadline; negative once it has passed."""
        return self.deadline - time.monotonic()
