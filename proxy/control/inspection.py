"""What only a sandbox can tell of an upload: whether it loads, and what it defines."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.context import Phase
from pipelines.definitions.pipeline import PipelineDefinition
from pipelines.definitions.udf import category_phase, upload_memory_mb
from pipelines.errors import DefinitionError, StageError
from pipelines.registry import udfs_of
from pipelines.stages.python import PythonConfig
from pipelines.wasm import Package, parameters_text
from pipelines.wasm.pool import SandboxPool

Inspected = set[tuple[str, bytes, int]]
"""UDF, parameters and memory, each with which it was found to load."""


class Inspector:
    """Loads UDFs in throw-away sandboxes. That may take as long as loading may, so nobody waits
    for it with a lock held.
    """

    def __init__(self, pool: SandboxPool) -> None:
        self._pool = pool

    async def check_package(self, package: Package) -> None:
        """`DefinitionError` if a UDF does not load, or defines nothing that can be run."""
        memory_mb = upload_memory_mb(package)
        phase = category_phase(package)
        try:
            entry_points = await self._pool.inspect(package, {}, memory_mb=memory_mb, phase=phase)
        except StageError as error:
            raise DefinitionError("source", error.reason) from error
        if not entry_points:
            reason = "defines none of udf_main(), query(), document(), result()"
            raise DefinitionError("source", reason)

    async def check_stages(
        self,
        definition: PipelineDefinition,
        packages: Mapping[tuple[str, str], Package],
        inspected: Inspected,
    ) -> None:
        """A UDF must have a function for the pipeline's type, with the stage's parameters.

        `packages` are those of the stages by name and version as the stages say them; what is in
        `inspected` was checked before, and what is checked now is added to it.
        """
        for position, config in enumerate(udfs_of(definition)):
            path = f"stages[{position}].config"
            package = packages[config.udf_name, config.udf_version]
            key = (package.digest, parameters_text(config.parameters), config.memory_mb)
            if key in inspected:
                continue
            entry_points = await self._entry_points(package, config, definition.type, path)
            if not entry_points & {"udf_main", definition.type}:
                reason = (
                    f"udf [{package.name}@{package.version}] defines neither udf_main() nor"
                    f" {definition.type}()"
                )
                raise DefinitionError(f"{path}.udf_name", reason)
            inspected.add(key)

    async def _entry_points(
        self, package: Package, config: PythonConfig, phase: Phase, path: str
    ) -> frozenset[str]:
        try:
            return await self._pool.inspect(
                package, config.parameters, memory_mb=config.memory_mb, phase=phase
            )
        except StageError as error:
            raise DefinitionError(f"{path}.parameters", error.reason) from error
