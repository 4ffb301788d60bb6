"""The contract of a kind of stage: one file that reads, checks and builds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipelines.context import Phase
from pipelines.definitions.package import Package
from pipelines.definitions.pipeline import Reference, StageDefinition, StageKind
from pipelines.definitions.udf import UdfRegistry
from pipelines.errors import MissingError, StageError, UnreadError
from pipelines.execution.plan import Step
from pipelines.execution.scope import Scope
from pipelines.execution.stage import BatchStage, Stage
from pipelines.payload import Payload
from pipelines.wasm.pool import SandboxPool

NOT_THERE = ""
"""In place of the version of something that is missing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stage stands, or an array of them: the path of its config, or of the array.

    `phase` is the pipeline's type; no stage runs before the one that is `first`.
    """

    path: str
    phase: Phase
    first: bool

    def inside(self, key: str) -> Place:
        """The place of an array of stages in a stage's config."""
        return Place(f"{self.path}.{key}", self.phase, self.first)


class Kind(StageKind, Protocol):
    """A kind of stage. `config` is what its `read_config` gave.

    It says with `StageConfig.references` what a stage refers to; where one of these changes, the
    stage is built anew. One that has stages in it has them checked, inspected and built by
    `Resources`, and runs them with `run_stages`.
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


@dataclass(frozen=True, slots=True)
class Resources:
    """What stages are checked against and built of, and who does it for the stages in a stage."""

    udfs: UdfRegistry
    pool: SandboxPool
    kinds: Mapping[str, Kind]

    def package(self, name: str, version: str) -> Package:
        """The package of a UDF version, which somebody holds. Raises `MissingError`."""
        found = self.udfs.get(name, version)
        package = self.udfs.package(found)
        if package is None:
            raise UnreadError("udf", f"{name}@{found.version}")
        return package

    def check(self, stages: Sequence[StageDefinition], place: Place) -> None:
        """See whether an array of stages can run. Raises `DefinitionError` with the path."""
        for stage, own in _placed(stages, place):
            self.kinds[stage.type].check(stage.config, own, self)

    async def inspect(
        self, stages: Sequence[StageDefinition], place: Place, seen: set[object]
    ) -> None:
        """What only trying shows of an array of stages. Raises as `check` does."""
        for stage, own in _placed(stages, place):
            await self.kinds[stage.type].inspect(stage.config, own, self, seen)

    def build(self, stages: Sequence[StageDefinition]) -> tuple[Step, ...]:
        """Stages, ready to run; one that cannot be built fails when it is run."""
        return tuple(self._step(stage) for stage in stages)

    def _step(self, stage: StageDefinition) -> Step:
        if not stage.enabled:
            return Step(stage.name, None)
        try:
            built = self.kinds[stage.type].build(stage.config, stage.timeout_ms, self)
        except MissingError as error:
            built = UnusableStage(str(error))
        return Step(
            stage.name,
            built,
            label=", ".join(_label(each, self.udfs) for each in stage.config.references),
            timeout_ms=stage.timeout_ms,
            tries=stage.retries + 1,
            may_fail=stage.on_failure == "continue",
            batch=built if isinstance(built, BatchStage) else None,
            built_of=self._built_of(stage),
        )

    def _built_of(self, stage: StageDefinition) -> tuple[str, ...]:
        """The versions that a stage was built of, also in the stages inside it."""
        return tuple(
            NOT_THERE if self._is_unread(reference) else digest
            for reference, digest in zip(
                stage.config.references, versions_of(stage, self.udfs), strict=True
            )
        )

    def _is_unread(self, reference: Reference) -> bool:
        try:
            self.package(reference.name, reference.version)
        except MissingError:
            return True
        return False


class UnusableStage:
    """Stands where a stored stage cannot be built: every run fails with the reason."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        raise StageError("load", self._reason)


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


def _placed(
    stages: Sequence[StageDefinition], place: Place
) -> Iterator[tuple[StageDefinition, Place]]:
    for position, stage in enumerate(stages):
        path = f"{place.path}[{position}].config"
        yield stage, Place(path, place.phase, place.first and position == 0)
