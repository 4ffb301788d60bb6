"""Makes of a definition what runs: checked at upload, built when it is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.definitions.pipeline import (
    PipelineDefinition,
    Reference,
    StageDefinition,
    read_pipeline,
)
from pipelines.definitions.udf import UdfRegistry
from pipelines.errors import MissingError, StageError
from pipelines.execution.plan import CompiledPipeline, Stages, Step
from pipelines.execution.scope import Scope
from pipelines.execution.stage import BatchStage, Stage
from pipelines.payload import Payload
from pipelines.stages import KINDS
from pipelines.stages.kind import Kind, Place, Resources
from pipelines.wasm.pool import SandboxPool

NOT_THERE = ""
"""In place of the version of something that is missing."""


class UnusableStage:
    """Stands where a stored stage cannot be built: every run fails with the reason."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        raise StageError("load", self._reason)


class Compiler:
    """Reads, checks and builds pipelines. Their sandboxes are those of `pool`."""

    def __init__(self, pool: SandboxPool, kinds: Mapping[str, Kind] = KINDS) -> None:
        self.kinds = kinds
        self._pool = pool

    def read(
        self, value: object, udfs: UdfRegistry, *, name: str | None = None
    ) -> PipelineDefinition:
        """Read an upload and check it against what is there.

        Raises `DefinitionError` with the path of the first fault.
        """
        definition = read_pipeline(value, self.kinds, name=name)
        resources = Resources(udfs, self._pool)
        for stage, place in _placed(definition):
            self.kinds[stage.type].check(stage.config, place, resources)
        return definition

    async def inspect(
        self, definition: PipelineDefinition, udfs: UdfRegistry, seen: set[object]
    ) -> None:
        """What only trying shows of its stages; `seen` is what was tried before.

        The packages that it refers to have to be held. Raises `DefinitionError`.
        """
        resources = Resources(udfs, self._pool)
        for stage, place in _placed(definition):
            await self.kinds[stage.type].inspect(stage.config, place, resources, seen)

    def compile(
        self, definition: PipelineDefinition, revision: int, udfs: UdfRegistry
    ) -> CompiledPipeline:
        """A definition with its stages built; what cannot be built fails when it is run.

        It has no breaker: that is for what is registered.
        """
        resources = Resources(udfs, self._pool)
        steps = tuple(self._step(stage, resources) for stage in definition.stages)
        return CompiledPipeline(definition, revision, Stages(steps, definition.timeout_ms))

    def _step(self, stage: StageDefinition, resources: Resources) -> Step:
        if not stage.enabled:
            return Step(stage.name, None)
        built_of: tuple[str, ...]
        try:
            built: Stage = self.kinds[stage.type].build(stage.config, stage.timeout_ms, resources)
            built_of = versions_of(stage, resources.udfs)
        except MissingError as error:
            built, built_of = UnusableStage(str(error)), (NOT_THERE,)
        return Step(
            stage.name,
            built,
            label=", ".join(_label(each, resources.udfs) for each in stage.config.references),
            timeout_ms=stage.timeout_ms,
            tries=stage.retries + 1,
            may_fail=stage.on_failure == "continue",
            batch=built if isinstance(built, BatchStage) else None,
            built_of=built_of,
        )


def versions_of(stage: StageDefinition, udfs: UdfRegistry) -> tuple[str, ...]:
    """What tells the versions apart of all that a stage would be built of now."""
    return tuple(_digest(reference, udfs) for reference in stage.config.references)


def _digest(reference: Reference, udfs: UdfRegistry) -> str:
    try:
        return udfs.get(reference.name, reference.version).digest
    except MissingError:
        return NOT_THERE


def _label(reference: Reference, udfs: UdfRegistry) -> str:
    """``name@version``, with the version that is meant."""
    try:
        return f"{reference.name}@{udfs.get(reference.name, reference.version).version}"
    except MissingError:
        return f"{reference.name}@{reference.version}"


def _placed(definition: PipelineDefinition) -> list[tuple[StageDefinition, Place]]:
    return [
        (stage, Place(f"stages[{position}].config", definition.type, position == 0))
        for position, stage in enumerate(definition.stages)
    ]
