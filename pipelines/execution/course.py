"""The documents of a batch on their way: which are left, and how the others ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipelines.errors import DroppedError, RejectedError
from pipelines.execution.stats import PipelineStats
from pipelines.payload import Document

End = Document | RejectedError | DroppedError | None
"""How a document ended: as the pipelines left it, by their decision, or not at all yet."""


@dataclass(slots=True)
class _Step:
    """One stage: what it took of every document, and how many ended in it."""

    name: str
    share_ms: float | None
    rejected: int = 0
    dropped: int = 0


@dataclass(slots=True)
class Leg:
    """One pipeline of the way."""

    pipeline: str
    steps: list[_Step] = field(default_factory=list)

    @property
    def ended(self) -> int:
        """How many documents were rejected or dropped in it."""
        return sum(step.rejected + step.dropped for step in self.steps)

    def count(self, stats: PipelineStats, left: int) -> tuple[float, int]:
        """Count the `left` documents that came to the pipeline and did not fail anywhere.

        Returns the milliseconds they took, each its share of the batch, and how many went on.
        """
        outcomes: Counter[str] = Counter()
        spent_ms = total_ms = 0.0
        for step in self.steps:
            stage = stats.stage(step.name)
            if step.share_ms is None:
                stage.outcomes["skipped"] += left
                continue
            spent_ms += step.share_ms
            stage.latency.add(step.share_ms, left)
            ended = {"rejected": step.rejected, "dropped": step.dropped}
            left -= step.rejected + step.dropped
            stage.outcomes.update(ended, success=left)
            outcomes.update(ended)
            stats.latency.add(spent_ms, step.rejected + step.dropped)
            total_ms += spent_ms * (step.rejected + step.dropped)
        outcomes["done"] = left
        stats.outcomes.update(outcomes)
        stats.latency.add(spent_ms, left)
        return total_ms + spent_ms * left, left


@dataclass(frozen=True, slots=True)
class Logged:
    """What a UDF logged about one document. `label` names the UDF."""

    leg: int
    stage: str
    label: str
    lines: Sequence[str]


class Course:
    """One batch on its way through pipelines. What ended is counted at the end of all."""

    def __init__(self, documents: Sequence[Document], new_id: Callable[[], str]) -> None:
        self.ends: list[End] = [None] * len(documents)
        self.ids: dict[int, str] = {}
        self.legs: list[Leg] = []
        self.logs: dict[int, list[Logged]] = {}
        self._new_id = new_id
        # The places of the documents that are on their way.
        self._places = list(range(len(documents)))

    def enter(self, pipeline: str) -> None:
        """The documents that are left come to the next pipeline."""
        self.legs.append(Leg(pipeline))

    def skip(self, stage: str) -> None:
        """They go past a stage that is disabled."""
        self.legs[-1].steps.append(_Step(stage, None))

    def passed(
        self, stage: str, label: str, took_ms: float, documents: Sequence[Document | None]
    ) -> list[Document]:
        """They come out of a stage; returns those that go on.

        None is a document that is to be run by itself, from the beginning.
        """
        leg = self.legs[-1]
        step = _Step(stage, took_ms / len(documents))
        leg.steps.append(step)
        left: list[Document] = []
        places, self._places = self._places, []
        for place, document in zip(places, documents, strict=True):
            if document is None:
                continue
            if document.log:
                logged = Logged(len(self.legs) - 1, stage, label, document.log)
                self.logs.setdefault(place, []).append(logged)
            if document.rejected is not None or document.dropped:
                self._stop(place, document, leg.pipeline, step)
            else:
                self._places.append(place)
                left.append(document)
        return left

    @property
    def ending(self) -> Literal["sound", "unknown"]:
        """How the last pipeline ended: soundly if any document did, or goes on."""
        return "sound" if self._places or self.legs[-1].ended else "unknown"

    def give_up(self) -> None:
        """All that are left are to be run by themselves."""
        self._places = []

    def finish(self, documents: Sequence[Document]) -> None:
        """The `documents` that are left have come through."""
        for place, document in zip(self._places, documents, strict=True):
            self.ends[place] = document

    def id_of(self, place: int) -> str:
        """The id under which what became of a document is told."""
        return self.ids.setdefault(place, self._new_id())

    def _stop(self, place: int, document: Document, pipeline: str, step: _Step) -> None:
        error: RejectedError | DroppedError
        if document.rejected is not None:
            error = RejectedError(*document.rejected)
            step.rejected += 1
            self.ids[place] = self._new_id()
        else:
            error = DroppedError()
            step.dropped += 1
        error.pipeline, error.stage = pipeline, step.name
        self.ends[place] = error
