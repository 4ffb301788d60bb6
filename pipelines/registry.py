"""What is defined and attached, compiled and ready to run. In memory; `store` keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipelines.compiler import Compiler
from pipelines.context import Phase
from pipelines.definitions.attachment import (
    BACKENDS,
    DEFAULTS,
    FINALS,
    NONE,
    SEARCH_DEFAULT,
    Attachments,
    setting_phase,
)
from pipelines.definitions.fields import hint_to_make
from pipelines.definitions.pipeline import PipelineDefinition
from pipelines.definitions.udf import UdfRegistry
from pipelines.errors import ConflictError, DefinitionError, MissingError, StageError
from pipelines.execution.breaker import Breaker, BreakerFigure, BreakerRules
from pipelines.execution.plan import CompiledPipeline
from pipelines.execution.stats import PipelineStats, Stats
from pipelines.stages.kind import NOT_THERE, versions_of

_DEFAULT_RULES = BreakerRules()


class Registry:
    """Pipelines by name, UDFs by name and version, attachments by index expression.

    Owned by one event loop. Everything read on the request path (`get`, `for_index`) is a
    dictionary look-up; compiling happens when something is registered.
    """

    def __init__(
        self, compiler: Compiler, stats: Stats, rules: BreakerRules = _DEFAULT_RULES
    ) -> None:
        self.udfs = UdfRegistry()
        self.attachments = Attachments({})
        self.statistics = stats
        self.compiler = compiler
        self._rules = rules
        self._pipelines: dict[str, CompiledPipeline] = {}
        # Counts changes, so that what was worked out from pipelines and attachments can be kept.
        self.generation = 0

    # Definitions

    def read(self, value: object, *, name: str | None = None) -> PipelineDefinition:
        """Validate an upload against what is here (UDFs exist, categories fit)."""
        return self.compiler.read(value, self.udfs, name=name)

    def holds(self, name: str, value: object) -> bool:
        """Whether `value` is the definition that a pipeline has already."""
        old = self._pipelines.get(name)
        return old is not None and old.definition.says(value)

    def compile(self, definition: PipelineDefinition) -> CompiledPipeline:
        """A pipeline that is not registered; what cannot be built fails when it is run."""
        return self.compiler.compile(definition, 0, self.udfs)

    def renewed(
        self, definition: PipelineDefinition, revision: int, udfs: UdfRegistry
    ) -> CompiledPipeline:
        """A pipeline compiled for `change`: the one there is, if it would be the same again.

        One of which nothing changed but that it is compiled anew keeps its breaker.
        """
        old = self._pipelines.get(definition.name)
        if old is not None and _is_current(old, definition, revision, udfs):
            return old
        compiled = self.compiler.compile(definition, revision, udfs)
        if not self._rules.timeouts:
            return compiled
        kept = old is not None and _version(old) == _version(compiled)
        breaker = old.stages.breaker if old is not None and kept else None
        stages = replace(compiled.stages, breaker=breaker or Breaker(definition.name, self._rules))
        return replace(compiled, stages=stages)

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

    def breakers(self) -> dict[str, BreakerFigure]:
        """The state of each pipeline's breaker, by its name."""
        return {
            name: pipeline.stages.breaker.figure
            for name, pipeline in self._pipelines.items()
            if pipeline.stages.breaker is not None
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
                each.name == name and version in (None, each.version)
                for each in pipeline.definition.references("udf")
            )
        ]

    def users_of_udfs(self) -> dict[str, list[str]]:
        """The pipelines that use each UDF, by its name."""
        users: dict[str, list[str]] = {}
        for pipeline in self.all():
            for name in {each.name for each in pipeline.definition.references("udf")}:
                users.setdefault(name, []).append(pipeline.name)
        return users

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

    def check_type_change(self, definition: PipelineDefinition) -> None:
        old = self._pipelines.get(definition.name)
        if old is None or old.definition.type == definition.type:
            return
        if self.attachments.users(definition.name):
            raise ConflictError(
                f"pipeline [{definition.name}] is attached as a {old.definition.type} pipeline"
                f" and cannot become a {definition.type} one; detach it first"
            )


def _is_current(
    pipeline: CompiledPipeline, definition: PipelineDefinition, revision: int, udfs: UdfRegistry
) -> bool:
    """Whether a compiled pipeline would be compiled the same again."""
    same = pipeline.definition is definition or pipeline.definition.source == definition.source
    if pipeline.revision != revision or not same:
        return False
    if any(NOT_THERE in versions for versions in pipeline.built_of):
        # It says what is missing, which may be something else by now.
        return False
    now = tuple(versions_of(stage, udfs) for stage in definition.stages if stage.enabled)
    return pipeline.built_of == now


def _version(pipeline: CompiledPipeline) -> tuple[object, ...]:
    """What makes two compiled pipelines the same: the definition, its revision, its UDFs."""
    return (pipeline.definition, pipeline.revision, pipeline.built_of)
