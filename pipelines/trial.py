"""UDFs and pipelines that are tried: compiled as any other, and stored nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipelines.compiler import Compiler
from pipelines.definitions.fields import json_type
from pipelines.definitions.package import Package
from pipelines.definitions.pipeline import PipelineDefinition, Reference
from pipelines.definitions.udf import LATEST, UdfRegistry, UdfVersion, version_of
from pipelines.errors import DefinitionError, MissingError
from pipelines.execution.plan import CompiledPipeline


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
    """What one trial compiles with `compiler`, whose sandboxes serve no traffic."""

    def __init__(
        self, stored: UdfRegistry, compiler: Compiler, given: Mapping[str, GivenUdf]
    ) -> None:
        self._given = given
        self._compiler = compiler
        self._udfs = TrialUdfs(stored, given)

    def read(self, value: Any, path: str, name: str) -> PipelineDefinition:
        """A definition that came with the call. Raises `DefinitionError` with the place in it."""
        try:
            if not isinstance(value, dict):
                raise DefinitionError("", f"must be an object, not {json_type(value)}")
            return self._compiler.read({"name": name, **value}, self._udfs)
        except DefinitionError as error:
            place = f"{path}.{error.path}" if error.path else path
            raise DefinitionError(place, error.reason) from error

    def uses_given(self, definition: PipelineDefinition) -> bool:
        """Whether a stage of it names a UDF that was given."""
        return any(map(self._serves, definition.references("udf")))

    def needed(self, definition: PipelineDefinition) -> list[UdfVersion]:
        """The stored UDF versions it runs, whose packages `compile` has to find."""
        found: list[UdfVersion] = []
        for reference in definition.references("udf"):
            # One that is missing makes a stage that fails, and says so.
            with suppress(MissingError):
                if not self._serves(reference):
                    found.append(self._udfs.get(reference.name, reference.version))
        return found

    def compile(self, definition: PipelineDefinition, revision: int) -> CompiledPipeline:
        """Its stages, ready to run in the sandboxes of the trial."""
        return self._compiler.compile(definition, revision, self._udfs)

    def check_used(self, pipelines: Iterable[CompiledPipeline]) -> None:
        """Raises `DefinitionError` for a UDF that was given and runs in none of these."""
        run = {digest for p in pipelines for digests in p.built_of for digest in digests}
        for name, given in self._given.items():
            if given.package.digest not in run:
                reason = "no stage that is enabled runs it; see its udf_name and udf_version"
                raise DefinitionError(f"udfs.{name}", reason)

    def _serves(self, reference: Reference) -> bool:
        given = self._given.get(reference.name)
        return given is not None and given.serves(reference.version)
