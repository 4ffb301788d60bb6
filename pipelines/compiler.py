"""Makes of a definition what runs: checked at upload, built when it is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.definitions.pipeline import PipelineDefinition, read_pipeline
from pipelines.definitions.udf import UdfRegistry
from pipelines.execution.plan import CompiledPipeline, Stages
from pipelines.stages import KINDS
from pipelines.stages.kind import Kind, Place, Resources
from pipelines.wasm.pool import SandboxPool


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
        self._resources(udfs).check(definition.stages, _place_of(definition))
        return definition

    async def inspect(
        self, definition: PipelineDefinition, udfs: UdfRegistry, seen: set[object]
    ) -> None:
        """What only trying shows of its stages; `seen` is what was tried before.

        The packages that it refers to have to be held. Raises `DefinitionError`.
        """
        await self._resources(udfs).inspect(definition.stages, _place_of(definition), seen)

    def compile(
        self, definition: PipelineDefinition, revision: int, udfs: UdfRegistry
    ) -> CompiledPipeline:
        """A definition with its stages built; what cannot be built fails when it is run.

        It has no breaker: that is for what is registered.
        """
        steps = self._resources(udfs).build(definition.stages)
        return CompiledPipeline(definition, revision, Stages(steps, definition.timeout_ms))

    def _resources(self, udfs: UdfRegistry) -> Resources:
        return Resources(udfs, self._pool, self.kinds)


def _place_of(definition: PipelineDefinition) -> Place:
    return Place("stages", definition.type, True)
