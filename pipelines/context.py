"""What is known of a run from its beginning to its end; nothing of it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["query", "document", "result"]
PHASES: tuple[Phase, ...] = ("query", "document", "result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The surroundings of the runs of one phase of one request.

    `id` is that of the request's runs, `request_id` what the client calls its request; both are
    for the log. `headers` are the request headers a UDF may see, in lower case. `request` is the
    JSON text of the search request behind a response (result phase). `document_id` is the id of
    the document being written, if the client gave one. `deadline` is when the caller has to be
    done, on `time.monotonic()`; a pipeline's own timeout shortens it.
    """

    id: str
    phase: Phase
    index: str
    request_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    request: str | None = None
    document_id: str | None = None
    deadline: float = float("inf")
