"""What stages write while they run: each into a scope of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.context import Context
from pipelines.errors import StageError
from pipelines.execution.course import Course
from pipelines.execution.stats import PipelineStats, StageOutcome


@dataclass(slots=True)
class StageReport:
    """What one stage did in one run. `before` and `after` are kept for traced runs only.

    `label` names what it ran, such as a UDF with its version.
    """

    name: str
    outcome: StageOutcome
    label: str = ""
    took_ms: float = 0.0
    tries: int = 0
    error: StageError | None = None
    log: list[str] = field(default_factory=list)
    changed: bool = False
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class Scope:
    """What one run, one of its branches or one of its stages may use, and what it writes.

    `state` and `metadata` are replaced and never changed in place, so that scopes can share them.
    `deadline` is on `time.monotonic()`, and `timeout_ms` the timeout that it follows from. Where
    the scope is a stage's, `stage` is its name,
    `budget_ms` what it has left of its own timeout over all its tries, `log` what it logged, and
    `waited` the seconds it waited for sandboxes, which that timeout does not bound. Where it is a
    run's or a branch's, `reports` tells of its stages and `degraded` of a failure that was let
    pass; if it is `strict`, none is. `stats` counts for the pipeline; with `trace` reports hold
    payloads. A batch of documents is on its `course`.
    """

    __slots__ = (
        "budget_ms",
        "context",
        "course",
        "deadline",
        "degraded",
        "log",
        "metadata",
        "pipeline",
        "reports",
        "stage",
        "state",
        "stats",
        "strict",
        "timeout_ms",
        "trace",
        "waited",
    )

    def __init__(
        self,
        context: Context,
        pipeline: str,
        stats: PipelineStats,
        state: Mapping[str, Any],
        metadata: Mapping[str, Any],
        *,
        strict: bool = False,
        trace: bool = False,
        course: Course | None = None,
    ) -> None:
        self.context = context
        self.pipeline = pipeline
        self.stats = stats
        self.state = state
        self.metadata = metadata
        self.deadline = context.deadline
        self.strict = strict
        self.trace = trace
        self.course = course
        self.timeout_ms = 0
        self.stage = ""
        self.budget_ms = 0
        self.waited = 0.0
        self.log: list[str] = []
        self.reports: list[StageReport] = []
        self.degraded: StageError | None = None

    def bound(self, timeout_ms: int) -> None:
        """From now on there are so many milliseconds at most."""
        self.timeout_ms = timeout_ms
        self.deadline = min(self.deadline, time.monotonic() + timeout_ms / 1000)

    def fork(self, stage: str = "") -> Scope:
        """A scope that begins with what this one knows now, for a stage or a branch."""
        own = Scope(
            self.context,
            self.pipeline,
            self.stats,
            self.state,
            self.metadata,
            strict=self.strict,
            trace=self.trace,
        )
        own.deadline = self.deadline
        own.stage = stage or self.stage
        return own

    def adopt(self, own: Scope) -> None:
        """Go on with what a stage left: nobody else wrote meanwhile."""
        self.state, self.metadata = own.state, own.metadata

    def join(self, *branches: Scope) -> None:
        """Go on with what branches wrote beside each other; of two equal names the last stays."""
        for branch in branches:
            self.state = {**self.state, **branch.state}
            self.metadata = {**self.metadata, **branch.metadata}
            self.log += branch.log
            self.reports += branch.reports
            self.degraded = branch.degraded or self.degraded

    def add_wait(self, seconds: float) -> None:
        """The stage has its sandbox, after so long."""
        self.waited += seconds
