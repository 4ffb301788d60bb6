"""UDFs and pipelines that are tried: compiled as any other, and stored nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipelines.definitions.fields import json_type
from pipelines.definitions.pipeline import PipelineDefinition
from pipelines.definitions.udf import LATEST, UdfRegistry, UdfVersion, version_of
from pipelines.errors import DefinitionError, MissingError
from pipelines.execution.executor import CompiledPipeline
from pipelines.execution.observe import ObservedStage
from pipelines.execution.stats import Stats
from pipelines.registry import Registry, udfs_of
from pipelines.stages.python import PythonConfig, PythonStage
from pipelines.wasm import Package
from pipelines.wasm.pool import SandboxPool


@dataclass(frozen=True, slots=True)
class GivenUdf:
    """A package that came with the call. Without a version of its own it stands for any."""

    package: Package
    versioned: bool

    def serves(self, version: str) -> bool:
        return not self.versioned or version in (LATEST, self.package.version)


class TrialUdfs(UdfRegistry):
    """The stored UDFs with others laid over them; those below stay as they are."""

    def __init__(self, stored: UdfRegistry, given: Mapping[str, GivenUdf]) -> None:
        super().__init__()
        self._stored = stored
        self._given = given

    def get(self, name: str, version: str = LATEST) -> UdfVersion:
        given = self._given.get(name)
        if given is not None and given.serves(version):
            return version_of(given.package)
        return self._stored.get(name, version)

    def package(self, found: UdfVersion) -> Package | None:
        given = self._given.get(found.name)
        if given is not None and given.package.digest == found.digest:
            return given.package
        return self._stored.package(found)

    def names(self) -> list[str]:
        return sorted({*self._stored.names(), *self._given})


class Trial:
    """What one trial compiles. Its sandboxes are those of `pool`, which serves no traffic."""

    def __init__(self, stored: Registry, pool: SandboxPool, given: Mapping[str, GivenUdf]) -> None:
        self._given = given
        self._registry = Registry(pool, Stats())
        self._registry.udfs = TrialUdfs(stored.udfs, given)

    def read(self, value: Any, path: str, name: str) -> PipelineDefinition:
        """A definition that came with the call. Raises `DefinitionError` with the place in it."""
        try:
            if not isinstance(value, dict):
                raise DefinitionError("", f"must be an object, not {json_type(value)}")
            return self._registry.read({"name": name, **value})
        except DefinitionError as error:
            place = f"{path}.{error.path}" if error.path else path
            raise DefinitionError(place, error.reason) from error

    def uses_given(self, definition: PipelineDefinition) -> bool:
        """Whether a stage of it names a UDF that was given."""
        return any(map(self._serves, udfs_of(definition)))

    def needed(self, definition: PipelineDefinition) -> list[UdfVersion]:
        """The stored UDF versions it runs, whose packages `compile` has to find."""
        found: list[UdfVersion] = []
        for config in udfs_of(definition):
            # One that is missing makes a stage that fails, and says so.
            with suppress(MissingError):
                if not self._serves(config):
                    found.append(self._registry.udfs.get(config.udf_name, config.udf_version))
        return found

    def compile(self, definition: PipelineDefinition, revision: int) -> CompiledPipeline:
        """Its stages, ready to run in the sandboxes of the trial."""
        return self._registry.compile(definition, revision)

    def check_used(self, pipelines: Iterable[CompiledPipeline]) -> None:
        """Raises `DefinitionError` for a UDF that was given and runs in none of these."""
        run = {
            package.digest
            for pipeline in pipelines
            for _, stage in pipeline.stages
            if (package := package_of_stage(stage)) is not None
        }
        for name, given in self._given.items():
            if given.package.digest not in run:
                reason = "no stage that is enabled runs it; see its udf_name and udf_version"
                raise DefinitionError(f"udfs.{name}", reason)

    def _serves(self, config: PythonConfig) -> bool:
        given = self._given.get(config.udf_name)
        return given is not None and given.serves(config.udf_version)


def package_of_stage(stage: ObservedStage | None) -> Package | None:
    """The UDF version a stage runs; None for one that runs none."""
    inner = None if stage is None else stage.stage
    return inner.package if isinstance(inner, PythonStage) else None
