"""Run a compiled pipeline on a payload: stages in order, deadline, failure policies, outcome."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.context import Context
from pipelines.definitions.pipeline import PipelineDefinition, StageDefinition
from pipelines.errors import (
    DroppedError,
    PipelineError,
    RejectedError,
    StageError,
    StageTimeoutError,
)
from pipelines.execution.breaker import Breaker, Ending, ending_of
from pipelines.execution.observe import ObservedStage, StageReport
from pipelines.execution.run_logs import RunLogs
from pipelines.execution.stats import Outcome, Stats
from pipelines.payload import Payload, check_input


@dataclass(frozen=True, slots=True)
class CompiledPipeline:
    """A definition with its stages ready to run; a disabled stage has no `ObservedStage`.

    A `final` one fails closed: a run that is not done ends the request, whatever the definition
    says of errors. Without a `breaker` it always runs.
    """

    definition: PipelineDefinition
    revision: int
    stages: tuple[tuple[StageDefinition, ObservedStage | None], ...]
    final: bool = False
    breaker: Breaker | None = None

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def label(self) -> str:
        """``name@version#revision``, as headers and warnings show it."""
        return f"{self.definition.label}#{self.revision}"

    @property
    def may_be_left_out(self) -> bool:
        """Whether a request goes on without what this pipeline would have done."""
        return self.definition.on_error in ("continue", "pass") and not self.final


@dataclass(slots=True, kw_only=True)
class Run:
    """What one run came to.

    `payload` is what the request goes on with: the result when `done`, what the surviving stages
    made when `degraded` by a stage that may fail, the original when the whole run degraded.
    `error` says why it failed, degraded, was rejected or dropped. The outcome of one that is `held`
    is not counted yet.
    """

    pipeline: CompiledPipeline
    outcome: Outcome
    payload: Payload
    took_ms: float
    error: StageError | RejectedError | DroppedError | None = None
    stages: list[StageReport] = field(default_factory=list)
    held: bool = False


class Executor:
    """Runs pipelines and keeps their figures. One for each event loop."""

    def __init__(self, stats: Stats, logs: RunLogs | None = None) -> None:
        self.stats = stats
        self._logs = logs or RunLogs(stats)

    async def run(
        self,
        pipeline: CompiledPipeline,
        payload: Payload,
        context: Context,
        *,
        trace: bool = False,
        hold: bool = False,
    ) -> Run:
        """Run every enabled stage in order; never raises for what a UDF did.

        With `hold`, the outcome of a run that changed its payload is counted by `settle` or
        `refuse`, once the backend has been asked.

        The deadline of `context` is the caller's; the pipeline's own timeout shortens it. State
        and metadata written by a run that is thrown away are taken back.
        """
        definition = pipeline.definition
        stats = self.stats.pipeline(pipeline.name)
        started = time.monotonic()
        context.pipeline = pipeline.name
        context.deadline = min(context.deadline, started + definition.timeout_ms / 1000)
        state, metadata = dict(context.state), dict(context.metadata)
        run = Run(pipeline=pipeline, outcome="done", payload=payload, took_ms=0.0)
        try:
            check_input(definition.type, payload)
            await self._run_guarded(run, context, trace)
        except StageError as error:
            error.pipeline = pipeline.name
            # With its traceback, whose frames hold the run, each would be left to the collector.
            run.error = error.with_traceback(None)
            run.outcome = "degraded" if pipeline.may_be_left_out else "failed"
            run.payload = payload
            context.state, context.metadata = state, metadata
        except RejectedError as error:
            run.error, run.outcome = error.with_traceback(None), "rejected"
        except DroppedError as error:
            run.error, run.outcome = error.with_traceback(None), "dropped"
        run.took_ms = (time.monotonic() - started) * 1000
        run.held = hold and run.payload is not payload and run.outcome in ("done", "degraded")
        stats.outcomes[run.outcome] += not run.held
        if _turned_off(run):
            # It took no time, which would say nothing of how long runs take.
            stats.turned_off += 1
            return run
        stats.latency.add(run.took_ms)
        stats.timeouts += isinstance(run.error, StageTimeoutError)
        _write_log(self._logs, run, context)
        return run

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
        log_failure(self._logs, run, error, context)

    async def _run_guarded(self, run: Run, context: Context, trace: bool) -> None:
        """Run the stages unless the breaker is open; it gets to know how they ended."""
        breaker = run.pipeline.breaker
        if breaker is None:
            await self._run_stages(run, context, trace)
            return
        era = breaker.enter()
        ending: Ending = "unknown"
        try:
            await self._run_stages(run, context, trace)
            ending = ending_of(run.stages, None)
        except PipelineError as error:
            ending = ending_of(run.stages, error)
            raise
        finally:
            breaker.leave(era, ending)

    async def _run_stages(self, run: Run, context: Context, trace: bool) -> None:
        stats = self.stats.pipeline(run.pipeline.name)
        for stage_definition, stage in run.pipeline.stages:
            stage_stats = stats.stage(stage_definition.name)
            if stage is None:
                stage_stats.outcomes["skipped"] += 1
                run.stages.append(StageReport(name=stage_definition.name, outcome="skipped"))
                continue
            if context.remaining() <= 0:
                timeout = run.pipeline.definition.timeout_ms
                late = StageTimeoutError(f"the pipeline passed its {timeout} ms")
                late.stage = stage_definition.name
                raise late
            run.payload, report, verdict = await stage.run(
                run.payload, context, stage_stats, trace=trace
            )
            run.stages.append(report)
            if verdict is not None:
                raise verdict
            if report.error is not None:
                if stage_definition.on_failure != "continue" or run.pipeline.final:
                    raise report.error
                run.outcome, run.error = "degraded", report.error


def _turned_off(run: Run) -> bool:
    """Whether a run ended before it began, as its pipeline is turned off."""
    return isinstance(run.error, StageError) and run.error.kind == "breaker"


def log_lines(
    logs: RunLogs,
    pipeline: CompiledPipeline,
    stage: str,
    lines: Sequence[str],
    *,
    udf: str,
    id: str,
    request_id: str,
) -> None:
    """Write what a UDF logged in one run."""
    logs.lines(
        pipeline.name,
        lines,
        id=id,
        request_id=request_id or None,
        version=pipeline.definition.version,
        revision=pipeline.revision,
        stage=stage,
        udf=udf or None,
    )


def _write_log(logs: RunLogs, run: Run, context: Context) -> None:
    """One line for a run that was not done, and what its UDFs logged."""
    for report in run.stages:
        log_lines(
            logs,
            run.pipeline,
            report.name,
            report.log,
            udf=report.udf,
            id=context.id,
            request_id=context.request_id,
        )
    if isinstance(run.error, StageError):
        log_failure(logs, run, run.error, context)


def log_failure(logs: RunLogs, run: Run, error: StageError, context: Context) -> None:
    """One line for a run that came to `error`."""
    pipeline = run.pipeline
    udfs = {stage.name: stage.udf for _, stage in pipeline.stages if stage is not None}
    logs.ended(
        pipeline.name,
        run.outcome,
        error,
        id=context.id,
        request_id=context.request_id or None,
        version=pipeline.definition.version,
        revision=pipeline.revision,
        udf=udfs.get(error.stage),
        index=context.index,
    )
