"""What runs write into the log: the lines of their UDFs, and one for a run that went wrong.

A UDF is not trusted with the log of the whole proxy: so many lines a second are written of each
pipeline, and the others are counted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import structlog

from pipelines.context import Context
from pipelines.errors import StageError
from pipelines.execution.log_limit import LogLimit
from pipelines.execution.plan import CompiledPipeline
from pipelines.execution.stats import OUTCOMES, Outcome, Stats

_log = structlog.get_logger("pipelines.execution.executor")

UDF_LINE: Final = "udf"
RUN_LINES: Final = {outcome: f"run {outcome}" for outcome in OUTCOMES}
# What a line takes beside what the UDF wrote.
_FRAME_BYTES: Final = 250


class RunLogs:
    """Writes the log of runs, each pipeline within `limit`; what is left out goes into `stats`.

    One for each event loop. `report` is to be called now and then.
    """

    def __init__(self, stats: Stats, limit: LogLimit | None = None) -> None:
        self._stats = stats
        self._limit = limit or LogLimit()

    def of_stage(
        self,
        pipeline: CompiledPipeline,
        stage: str,
        label: str,
        lines: Sequence[str],
        context: Context,
    ) -> None:
        """What a stage logged in one run; `label` names what it ran."""
        if not lines or not _log.is_enabled_for(logging.INFO):
            return
        key = f"udf {pipeline.name}"
        for number, line in enumerate(lines):
            if not self._limit.admit(key, len(line) + _FRAME_BYTES):
                # Looking at each of thousands would take its time.
                rest = len(lines) - number
                self._limit.leave_out(key, rest - 1)
                self._stats.pipeline(pipeline.name).left_out += rest
                return
            _log.info(
                UDF_LINE,
                pipeline=pipeline.name,
                message=line,
                **_fields(pipeline, context),
                stage=stage,
                udf=label or None,
            )

    def of_run(
        self,
        pipeline: CompiledPipeline,
        outcome: Outcome,
        error: StageError,
        context: Context,
    ) -> None:
        """One line for a run that was not done."""
        size = len(error.reason) + len(error.detail or "") + _FRAME_BYTES
        if not self._limit.admit(f"run {pipeline.name}", size):
            self._stats.pipeline(pipeline.name).left_out += 1
            return
        _log.warning(
            RUN_LINES[outcome],
            pipeline=pipeline.name,
            stage=error.stage,
            kind=error.kind,
            reason=error.reason,
            detail=error.detail or None,
            **_fields(pipeline, context),
            udf=pipeline.stages.label_of(error.stage),
            index=context.index,
        )

    def report(self) -> None:
        """Write how much was left out since the last time, a line for each pipeline and kind."""
        for key, lines in self._limit.take_all():
            kind, _, pipeline = key.partition(" ")
            _log.warning("log lines left out", pipeline=pipeline, of=kind, lines=lines)


class NoLogs(RunLogs):
    """For runs that are tried: what there is to say of them is in their response."""

    def of_stage(self, *given: object, **named: object) -> None:
        pass

    def of_run(self, *given: object, **named: object) -> None:
        pass


def _fields(pipeline: CompiledPipeline, context: Context) -> dict[str, object]:
    """What every line says of its run."""
    return {
        "id": context.id,
        "request_id": context.request_id or None,
        "version": pipeline.definition.version,
        "revision": pipeline.revision,
    }
