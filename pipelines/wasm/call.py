"""What goes into a sandbox and what comes out: limits, package, call, reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from pipelines.definitions.limits import MEMORY_MB
from pipelines.definitions.package import Package
from pipelines.jsontext.projection import Projection

Phase = Literal["query", "document", "result"]
Isolation = Literal["pooled", "request"]
# UDF version, parameters, memory, and whether every run needs a new one: a sandbox is never shared
# beyond one of these.
Key = tuple[str, bytes, int, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use. Sizes are bytes of UTF-8 unless the name says otherwise."""

    timeout_ms: int = 250
    memory_mb: int = MEMORY_MB
    input_bytes: int = 10 * 1024 * 1024
    output_bytes: int = 10 * 1024 * 1024
    log_bytes: int = 16 * 1024


@dataclass(frozen=True, slots=True)
class UdfUse:
    """A UDF version as a stage uses it: what is known of its runs before there is any.

    `params` are the stage's parameters as `parameters_text` writes them. Uses with equal keys share
    sandboxes; with isolation "request" every run has a new one.
    """

    package: Package
    params: bytes
    limits: Limits
    isolation: Isolation = "pooled"
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        key = (self.package.digest, self.params, self.limits.memory_mb, self.is_fresh)
        object.__setattr__(self, "key", key)

    @property
    def is_fresh(self) -> bool:
        """Whether every run needs a new sandbox."""
        return self.isolation == "request"


@dataclass(slots=True)
class Call:
    """One run: `payload` and `request` are the JSON text of objects, `context` holds plain values.

    `context` may have: index, pipeline, stage, state, metadata, headers, deadline_ms, id. With a
    `projection` the UDF is given that part of the payload, and answers a part or edits. `data` is
    the payload as orjson reads it, if the caller has it. Nothing of a call is changed once made.
    """

    phase: Phase
    payload: str
    request: str | None = None
    context: Mapping[str, object] = field(default_factory=dict)
    projection: Projection | None = None
    data: dict[str, Any] | None = None


@dataclass(slots=True)
class Reply:
    """How a run ended well.

    `payload` is the JSON text of the new payload on one line and `data` the same parsed;
    `changed` tells whether it differs from what went in. After a rejection (reason and status,
    400 to 499) or a drop they are those that went in. `metadata` and `state` are what the next
    stage is to be given.
    """

    payload: str
    data: dict[str, Any]
    changed: bool
    metadata: dict[str, Any]
    state: dict[str, Any]
    log: tuple[str, ...]
    dropped: bool = False
    rejected: tuple[str, int] | None = None


def parameters_text(params: Mapping[str, object]) -> bytes:
    """A stage's parameters as JSON: equal ones share sandboxes."""
    return orjson.dumps(dict(params), option=orjson.OPT_SORT_KEYS)
