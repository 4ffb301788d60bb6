"""A pipeline as it runs: what can be known when it is loaded is known here."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.definitions.pipeline import PipelineDefinition
from pipelines.execution.breaker import Breaker
from pipelines.execution.stage import BatchStage, Stage


@dataclass(frozen=True, slots=True)
class Step:
    """A stage in its place, with what its definition says; one that is disabled has no `stage`.

    `label` names what it runs, such as a UDF with its version. `batch` is the stage, if it takes
    batches. With `may_fail` the payload goes on without it, where the run is not strict. `built_of`
    are the digests of what it was built of.
    """

    name: str
    stage: Stage | None
    label: str = ""
    timeout_ms: int = 0
    tries: int = 1
    may_fail: bool = False
    batch: BatchStage | None = None
    built_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stages:
    """Steps that run one after the other within `timeout_ms`, unless their `breaker` is open."""

    steps: tuple[Step, ...]
    timeout_ms: int
    breaker: Breaker | None = None

    @property
    def room(self) -> int:
        """How many documents a batch may have now; 0 where each has to be run by itself."""
        if self.breaker is not None and self.breaker.figure.state != "closed":
            return 0
        rooms = [step.batch.room if step.batch else 0 for step in self.steps if step.stage]
        return min(rooms, default=0)

    def label_of(self, name: str) -> str | None:
        """What the step of that name runs; None if there is none, or it is disabled."""
        labels = (step.label for step in self.steps if step.name == name and step.stage)
        return next(labels, None)


@dataclass(frozen=True, slots=True)
class CompiledPipeline:
    """A definition with its stages ready to run.

    A `final` one fails closed: a run that is not done ends the request, whatever the definition
    says of errors.
    """

    definition: PipelineDefinition
    revision: int
    stages: Stages
    final: bool = False

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def label(self) -> str:
        """``name@version#revision``, as headers and warnings show it."""
        return f"{self.definition.label}#{self.revision}"

    @property
    def built_of(self) -> tuple[tuple[str, ...], ...]:
        """The digests of what its enabled stages were built of."""
        return tuple(step.built_of for step in self.stages.steps if step.stage is not None)

    @property
    def may_be_left_out(self) -> bool:
        """Whether a request goes on without what this pipeline would have done."""
        return self.definition.on_error in ("continue", "pass") and not self.final
