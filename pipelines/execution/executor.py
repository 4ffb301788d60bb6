"""Runs the pipelines of one phase of a request: outcome, failure policies, figures, log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pipelines.context import Context
from pipelines.errors import DroppedError, RejectedError, StageError, StageTimeoutError
from pipelines.execution.plan import CompiledPipeline
from pipelines.execution.run_logs import RunLogs
from pipelines.execution.run_stages import run_stages
from pipelines.execution.scope import Scope, StageReport
from pipelines.execution.stats import Outcome, PipelineStats, Stats
from pipelines.payload import Payload, check_input


@dataclass(slots=True)
class Run:
    """What one run came to.

    `payload` is what the request goes on with: the result when `done`, what the surviving stages
    made when `degraded` by a stage that may fail, the original when the whole run degraded. So are
    `state` and `metadata`. `error` says why it failed, degraded, was rejected or dropped. The
    outcome of one that is `held` is not counted yet.
    """

    pipeline: CompiledPipeline
    outcome: Outcome
    payload: Payload
    state: Mapping[str, Any]
    metadata: Mapping[str, Any]
    stages: list[StageReport]
    took_ms: float = 0.0
    error: StageError | RejectedError | DroppedError | None = None
    held: bool = False

    @property
    def turned_off(self) -> bool:
        """Whether it ended before it began, as its pipeline is turned off."""
        return isinstance(self.error, StageError) and self.error.kind == "breaker"


class Journal(Protocol):
    """What the runs of one request have in common: whoever asked for them keeps it."""

    state: Mapping[str, Any]
    metadata: Mapping[str, Any]

    def ended(self, run: Run) -> None:
        """Take a run down, with the state and metadata that it left.

        Raises what the request ends with, where it does not go on.
        """


class Executor:
    """Runs pipelines and keeps their figures. One for each event loop."""

    def __init__(self, stats: Stats, logs: RunLogs | None = None) -> None:
        self.stats = stats
        self._logs = logs or RunLogs(stats)

    async def run(
        self,
        pipelines: Iterable[CompiledPipeline],
        payload: Payload,
        context: Context,
        journal: Journal,
        *,
        trace: bool = False,
        hold: bool = False,
    ) -> Payload:
        """Run pipelines of one phase one after the other; returns what the request goes on with.

        `journal` is told how each ended; nothing but what it raises is raised. With `hold`, the
        outcome of a run that changed its payload is counted by `settle` or `refuse`, once the
        backend has been asked.
        """
        for pipeline in pipelines:
            began = time.monotonic()
            scope = Scope(
                context,
                pipeline.name,
                self.stats.pipeline(pipeline.name),
                journal.state,
                journal.metadata,
                strict=pipeline.final,
                trace=trace,
            )
            error: StageError | RejectedError | DroppedError | None = None
            outcome: Outcome = "done"
            result = payload
            try:
                check_input(context.phase, payload)
                result = await run_stages(pipeline.stages, payload, scope)
                if (error := scope.degraded) is not None:
                    outcome = "degraded"
            except StageError as failure:
                outcome = "degraded" if pipeline.may_be_left_out else "failed"
                error, error.pipeline = failure, pipeline.name
                # What a run that is thrown away wrote is taken back.
                scope.state, scope.metadata = journal.state, journal.metadata
            except RejectedError as rejection:
                outcome, error = "rejected", rejection
            except DroppedError as drop:
                outcome, error = "dropped", drop
            took_ms = (time.monotonic() - began) * 1000
            run = Run(
                pipeline,
                outcome,
                result,
                scope.state,
                scope.metadata,
                scope.reports,
                took_ms,
                # With its traceback, whose frames hold the run, it would be left to the collector.
                error and error.with_traceback(None),
                hold and result is not payload and outcome in ("done", "degraded"),
            )
            self._count(run, scope.stats, context)
            journal.ended(run)
            payload = result
        return payload

    def settle(self, run: Run) -> None:
        """Count a run that was held as what it came to."""
        if run.held:
            run.held = False
            self.stats.pipeline(run.pipeline.name).outcomes[run.outcome] += 1

    def refuse(self, run: Run, error: StageError, context: Context, *, left_out: bool) -> None:
        """Count a run that was held as one whose request the backend refused.

        `left_out` says that the request goes on without it.
        """
        error.pipeline = run.pipeline.name
        changed = [report.name for report in run.stages if report.changed]
        stats = self.stats.pipeline(run.pipeline.name)
        if changed:
            error.stage = changed[-1]
            stats.stage(error.stage).errors[error.kind] += 1
        run.error = error
        run.outcome = "degraded" if left_out else "failed"
        stats.refused += 1
        self.settle(run)
        self._logs.of_run(run.pipeline, run.outcome, error, context)

    def _count(self, run: Run, stats: PipelineStats, context: Context) -> None:
        stats.outcomes[run.outcome] += not run.held
        if run.error is not None and run.turned_off:
            # It took no time, which would say nothing of how long runs take.
            stats.turned_off += 1
            return
        stats.latency.add(run.took_ms)
        for report in run.stages:
            if report.log:
                self._logs.of_stage(run.pipeline, report.name, report.label, report.log, context)
        if isinstance(run.error, StageError):
            stats.timeouts += isinstance(run.error, StageTimeoutError)
            self._logs.of_run(run.pipeline, run.outcome, run.error, context)
