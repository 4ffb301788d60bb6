"""The stage kind `python`: one UDF, run in a sandbox."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from typing import Any, Literal

import orjson

from pipelines.context import Context, Phase
from pipelines.definitions.fields import NAME, NAME_RULE, Fields, json_type
from pipelines.errors import DefinitionError, DroppedError, RejectedError, StageTimeoutError
from pipelines.jsontext.projection import PATHS_MAX, Projection, check_declared
from pipelines.payload import Payload
from pipelines.wasm import (
    MEMORY_MAX_MB,
    MEMORY_MB,
    MEMORY_MIN_MB,
    Batch,
    Call,
    Document,
    Limits,
    Package,
    parameters_text,
)
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


_KEYS = tuple(each.name for each in dataclass_fields(PythonConfig))


class PythonKind:
    """Reads the `config` of python stages."""

    def read_config(self, value: object, path: str, phase: Phase) -> PythonConfig:
        fields = Fields(value, path, _KEYS)
        config = PythonConfig(
            udf_name=fields.string("udf_name", pattern=NAME, rule=NAME_RULE),
            udf_version=fields.string("udf_version", default="latest", longest=64),
            parameters=fields.object("parameters", default={}),
            input=_read_input(fields, phase),
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
        self.package = package
        self._config = config
        self._timeout_ms = timeout_ms
        self._pool = pool
        self._params = parameters_text(config.parameters)
        self._most = Limits(
            timeout_ms=timeout_ms,
            memory_mb=config.memory_mb,
            input_bytes=config.input_bytes,
            output_bytes=config.output_bytes,
            log_bytes=config.log_bytes,
        )
        # Seconds a document takes of its thread's processor time, and when that was seen.
        self._pace = (_FIRST_PACE, 0.0)

    @property
    def room(self) -> int:
        """As many documents as are done in about `BATCH_SECONDS`; few at first."""
        pace, seen = self._pace
        if self._config.isolation != "pooled":
            return 0
        if time.monotonic() - seen > PACE_SECONDS:
            pace = _FIRST_PACE
        room = min(BATCH_DOCUMENTS, int(BATCH_SECONDS / max(pace, 1e-6)))
        return room if room > 1 else 0

    async def run_batch(
        self, documents: Sequence[Document], context: Context
    ) -> list[Document | None]:
        """One call for all. It has at most `BATCH_MS` of the stage's time."""
        left = context.remaining()
        budget_ms = self._budget_ms(context, left)
        batch = Batch(
            documents=documents,
            context=_surroundings(context, budget_ms),
            projection=self._config.input,
        )
        try:
            ends, pace = await self._pool.run_batch(
                self.package,
                self._params,
                batch,
                self._limits(min(budget_ms, BATCH_MS)),
                run_timeout=left,
            )
        except StageTimeoutError:
            # It may be one document or all; the fewer go together, the less is lost.
            self._pace = 4 * self._pace[0], time.monotonic()
            raise
        self._pace = pace, time.monotonic()
        return ends

    async def run(self, payload: Payload, context: Context) -> Payload:
        """One try. Raises `StageError`, `RejectedError` or `DroppedError`."""
        left = context.remaining()
        budget_ms = self._budget_ms(context, left)
        reply = await self._pool.run(
            self.package,
            self._params,
            self._call(payload, context, budget_ms),
            self._limits(budget_ms),
            isolation=self._config.isolation,
            on_log=context.log.append,
            on_wait=context.waited,
            run_timeout=left,
        )
        context.state = reply.state
        context.metadata.update(reply.metadata)
        if reply.rejected is not None:
            raise RejectedError(*reply.rejected)
        if reply.dropped:
            raise DroppedError
        if not reply.changed:
            return payload
        return Payload(reply.payload, reply.data, changed=True)

    def _call(self, payload: Payload, context: Context, budget_ms: int) -> Call:
        return Call(
            phase=context.phase,
            payload=payload.text,
            data=payload.data,
            projection=self._config.input,
            request=context.request,
            context=_surroundings(context, budget_ms)
            | {
                "id": context.document_id,
                "state": context.state,
                "metadata": context.metadata,
            },
        )

    def _budget_ms(self, context: Context, left: float) -> int:
        budget_ms = min(self._timeout_ms, context.stage_budget_ms, int(left * 1000))
        if budget_ms < 1:
            raise StageTimeoutError("no time was left to run this stage")
        return budget_ms

    def _limits(self, budget_ms: int) -> Limits:
        most = self._most
        return most if budget_ms == most.timeout_ms else replace(most, timeout_ms=budget_ms)


def _surroundings(context: Context, budget_ms: int) -> dict[str, object]:
    """What a UDF may know of its run, as far as it is the same for all documents of a batch."""
    return {
        "index": context.index,
        "pipeline": context.pipeline,
        "stage": context.stage,
        "headers": context.headers,
        "deadline_ms": budget_ms,
    }
