"""Runs pipelines on many documents at once: one call a stage for all that are on their way.

This is the quick way for documents that end well: done, rejected or dropped. Whatever fails in a
batch counts and tells nothing here. Its caller runs it by itself, through the `Executor`, where it
fails again and is retried, told, counted and handled as if there had been no batch.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipelines.context import Context
from pipelines.errors import DroppedError, RejectedError, StageError, StageTimeoutError
from pipelines.execution.breaker import Ending
from pipelines.execution.executor import CompiledPipeline, log_lines
from pipelines.execution.observe import ObservedStage
from pipelines.execution.run_logs import RunLogs
from pipelines.execution.stats import Stats
from pipelines.wasm import Document

End = Document | RejectedError | DroppedError | None
"""How a document ended: as the pipelines left it, by their decision, or not at all yet."""


@dataclass(slots=True, kw_only=True)
class BatchRun:
    """What a batch came to: an end for each document, in order, and the time of each pipeline.

    A document without an end is to be run by itself, from the beginning. `ids` are those of runs
    that were rejected or logged something, by place.
    """

    ends: list[End]
    took_ms: list[tuple[CompiledPipeline, float]] = field(default_factory=list)
    ids: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Step:
    """One stage: what it took of every document, and how many ended in it."""

    name: str
    share_ms: float | None
    rejected: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Leg:
    pipeline: CompiledPipeline
    steps: list[_Step] = field(default_factory=list)


class Batches:
    """Runs batches and keeps their figures. One for each event loop."""

    def __init__(self, stats: Stats, logs: RunLogs | None = None) -> None:
        self._stats = stats
        self._logs = logs or RunLogs(stats)

    def room(self, pipelines: Sequence[CompiledPipeline]) -> int:
        """How many documents a batch may have now; 0 where each has to be run by itself."""
        stages = [stage for p in pipelines for _, stage in p.stages if stage is not None]
        broken = any(p.breaker and p.breaker.figure.state != "closed" for p in pipelines)
        return 0 if broken else min((stage.room for stage in stages), default=0)

    async def run(
        self,
        pipelines: Sequence[CompiledPipeline],
        documents: Sequence[Document],
        *,
        index: str,
        headers: dict[str, str],
        new_id: Callable[[], str],
        request_id: str = "",
    ) -> BatchRun:
        """Run document pipelines one after the other. Never raises for what a UDF did."""
        course = _Course(documents, new_id, request_id)
        for pipeline in pipelines:
            context = Context(id="", phase="document", index=index, headers=headers)
            if course.over or not await course.follow(pipeline, context):
                break
        return course.finish(self._stats, self._logs)


class _Course:
    """One batch on its way through its pipelines."""

    def __init__(
        self, documents: Sequence[Document], new_id: Callable[[], str], request_id: str
    ) -> None:
        self._request_id = request_id
        self._run = BatchRun(ends=[None] * len(documents))
        self._new_id = new_id
        self._legs: list[_Leg] = []
        # The places of the documents that are on their way, and these as they are now.
        self._places = list(range(len(documents)))
        self._now = list(documents)
        self._logs: dict[int, list[tuple[CompiledPipeline, ObservedStage, Sequence[str]]]] = {}

    @property
    def over(self) -> bool:
        """Whether no document is on its way any more."""
        return not self._places

    async def follow(self, pipeline: CompiledPipeline, context: Context) -> bool:
        """Run one pipeline on all that are on their way; False if all are to be run alone."""
        breaker, era = pipeline.breaker, 0
        ending: Ending = "unknown"
        context.pipeline = pipeline.name
        context.deadline = time.monotonic() + pipeline.definition.timeout_ms / 1000
        leg = _Leg(pipeline)
        self._legs.append(leg)
        try:
            if breaker is not None:
                era = breaker.enter()
            for definition, stage in pipeline.stages:
                if stage is None:
                    leg.steps.append(_Step(definition.name, None))
                elif self._places:
                    await self._step(stage, context, leg)
            if self._now or any(step.rejected or step.dropped for step in leg.steps):
                ending = "sound"
        except StageError:
            # What passed its deadline shows when each is run by itself.
            self._places, self._now = [], []
            return False
        finally:
            if breaker is not None:
                breaker.leave(era, ending)
        return True

    def finish(self, stats: Stats, logs: RunLogs) -> BatchRun:
        """Count and log what ended well; the documents still on their way are done."""
        run = self._run
        for place, document in zip(self._places, self._now, strict=True):
            run.ends[place] = document
        left = len(run.ends) - run.ends.count(None)
        for leg in self._legs:
            took_ms, left = _count(stats, leg, left)
            run.took_ms.append((leg.pipeline, took_ms))
        for place, reported in self._logs.items():
            if run.ends[place] is not None:
                id = run.ids.setdefault(place, self._new_id())
                for pipeline, stage, lines in reported:
                    log_lines(
                        logs,
                        pipeline,
                        stage.name,
                        lines,
                        udf=stage.udf,
                        id=id,
                        request_id=self._request_id,
                    )
        return run

    async def _step(self, stage: ObservedStage, context: Context, leg: _Leg) -> None:
        if context.remaining() <= 0:
            raise StageTimeoutError("the pipeline's time is over")
        began = time.perf_counter()
        ends = await stage.run_batch(self._now, context)
        took_ms = (time.perf_counter() - began) * 1000
        step = _Step(stage.name, took_ms / len(ends))
        leg.steps.append(step)
        places, self._places, self._now = self._places, [], []
        for place, document in zip(places, ends, strict=True):
            if document is None:
                continue
            if document.log:
                self._logs.setdefault(place, []).append((leg.pipeline, stage, document.log))
            if document.rejected is not None or document.dropped:
                self._stop(place, document, leg.pipeline, step)
            else:
                self._places.append(place)
                self._now.append(document)

    def _stop(
        self, place: int, document: Document, pipeline: CompiledPipeline, step: _Step
    ) -> None:
        error: RejectedError | DroppedError
        if document.rejected is not None:
            error = RejectedError(*document.rejected)
            step.rejected += 1
            self._run.ids[place] = self._new_id()
        else:
            error = DroppedError()
            step.dropped += 1
        error.pipeline, error.stage = pipeline.name, step.name
        self._run.ends[place] = error


def _count(stats: Stats, leg: _Leg, left: int) -> tuple[float, int]:
    """Count the `left` documents that came to a pipeline and did not fail anywhere.

    Gives the milliseconds they took, each its share of the batch, and how many went on.
    """
    pipeline = stats.pipeline(leg.pipeline.name)
    outcomes: Counter[str] = Counter()
    spent_ms = total_ms = 0.0
    for step in leg.steps:
        stage = pipeline.stage(step.name)
        if step.share_ms is None:
            stage.outcomes["skipped"] += left
            continue
        spent_ms += step.share_ms
        stage.latency.add(step.share_ms, left)
        ended = {"rejected": step.rejected, "dropped": step.dropped}
        left -= step.rejected + step.dropped
        stage.outcomes.update(ended, success=left)
        outcomes.update(ended)
        pipeline.latency.add(spent_ms, step.rejected + step.dropped)
        total_ms += spent_ms * (step.rejected + step.dropped)
    outcomes["done"] = left
    pipeline.outcomes.update(outcomes)
    pipeline.latency.add(spent_ms, left)
    return total_ms + spent_ms * left, left
