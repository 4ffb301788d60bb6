"""What is defined and attached, compiled and ready to run. In memory; `store` keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pipelines.context import Phase
from pipelines.definitions.attachment import (
    BACKENDS,
    DEFAULTS,
    FINALS,
    NONE,
    SEARCH_DEFAULT,
    SETTINGS,
    Attachments,
    setting_phase,
)
from pipelines.definitions.fields import hint_to_make
from pipelines.definitions.pipeline import PipelineDefinition, StageDefinition, read_pipeline
from pipelines.definitions.reachable import check_input
from pipelines.definitions.udf import UdfRegistry
from pipelines.errors import ConflictError, DefinitionError, MissingError, StageError
from pipelines.execution.breaker import Breaker, BreakerFigure, BreakerRules
from pipelines.execution.executor import CompiledPipeline
from pipelines.execution.observe import ObservedStage, Stage
from pipelines.execution.stats import PipelineStats, Stats
from pipelines.stages import KINDS
from pipelines.stages.python import PythonConfig, PythonStage
from pipelines.wasm.pool import SandboxPool

_DEFAULT_RULES = BreakerRules()


class UnusableStage:
    """Stands where a stored stage cannot be built: every run fails with the reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    async def run(self, payload: Any, context: Any) -> Any:
        raise StageError("load", self.reason)


class Registry:
    """Pipelines by name, UDFs by name and version, attachments by index expression.

    Owned by one event loop. Everything read on the request path (`get`, `for_index`) is a
    dictionary look-up; compiling happens when something is registered.
    """

    def __init__(
        self, pool: SandboxPool, stats: Stats, rules: BreakerRules = _DEFAULT_RULES
    ) -> None:
        self.udfs = UdfRegistry()
        self.attachments = Attachments({})
        self.statistics = stats
        self._pool = pool
        self._rules = rules
        self._pipelines: dict[str, CompiledPipeline] = {}
        # Counts changes, so that what was worked out from pipelines and attachments can be kept.
        self.generation = 0

    # Definitions

    def read(self, value: object, *, name: str | None = None) -> PipelineDefinition:
        """Validate an upload against what is here (UDFs exist, categories fit)."""
        definition = read_pipeline(value, KINDS, name=name)
        for position, stage in enumerate(definition.stages):
            path = f"stages[{position}].config"
            self._check_udf(stage, definition.type, path)
            if isinstance(stage.config, PythonConfig) and stage.config.input is not None:
                check_input(stage.config.input, definition.type, path, first=position == 0)
        return definition

    def holds(self, name: str, value: object) -> bool:
        """Whether `value` is the definition that a pipeline has already."""
        old = self._pipelines.get(name)
        return old is not None and old.definition.says(value)

    def register(
        self, definition: PipelineDefinition, *, revision: int = 1, create: bool = False
    ) -> CompiledPipeline:
        """Take a definition in, replacing the one of that name unless `create` is set."""
        if create and definition.name in self._pipelines:
            raise ConflictError(f"pipeline [{definition.name}] already exists")
        self.check_type_change(definition)
        compiled = self._guarded(definition, revision, self.udfs)
        self._pipelines[definition.name] = compiled
        self.generation += 1
        return compiled

    def compile(
        self,
        definition: PipelineDefinition,
        revision: int = 0,
        udfs: UdfRegistry | None = None,
    ) -> CompiledPipeline:
        """Build the stages of a definition; what cannot be built fails when it is run.

        `udfs` are those of the registry unless given. It has no breaker: those are for what is
        registered.
        """
        held = udfs or self.udfs
        return CompiledPipeline(
            definition,
            revision,
            tuple((stage, self._observed(stage, held)) for stage in definition.stages),
        )

    def renewed(
        self, definition: PipelineDefinition, revision: int, udfs: UdfRegistry
    ) -> CompiledPipeline:
        """A pipeline compiled for `change`: the one there is, if it would be the same again."""
        old = self._pipelines.get(definition.name)
        if old is not None and _is_current(old, definition, revision, udfs):
            return old
        return self._guarded(definition, revision, udfs)

    def get(self, name: str) -> CompiledPipeline:
        """A pipeline by name. Raises `MissingError`."""
        try:
            return self._pipelines[name]
        except KeyError:
            raise MissingError("pipeline", name, hint_to_make("pipeline", name)) from None

    def find(self, name: str) -> CompiledPipeline | None:
        return self._pipelines.get(name)

    @property
    def is_empty(self) -> bool:
        """Whether there is no pipeline at all."""
        return not self._pipelines

    @property
    def has_document_pipelines(self) -> bool:
        return any(p.definition.type == "document" for p in self._pipelines.values())

    def all(self, type: Phase | None = None) -> list[CompiledPipeline]:
        """All pipelines, or those of one type, by name."""
        chosen = (p for p in self._pipelines.values() if type in (None, p.definition.type))
        return sorted(chosen, key=lambda pipeline: pipeline.name)

    def check_unused(self, name: str) -> None:
        """Raise `ConflictError` when an index still uses the pipeline."""
        users = self.attachments.users(name)
        if users:
            raise ConflictError(
                f"pipeline [{name}] is attached to {', '.join(users[:10])}; detach it first,"
                " or delete it with ?force=true, which detaches it"
            )

    def unregister(self, name: str, *, force: bool = False) -> None:
        """Take a pipeline out, with its figures; refused while attached, unless forced."""
        self.get(name)
        if not force:
            self.check_unused(name)
        del self._pipelines[name]
        self.generation += 1
        self.statistics.forget(name)

    def breakers(self) -> dict[str, BreakerFigure]:
        """The state of each pipeline's breaker, by its name."""
        return {
            name: pipeline.breaker.figure
            for name, pipeline in self._pipelines.items()
            if pipeline.breaker is not None
        }

    def stats(self, name: str) -> PipelineStats:
        """The figures of a pipeline since this process started."""
        return self.statistics.pipeline(self.get(name).name)

    # UDFs

    def udf_users(self, name: str, version: str | None = None) -> list[str]:
        """The pipelines whose stages name a UDF (that version of it; `latest` counts)."""
        return [
            pipeline.name
            for pipeline in self.all()
            if any(
                config.udf_name == name and version in (None, config.udf_version)
                for config in udfs_of(pipeline.definition)
            )
        ]

    def users_of_udfs(self) -> dict[str, list[str]]:
        """The pipelines that use each UDF, by its name."""
        users: dict[str, list[str]] = {}
        for pipeline in self.all():
            for name in {config.udf_name for config in udfs_of(pipeline.definition)}:
                users.setdefault(name, []).append(pipeline.name)
        return users

    def udf_changed(self, name: str) -> None:
        """Compile again what uses a UDF, so that `latest` is the newest from the next run on."""
        for user in self.udf_users(name):
            old = self._pipelines[user]
            self._pipelines[user] = self._guarded(old.definition, old.revision, self.udfs)
        self.generation += 1

    # Attachments

    def check_attachment(self, setting: str, value: str) -> None:
        """Raise `DefinitionError` unless `value` can be attached through `setting`."""
        if value == NONE and setting not in FINALS.values():
            return
        if value == NONE:
            reason = "[_none] is for defaults; a final pipeline always runs, and null detaches it"
            raise DefinitionError(setting, reason)
        if value == BACKENDS and setting == SEARCH_DEFAULT:
            return
        pipeline = self.find(value)
        if pipeline is None:
            raise DefinitionError(setting, f"pipeline [{value}] does not exist")
        wanted = setting_phase(setting)
        if wanted is not None and pipeline.definition.type != wanted:
            reason = f"[{value}] is a {pipeline.definition.type} pipeline, not a {wanted} pipeline"
            raise DefinitionError(setting, reason)

    def associate(self, expression: str, settings: Mapping[str, str | None]) -> dict[str, str]:
        """Attach (or, with None, detach) pipelines; gives the settings that now hold there."""
        entry = dict(self.attachments.entries.get(expression, {}))
        for setting, value in settings.items():
            if setting not in SETTINGS:
                raise DefinitionError(setting, f"unknown; known are {', '.join(SETTINGS)}")
            if value is None:
                entry.pop(setting, None)
            else:
                self.check_attachment(setting, value)
                entry[setting] = value
        self.set_attachment(expression, entry)
        return entry

    def set_attachment(self, expression: str, settings: Mapping[str, str]) -> None:
        """Replace what is attached to an expression; empty settings remove it."""
        self.attachments = Attachments({**self.attachments.entries, expression: settings})
        self.generation += 1

    def for_index(
        self, name: str, phase: Phase, through: Iterable[str] = ()
    ) -> CompiledPipeline | None:
        """The default pipeline of a phase for one concrete index, alias or data stream name.

        `through` are names of aliases or data streams it is reached through: theirs go first.
        """
        for settings in self.attachments.reached(name, through):
            named = settings.get(DEFAULTS[phase], settings.get(SEARCH_DEFAULT))
            pipeline = self._pipelines.get(named) if named is not None else None
            # Another proxy may have made it anew with another type while this one attached it.
            if pipeline is not None and pipeline.definition.type == phase:
                return pipeline
            if named == NONE:
                return None
        return None

    def finals_for(self, name: str, phase: Phase) -> list[CompiledPipeline]:
        """The final pipelines of a phase for one concrete name.

        Raises `StageError` (load) where one is attached that cannot be run: nobody may get past
        it for that reason.
        """
        return [self._final(named, name, phase) for named in self.attachments.finals(name, phase)]

    def _final(self, named: str, name: str, phase: Phase) -> CompiledPipeline:
        pipeline = self._pipelines.get(named)
        if pipeline is None or pipeline.definition.type != phase:
            reason = f"the final pipeline [{named}] of [{name}] is not there or cannot be read"
            raise StageError("load", reason)
        return replace(pipeline, final=True)

    # Many at once

    def change(
        self,
        udfs: UdfRegistry,
        pipelines: Mapping[str, CompiledPipeline | None],
        attachments: Mapping[str, Mapping[str, str] | None],
    ) -> None:
        """Put in force what was made ready, all of it at once; None takes a name away.

        Runs that are on end with what they began with; figures of what is gone are forgotten.
        """
        self.udfs = udfs
        for name, pipeline in pipelines.items():
            if pipeline is not None:
                self._pipelines[name] = pipeline
            elif self._pipelines.pop(name, None) is not None:
                self.statistics.forget(name)
        if attachments:
            entries = {**self.attachments.entries, **attachments}
            self.attachments = Attachments(
                {name: settings for name, settings in entries.items() if settings is not None}
            )
        self.generation += 1

    def _guarded(
        self, definition: PipelineDefinition, revision: int, udfs: UdfRegistry
    ) -> CompiledPipeline:
        """A compiled pipeline with a breaker: the one it had, if nothing of it changed."""
        compiled = self.compile(definition, revision, udfs)
        if not self._rules.timeouts:
            return compiled
        old = self._pipelines.get(definition.name)
        kept = old is not None and _version(old) == _version(compiled)
        breaker = old.breaker if old is not None and kept else Breaker(definition.name, self._rules)
        return replace(compiled, breaker=breaker)

    def _observed(self, stage: StageDefinition, udfs: UdfRegistry) -> ObservedStage | None:
        if not stage.enabled:
            return None
        built = self._build(stage, udfs)
        assert isinstance(stage.config, PythonConfig)
        wanted = f"{stage.config.udf_name}@{stage.config.udf_version}"
        return ObservedStage(
            built,
            name=stage.name,
            udf=str(built.package) if isinstance(built, PythonStage) else wanted,
            timeout_ms=stage.timeout_ms,
            tries=stage.retries + 1,
        )

    def _build(self, stage: StageDefinition, udfs: UdfRegistry) -> Stage:
        config = stage.config
        assert isinstance(config, PythonConfig)
        try:
            found = udfs.get(config.udf_name, config.udf_version)
        except MissingError as error:
            return UnusableStage(str(error))
        package = udfs.package(found)
        if package is None:
            reason = f"udf [{found.name}@{found.version}] cannot be read from the store"
            return UnusableStage(reason)
        return PythonStage(config, stage.timeout_ms, package, self._pool)

    def _check_udf(self, stage: StageDefinition, phase: Phase, path: str) -> None:
        config = stage.config
        assert isinstance(config, PythonConfig)
        try:
            found = self.udfs.get(config.udf_name, config.udf_version)
        except MissingError as error:
            key = "udf_name" if config.udf_name not in self.udfs.names() else "udf_version"
            raise DefinitionError(f"{path}.{key}", str(error)) from error
        if found.category is not None and found.category != phase:
            reason = (
                f"udf [{found.name}] is made for {found.category} pipelines, this is a {phase} one"
            )
            raise DefinitionError(f"{path}.udf_name", reason)

    def check_type_change(self, definition: PipelineDefinition) -> None:
        old = self._pipelines.get(definition.name)
        if old is None or old.definition.type == definition.type:
            return
        if self.attachments.users(definition.name):
            raise ConflictError(
                f"pipeline [{definition.name}] is attached as a {old.definition.type} pipeline"
                f" and cannot become a {definition.type} one; detach it first"
            )


def udfs_of(definition: PipelineDefinition) -> list[PythonConfig]:
    """The configs of the stages that run a UDF."""
    return [stage.config for stage in definition.stages if isinstance(stage.config, PythonConfig)]


def _is_current(
    pipeline: CompiledPipeline, definition: PipelineDefinition, revision: int, udfs: UdfRegistry
) -> bool:
    """Whether a compiled pipeline would be compiled the same again."""
    same = pipeline.definition is definition or pipeline.definition.source == definition.source
    if pipeline.revision != revision or not same:
        return False
    for stage, built in pipeline.stages:
        if built is None:
            continue
        config = stage.config
        if not isinstance(built.stage, PythonStage) or not isinstance(config, PythonConfig):
            return False
        try:
            found = udfs.get(config.udf_name, config.udf_version)
        except MissingError:
            return False
        if found.digest != built.stage.package.digest:
            return False
    return True


def _version(pipeline: CompiledPipeline) -> tuple[object, ...]:
    """What makes two compiled pipelines the same: the definition, its revision, its UDFs."""
    packages = [
        stage.stage.package.digest
        if stage is not None and isinstance(stage.stage, PythonStage)
        else None
        for _, stage in pipeline.stages
    ]
    return (pipeline.definition, pipeline.revision, packages)
