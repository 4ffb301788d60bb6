"""Runs pipelines on many documents at once: one call a stage for all that are on their way.

This is the quick way for documents that end well: done, rejected or dropped. Whatever fails in a
batch counts and tells nothing here. Its caller runs it by itself, through the `Executor`, where it
fails again and is retried, told, counted and handled as if there had been no batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipelines.context import Context
from pipelines.errors import StageError
from pipelines.execution.course import Course, End
from pipelines.execution.plan import CompiledPipeline
from pipelines.execution.run_logs import RunLogs
from pipelines.execution.run_stages import run_stages
from pipelines.execution.scope import Scope
from pipelines.execution.stats import Stats
from pipelines.payload import Document


@dataclass(frozen=True, slots=True)
class BatchRun:
    """What a batch came to: an end for each document, in order, and the time of each pipeline.

    A document without an end is to be run by itself, from the beginning. `ids` are those of runs
    that were rejected or logged something, by place.
    """

    ends: list[End]
    took_ms: list[tuple[CompiledPipeline, float]]
    ids: dict[int, str]


class Batches:
    """Runs batches and keeps their figures. One for each event loop."""

    def __init__(self, stats: Stats, logs: RunLogs | None = None) -> None:
        self._stats = stats
        self._logs = logs or RunLogs(stats)

    def room(self, pipelines: Sequence[CompiledPipeline]) -> int:
        """How many documents a batch may have now; 0 where each has to be run by itself."""
        return min((pipeline.stages.room for pipeline in pipelines), default=0)

    async def run(
        self,
        pipelines: Sequence[CompiledPipeline],
        documents: Sequence[Document],
        context: Context,
        new_id: Callable[[], str],
    ) -> BatchRun:
        """Run document pipelines one after the other. Never raises for what a UDF did.

        `context` is without ids: each document that has something to tell is given one of
        `new_id`.
        """
        course, left = Course(documents, new_id), list(documents)
        for pipeline in pipelines:
            if not left:
                break
            course.enter(pipeline.name)
            stats = self._stats.pipeline(pipeline.name)
            scope = Scope(context, pipeline.name, stats, {}, {}, course=course)
            try:
                left = await run_stages(pipeline.stages, left, scope)
            except StageError:
                # What passed its deadline shows when each is run by itself.
                course.give_up()
                left = []
        course.finish(left)
        took_ms = self._count(course, pipelines)
        self._log(course, pipelines, context)
        return BatchRun(course.ends, took_ms, course.ids)

    def _count(
        self, course: Course, pipelines: Sequence[CompiledPipeline]
    ) -> list[tuple[CompiledPipeline, float]]:
        """Count what ended well; returns the milliseconds each pipeline took of it."""
        took: list[tuple[CompiledPipeline, float]] = []
        left = len(course.ends) - course.ends.count(None)
        for pipeline, leg in zip(pipelines, course.legs, strict=False):
            took_ms, left = leg.count(self._stats.pipeline(pipeline.name), left)
            took.append((pipeline, took_ms))
        return took

    def _log(self, course: Course, pipelines: Sequence[CompiledPipeline], context: Context) -> None:
        """What UDFs logged about documents that ended well."""
        for place, logged in course.logs.items():
            if course.ends[place] is None:
                continue
            own = replace(context, id=course.id_of(place))
            for each in logged:
                self._logs.of_stage(pipelines[each.leg], each.stage, each.label, each.lines, own)
