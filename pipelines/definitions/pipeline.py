"""A pipeline as uploaded: JSON in, frozen values out, every fault named by its path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import orjson

from pipelines.context import PHASES, Phase
from pipelines.definitions.fields import (
    NAME,
    NAME_RULE,
    VERSION,
    VERSION_RULE,
    Fields,
    json_type,
)
from pipelines.definitions.limits import (
    PIPELINE_TIMEOUT_MAX_MS,
    PIPELINE_TIMEOUT_MS,
    RETRIES_MAX,
    STAGE_TIMEOUT_MAX_MS,
    STAGE_TIMEOUT_MS,
    STAGES_MAX,
)
from pipelines.errors import DefinitionError

OnFailure = Literal["continue", "abort", "retry"]
OnError = Literal["continue", "fail", "skip", "pass", "dead_letter"]
OnUpdate = Literal["upsert", "doc", "merge"]
AppliesTo = Literal["search", "get"]

ON_ERROR: Mapping[Phase, tuple[OnError, ...]] = {
    "query": ("continue", "fail"),
    "result": ("continue", "fail"),
    "document": ("fail", "skip", "pass", "dead_letter"),
}
INDEX_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,199}")
INDEX_RULE = "must be an index name of lower-case letters, digits, '_', '-' or '.'"

FIRST_VERSION = "1.0.0"

_PIPELINE_KEYS = (
    "name",
    "version",
    "type",
    "description",
    "on_error",
    "timeout_ms",
    "stages",
    "applies_to",
    "on_update",
    "dead_letter_index",
)
_STAGE_KEYS = ("name", "type", "enabled", "timeout_ms", "on_failure", "retries", "config")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a stage runs or reads that has a name of its own: `what` is "udf", "pipeline", ..."""

    what: str
    name: str
    version: str


class StageConfig(Protocol):
    """What a kind of stage reads from `config`; each kind has a frozen class of its own."""

    @property
    def references(self) -> tuple[Reference, ...]:
        """What the stage refers to, the stages in it included."""


class StageReader(Protocol):
    """Reads the stages inside a stage; `phase` is the type of the pipeline."""

    @property
    def phase(self) -> Phase: ...

    def stages(self, value: object, path: str) -> tuple[StageDefinition, ...]:
        """An array of stages at `path`. Raises `DefinitionError`."""


class StageKind(Protocol):
    """What reading needs of a kind of stage."""

    def read_config(self, value: object, path: str, reader: StageReader) -> StageConfig:
        """The `config` at `path`. Raises `DefinitionError` with the path of the first fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDefinition:
    """One step of a pipeline. `timeout_ms` bounds its execution, all its tries together."""

    name: str
    type: str
    enabled: bool
    timeout_ms: int
    on_failure: OnFailure
    retries: int
    config: StageConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineDefinition:
    """A validated pipeline. `source` is the JSON it was read from, as it is given back.

    `on_error` says what a failed run does to its request: query and result pipelines `continue`
    or `fail`; document pipelines `fail`, `skip` the document, `pass` it on as it was, or store it
    in `dead_letter_index`. `applies_to` (result) are the reads it runs on; `on_update` (document)
    is what it does with a partial document: nothing beyond an upsert, run on the `doc` alone, or
    run on what the stored document and it `merge` to.
    """

    name: str
    version: str
    type: Phase
    description: str
    on_error: OnError
    timeout_ms: int
    stages: tuple[StageDefinition, ...]
    applies_to: tuple[AppliesTo, ...]
    on_update: OnUpdate
    dead_letter_index: str | None
    source: Mapping[str, Any]

    @property
    def label(self) -> str:
        """``name@version``, the form used in headers, warnings and logs."""
        return f"{self.name}@{self.version}"

    def references(self, what: str) -> list[Reference]:
        """What its stages refer to of one sort, in their order."""
        return [
            reference
            for stage in self.stages
            for reference in stage.config.references
            if reference.what == what
        ]

    @property
    def shown(self) -> dict[str, Any]:
        """As it is given back: as it came, with what it has in any case."""
        return {**self.source, "name": self.name, "version": self.version, "type": self.type}

    def says(self, value: object) -> bool:
        """Whether an upload says the same; as JSON, in which 1, 1.0 and true differ."""
        if not isinstance(value, dict):
            return False
        given = {"name": self.name, "version": FIRST_VERSION, **value}
        sort = orjson.OPT_SORT_KEYS
        return orjson.dumps(self.shown, option=sort) == orjson.dumps(given, option=sort)


def read_pipeline(
    value: object, kinds: Mapping[str, StageKind], *, name: str | None = None
) -> PipelineDefinition:
    """Read an uploaded definition; `name` is the one it is stored under, if that is known.

    Raises `DefinitionError` with the path of the first fault.
    """
    fields = Fields(value, "", _PIPELINE_KEYS)
    own_name = fields.name("name") if name is None else fields.name("name", default=name)
    if not NAME.fullmatch(own_name):
        raise DefinitionError("name", f"[{own_name[:100]}] {NAME_RULE}")
    if name is not None and own_name != name:
        raise DefinitionError("name", f"[{own_name}] differs from the [{name}] it is stored under")
    phase: Phase = fields.string("type", choices=PHASES)  # type: ignore[assignment]
    on_error: OnError = fields.string(  # type: ignore[assignment]
        "on_error", default=ON_ERROR[phase][0], choices=ON_ERROR[phase]
    )
    return PipelineDefinition(
        name=own_name,
        version=fields.string("version", default=FIRST_VERSION, pattern=VERSION, rule=VERSION_RULE),
        type=phase,
        description=fields.string("description", default=""),
        on_error=on_error,
        timeout_ms=fields.integer(
            "timeout_ms",
            default=PIPELINE_TIMEOUT_MS,
            minimum=1,
            maximum=PIPELINE_TIMEOUT_MAX_MS,
        ),
        stages=_Reader(kinds, phase).stages(fields.array("stages"), "stages"),
        applies_to=_read_applies_to(fields, phase),
        on_update=_read_on_update(fields, phase),
        dead_letter_index=_read_dead_letter_index(fields, on_error),
        source=value if isinstance(value, dict) else {},
    )


def _read_applies_to(fields: Fields, phase: Phase) -> tuple[AppliesTo, ...]:
    values = fields.array("applies_to", default=["search"])
    if phase != "result" and values != ["search"]:
        raise DefinitionError("applies_to", "is for result pipelines")
    for position, value in enumerate(values):
        if value not in ("search", "get"):
            reason = f"[{str(value)[:100]}] is not one of search, get"
            raise DefinitionError(f"applies_to[{position}]", reason)
    if not values:
        raise DefinitionError("applies_to", "is empty; name search, get or both")
    return tuple(values)


def _read_on_update(fields: Fields, phase: Phase) -> OnUpdate:
    mode = fields.string("on_update", default="upsert", choices=("upsert", "doc", "merge"))
    if phase != "document" and mode != "upsert":
        raise DefinitionError("on_update", "is for document pipelines")
    return mode  # type: ignore[return-value]


def _read_dead_letter_index(fields: Fields, on_error: OnError) -> str | None:
    index = fields.string("dead_letter_index", default=None, pattern=INDEX_NAME, rule=INDEX_RULE)
    if (index is not None) != (on_error == "dead_letter"):
        raise DefinitionError("dead_letter_index", "goes with on_error [dead_letter]")
    return index


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads stages, and those inside them, of a pipeline of type `phase`."""

    kinds: Mapping[str, StageKind]
    phase: Phase

    def stages(self, value: object, path: str) -> tuple[StageDefinition, ...]:
        if not isinstance(value, list):
            raise DefinitionError(path, f"must be an array, not {json_type(value)}")
        if not 1 <= len(value) <= STAGES_MAX:
            reason = f"has {len(value)} stages; 1 to {STAGES_MAX} are allowed"
            raise DefinitionError(path, reason)
        stages: list[StageDefinition] = []
        for position, each in enumerate(value):
            stage = self._stage(each, f"{path}[{position}]")
            if any(stage.name == other.name for other in stages):
                reason = f"[{stage.name}] is the name of an earlier stage"
                raise DefinitionError(f"{path}[{position}].name", reason)
            stages.append(stage)
        return tuple(stages)

    def _stage(self, value: object, path: str) -> StageDefinition:
        fields = Fields(value, path, _STAGE_KEYS)
        name = fields.name("name")
        kind = fields.string("type", choices=tuple(self.kinds))
        on_failure: OnFailure = fields.string(  # type: ignore[assignment]
            "on_failure", default="abort", choices=("continue", "abort", "retry")
        )
        retries = fields.integer(
            "retries", default=1 if on_failure == "retry" else 0, minimum=0, maximum=RETRIES_MAX
        )
        if (on_failure == "retry") != (retries > 0):
            reason = "goes with on_failure [retry], which needs at least 1"
            raise DefinitionError(fields.path("retries"), reason)
        config = self.kinds[kind].read_config(fields.object("config"), fields.path("config"), self)
        return StageDefinition(
            name=name,
            type=kind,
            enabled=fields.boolean("enabled", default=True),
            timeout_ms=fields.integer(
                "timeout_ms", default=STAGE_TIMEOUT_MS, minimum=1, maximum=STAGE_TIMEOUT_MAX_MS
            ),
            on_failure=on_failure,
            retries=retries,
            config=config,
        )
