"""The contract of a kind of stage: one file that reads, checks and builds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from pipelines.context import Phase
from pipelines.definitions.package import Package
from pipelines.definitions.pipeline import StageKind
from pipelines.definitions.udf import UdfRegistry
from pipelines.errors import UnreadError
from pipelines.execution.stage import Stage
from pipelines.wasm.pool import SandboxPool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stage stands: the path of its config, the pipeline's type, whether it is `first`."""

    path: str
    phase: Phase
    first: bool


@dataclass(frozen=True, slots=True)
class Resources:
    """What stages are checked against and built of."""

    udfs: UdfRegistry
    pool: SandboxPool

    def package(self, name: str, version: str) -> Package:
        """The package of a UDF version, which somebody holds. Raises `MissingError`."""
        found = self.udfs.get(name, version)
        package = self.udfs.package(found)
        if package is None:
            raise UnreadError("udf", f"{name}@{found.version}")
        return package


class Kind(StageKind, Protocol):
    """A kind of stage. `config` is what its `read_config` gave.

    It says with `StageConfig.references` what a stage refers to; where one of these changes, the
    stage is built anew.
    """

    def check(self, config: Any, place: Place, resources: Resources) -> None:
        """See whether what was uploaded can run. Raises `DefinitionError` with the path."""

    async def inspect(
        self, config: Any, place: Place, resources: Resources, seen: set[object]
    ) -> None:
        """See what only trying shows: it may take as long as loading may. Raises as `check` does.

        `seen` is for what was tried before by the same upload, so that it is tried once.
        """

    def build(self, config: Any, timeout_ms: int, resources: Resources) -> Stage:
        """The stage, ready to run. Raises `MissingError` where something that it needs is gone."""
