"""The one wrapper that times, counts and logs a stage; stages never do it themselves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pipelines.context import Context
from pipelines.errors import DroppedError, RejectedError, StageError, StageTimeoutError
from pipelines.execution.stats import StageOutcome, StageStats
from pipelines.payload import Payload
from pipelines.wasm import Document


class Stage(Protocol):
    """What every stage, container and pipeline looks like to its caller."""

    async def run(self, payload: Payload, context: Context) -> Payload: ...


@runtime_checkable
class BatchStage(Stage, Protocol):
    """A stage that can also take documents in batches; of any other, each is run by itself."""

    @property
    def room(self) -> int:
        """How many documents a batch may have now; 0 for no batches."""

    async def run_batch(
        self, documents: Sequence[Document], context: Context
    ) -> list[Document | None]:
        """Each document as the stage leaves it, None for one that has to be run by itself.

        Raises `StageError` where that is all of them.
        """


@dataclass(slots=True, kw_only=True)
class StageReport:
    """What one stage did in one run. `before` and `after` are kept for traced runs only.

    `udf` is the name and version of what it ran.
    """

    name: str
    outcome: StageOutcome
    udf: str = ""
    took_ms: float = 0.0
    tries: int = 0
    error: StageError | None = None
    log: list[str] = field(default_factory=list)
    changed: bool = False
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class ObservedStage:
    """A stage with its name, its tries and its figures. `udf` is ``name@version`` of its code."""

    def __init__(
        self, stage: Stage, *, name: str, timeout_ms: int, tries: int, udf: str = ""
    ) -> None:
        self.name = name
        self.udf = udf
        self.stage = stage
        self._timeout_ms = timeout_ms
        self._tries = tries

    @property
    def room(self) -> int:
        """How many documents a batch may have now; 0 where each has to be run by itself."""
        return self.stage.room if isinstance(self.stage, BatchStage) else 0

    async def run_batch(
        self, documents: Sequence[Document], context: Context
    ) -> list[Document | None]:
        """One try at a batch, where there is `room`. It is counted by who knows its end."""
        assert isinstance(self.stage, BatchStage)
        context.stage = self.name
        context.stage_budget_ms = self._timeout_ms
        return await self.stage.run_batch(documents, context)

    async def run(
        self, payload: Payload, context: Context, stats: StageStats, *, trace: bool
    ) -> tuple[Payload, StageReport, RejectedError | DroppedError | None]:
        """Run the stage, again if it fails and has tries left, within one budget of time.

        Returns the payload to go on with (the input, unless it succeeded), the report, and the
        UDF's own decision to stop if it made one.
        """
        report = StageReport(name=self.name, outcome="failure", udf=self.udf)
        context.stage = self.name
        context.stage_budget_ms = self._timeout_ms
        context.stage_waited = 0.0
        first_line = len(context.log)
        verdict: RejectedError | DroppedError | None = None
        result = payload
        started = time.perf_counter()
        for attempt in range(self._tries):
            report.tries = attempt + 1
            try:
                result = await self.stage.run(payload, context)
                report.outcome, report.error = "success", None
                report.changed = result is not payload
            except StageError as error:
                error.stage = self.name
                error.pipeline = context.pipeline
                report.error = error
                stats.errors[error.kind] += 1
            except RejectedError as error:
                report.outcome, report.error, verdict = "rejected", None, error
            except DroppedError as error:
                report.outcome, report.error, verdict = "dropped", None, error
            if report.outcome != "failure" or isinstance(report.error, StageTimeoutError):
                break
            spent_ms = (time.perf_counter() - started - context.stage_waited) * 1000
            context.stage_budget_ms = int(self._timeout_ms - spent_ms)
            if context.stage_budget_ms < 1:
                break
        report.took_ms = (time.perf_counter() - started) * 1000
        report.log = context.log[first_line:]
        stats.latency.add(report.took_ms)
        stats.outcomes[report.outcome] += 1
        stats.retries += report.tries - 1
        if verdict is not None:
            verdict.stage = self.name
            verdict.pipeline = context.pipeline
        if trace:
            report.before, report.after = payload.data, result.data
        return result, report, verdict
