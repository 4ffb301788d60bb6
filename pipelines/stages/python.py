"""The stage kind `python`: one UDF, run in a sandbox."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, Literal

import orjson

from pipelines.context import Phase
from pipelines.definitions.fields import NAME, NAME_RULE, Fields, json_type
from pipelines.definitions.limits import MEMORY_MAX_MB, MEMORY_MB, MEMORY_MIN_MB
from pipelines.definitions.package import Package
from pipelines.definitions.pipeline import Reference, StageReader
from pipelines.definitions.reachable import check_input
from pipelines.errors import (
    DefinitionError,
    DroppedError,
    MissingError,
    RejectedError,
    StageError,
    StageTimeoutError,
)
from pipelines.execution.scope import Scope
from pipelines.jsontext.projection import PATHS_MAX, Projection, check_declared
from pipelines.payload import Document, Payload
from pipelines.stages.kind import Place, Resources
from pipelines.wasm import Batch, Call, Limits, UdfUse, parameters_text
from pipelines.wasm.pool import SandboxPool

MIB = 1024 * 1024
SIZE_MIN, SIZE, SIZE_MAX = 1024, 10 * MIB, 100 * MIB
LOG_BYTES, LOG_MAX_BYTES = 16 * 1024, MIB

BATCH_DOCUMENTS = 500
FIRST_DOCUMENTS = 32
"""Of the first batch, which shows how long a document takes."""
BATCH_SECONDS = 0.025
"""What a batch is meant to take: it keeps other runs waiting."""
PACE_SECONDS = 60
"""How long what is known of a UDF's pace counts."""
BATCH_MS = 250
"""What it may take before its documents are run one by one, in which the endless one shows."""
_FIRST_PACE = BATCH_SECONDS / FIRST_DOCUMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonConfig:
    """The `config` of a python stage. `parameters` reach the UDF as they are.

    `input` is the part of the payload that reaches it, None for all.
    """

    udf_name: str
    udf_version: str
    parameters: Mapping[str, Any]
    input: Projection | None
    isolation: Literal["pooled", "request"]
    memory_mb: int
    input_bytes: int
    output_bytes: int
    log_bytes: int

    @property
    def references(self) -> tuple[Reference, ...]:
        return (Reference("udf", self.udf_name, self.udf_version),)


_KEYS = tuple(each.name for each in dataclass_fields(PythonConfig))


class PythonKind:
    """Reads, checks and builds python stages."""

    def read_config(self, value: object, path: str, reader: StageReader) -> PythonConfig:
        fields = Fields(value, path, _KEYS)
        config = PythonConfig(
            udf_name=fields.string("udf_name", pattern=NAME, rule=NAME_RULE),
            udf_version=fields.string("udf_version", default="latest", longest=64),
            parameters=fields.object("parameters", default={}),
            input=_read_input(fields, reader.phase),
            isolation=fields.string(  # type: ignore[arg-type]
                "isolation", default="pooled", choices=("pooled", "request")
            ),
            memory_mb=fields.integer(
                "memory_mb", default=MEMORY_MB, minimum=MEMORY_MIN_MB, maximum=MEMORY_MAX_MB
            ),
            input_bytes=fields.integer(
                "input_bytes", default=SIZE, minimum=SIZE_MIN, maximum=SIZE_MAX
            ),
            output_bytes=fields.integer(
                "output_bytes", default=SIZE, minimum=SIZE_MIN, maximum=SIZE_MAX
            ),
            log_bytes=fields.integer(
                "log_bytes", default=LOG_BYTES, minimum=0, maximum=LOG_MAX_BYTES
            ),
        )
        try:
            orjson.dumps(config.parameters)
        except TypeError as error:
            raise DefinitionError(fields.path("parameters"), str(error)) from error
        return config

    def check(self, config: PythonConfig, place: Place, resources: Resources) -> None:
        """The UDF is there and made for this type of pipeline; its input can match something."""
        udfs, path = resources.udfs, place.path
        try:
            found = udfs.get(config.udf_name, config.udf_version)
        except MissingError as error:
            key = "udf_name" if config.udf_name not in udfs.names() else "udf_version"
            raise DefinitionError(f"{path}.{key}", str(error)) from error
        if found.category is not None and found.category != place.phase:
            reason = (
                f"udf [{found.name}] is made for {found.category} pipelines, "
                f"this is a {place.phase} one"
            )
            raise DefinitionError(f"{path}.udf_name", reason)
        if config.input is not None:
            check_input(config.input, place.phase, path, first=place.first)

    async def inspect(
        self, config: PythonConfig, place: Place, resources: Resources, seen: set[object]
    ) -> None:
        """It loads with the stage's parameters and has a function for the pipeline's type."""
        package = resources.package(config.udf_name, config.udf_version)
        key = (package.digest, parameters_text(config.parameters), config.memory_mb)
        if key in seen:
            return
        try:
            entries = await resources.pool.inspect(
                package, config.parameters, memory_mb=config.memory_mb, phase=place.phase
            )
        except StageError as error:
            raise DefinitionError(f"{place.path}.parameters", error.reason) from error
        if not entries & {"udf_main", place.phase}:
            reason = f"udf [{package}] defines neither udf_main() nor {place.phase}()"
            raise DefinitionError(f"{place.path}.udf_name", reason)
        seen.add(key)

    def build(self, config: PythonConfig, timeout_ms: int, resources: Resources) -> PythonStage:
        package = resources.package(config.udf_name, config.udf_version)
        return PythonStage(config, timeout_ms, package, resources.pool)


def _read_input(fields: Fields, phase: Phase) -> Projection | None:
    paths = fields.array("input", default=None)
    if paths is None:
        return None
    if phase == "query":
        reason = "is for document and result pipelines; a query stage is given the whole request"
        raise DefinitionError(fields.path("input"), reason)
    if not 1 <= len(paths) <= PATHS_MAX:
        reason = f"has {len(paths)} paths; 1 to {PATHS_MAX} are allowed"
        raise DefinitionError(fields.path("input"), reason)
    of_hits = phase == "result"
    for position, path in enumerate(paths):
        place = fields.path(f"input[{position}]")
        if not isinstance(path, str):
            raise DefinitionError(place, f"must be a string, not {json_type(path)}")
        try:
            check_declared(path, of_hits=of_hits)
        except ValueError as error:
            raise DefinitionError(place, str(error)) from error
        if path in paths[:position]:
            raise DefinitionError(place, f"[{path[:100]}] is there twice")
    return Projection(paths, of_hits=of_hits)


class PythonStage:
    """Runs one UDF version on payloads; owned by a compiled pipeline, lives as long as it."""

    def __init__(
        self, config: PythonConfig, timeout_ms: int, package: Package, pool: SandboxPool
    ) -> None:
        limits = Limits(
            timeout_ms=timeout_ms,
            memory_mb=config.memory_mb,
            input_bytes=config.input_bytes,
            output_bytes=config.output_bytes,
            log_bytes=config.log_bytes,
        )
        self._use = UdfUse(package, parameters_text(config.parameters), limits, config.isolation)
        self._projection = config.input
        self._pool = pool
        # Seconds a document takes of its thread's processor time, and when that was seen.
        self._pace = (_FIRST_PACE, 0.0)

    @property
    def room(self) -> int:
        """As many documents as are done in about `BATCH_SECONDS`; few at first."""
        pace, seen = self._pace
        if self._use.is_fresh:
            return 0
        if time.monotonic() - seen > PACE_SECONDS:
            pace = _FIRST_PACE
        room = min(BATCH_DOCUMENTS, int(BATCH_SECONDS / max(pace, 1e-6)))
        return room if room > 1 else 0

    async def run_batch(self, documents: Sequence[Document], scope: Scope) -> list[Document | None]:
        """One call for all. It has at most `BATCH_MS` of the stage's time."""
        batch = Batch(
            documents=documents, context=_surroundings(scope), projection=self._projection
        )
        try:
            ends, pace = await self._pool.run_batch(
                self._use,
                batch,
                min(scope.budget_ms, BATCH_MS),
                run_timeout=scope.deadline - time.monotonic(),
            )
        except StageTimeoutError:
            # It may be one document or all; the fewer go together, the less is lost.
            self._pace = 4 * self._pace[0], time.monotonic()
            raise
        self._pace = pace, time.monotonic()
        return ends

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        """One try. Raises `StageError`, `RejectedError` or `DroppedError`."""
        context = scope.context
        surroundings = _surroundings(scope)
        # What is not there takes no reading.
        if context.document_id is not None:
            surroundings["id"] = context.document_id
        if scope.state:
            surroundings["state"] = scope.state
        if scope.metadata:
            surroundings["metadata"] = scope.metadata
        reply = await self._pool.run(
            self._use,
            Call(
                context.phase,
                payload.text,
                context.request,
                surroundings,
                self._projection,
                payload.data,
            ),
            scope.budget_ms,
            log=scope.log,
            on_wait=scope.add_wait,
            run_timeout=scope.deadline - time.monotonic(),
        )
        scope.state = reply.state
        if reply.metadata:
            scope.metadata = {**scope.metadata, **reply.metadata}
        if reply.rejected is not None:
            raise RejectedError(*reply.rejected)
        if reply.dropped:
            raise DroppedError
        return Payload(reply.payload, reply.data, True) if reply.changed else payload


def _surroundings(scope: Scope) -> dict[str, object]:
    """What a UDF may know of its run, as far as it is the same for all documents of a batch."""
    context = scope.context
    surroundings = {
        "index": context.index,
        "pipeline": scope.pipeline,
        "stage": scope.stage,
        "deadline_ms": scope.budget_ms,
    }
    if context.headers:
        surroundings["headers"] = context.headers
    return surroundings
