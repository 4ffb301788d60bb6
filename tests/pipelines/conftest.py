"""The core without its surroundings: a registry and an executor over real sandboxes."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from pipelines.compiler import Compiler
from pipelines.context import Context, Phase
from pipelines.definitions.package import Package
from pipelines.definitions.pipeline import PipelineDefinition
from pipelines.execution.breaker import BreakerRules
from pipelines.execution.executor import Executor, Run
from pipelines.execution.plan import CompiledPipeline
from pipelines.execution.stats import Stats
from pipelines.payload import Payload
from pipelines.registry import Registry
from pipelines.stages import KINDS
from pipelines.stages.kind import Kind
from pipelines.wasm import Runtime
from pipelines.wasm.pool import SandboxPool


def guest_module(name: str) -> ModuleType:
    """A module of the guest's library, run by this interpreter."""
    guest = str(Path(__file__).parents[2] / "pipelines" / "wasm" / "guest")
    if guest not in sys.path:
        sys.path.append(guest)
    return importlib.import_module(name)


# Generous, so that a busy machine changes no outcome; tests of time set their own.
STAGE_MS = 20_000
PIPELINE_MS = 40_000

SAME = "def query(request, context): return request"
RAISES = "def query(request, context): raise ValueError('no luck')"
FLAKY = """
calls = 0
def query(request, context):
    global calls
    calls += 1
    if calls <= context.params["failures"]:
        context.state["left by a failed try"] = True
        raise ValueError(f"failure {calls}")
    return {**request, "calls": calls, "state": context.state}
"""
SPINS = """
import time
def query(request, context):
    until = time.monotonic() + context.params["seconds"]
    while time.monotonic() < until: pass
    return {**request, "spun": True}
"""
"""Works for `seconds` of its own clock: never less, more on a busy machine."""


def appends(letter: str) -> str:
    """A UDF that adds a letter to the request's `trail`."""
    return (
        "def query(request, context):\n"
        f"    return {{**request, 'trail': request.get('trail', '') + {letter!r}}}"
    )


def stage(udf: str, name: str | None = None, **options: Any) -> dict[str, Any]:
    """A python stage, called like its UDF; `config` adds to its config."""
    config = {"udf_name": udf, **options.pop("config", {})}
    base = {"name": name or udf, "type": "python", "timeout_ms": STAGE_MS}
    return {**base, "config": config, **options}


@dataclass
class Told:
    """The journal of one request that goes on whatever its runs come to."""

    state: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def ended(self, run: Run) -> None:
        self.state, self.metadata = run.state, run.metadata
        self.runs.append(run)


@dataclass
class Core:
    """A registry and an executor that share one pool and its statistics."""

    pool: SandboxPool
    stats: Stats = field(default_factory=Stats)
    rules: BreakerRules = field(default_factory=BreakerRules)
    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS)
    registry: Registry = field(init=False)
    executor: Executor = field(init=False)

    def __post_init__(self) -> None:
        self.registry = Registry(Compiler(self.pool, self.kinds), self.stats, self.rules)
        self.executor = Executor(self.stats)
        self._ids = itertools.count(1)

    def udf(self, name: str, source: str, version: str = "1.0.0") -> str:
        """Put a UDF version; gives its name."""
        package = Package(name=name, version=version, source=dedent(source))
        self.registry.udfs.put(package)
        return name

    def pipeline(
        self, *stages: str | dict[str, Any], name: str = "p", type: Phase = "query", **options: Any
    ) -> CompiledPipeline:
        """Put a pipeline in force; a stage is a UDF's name or what `stage` makes."""
        definition = {
            "name": name,
            "type": type,
            "timeout_ms": PIPELINE_MS,
            "stages": [stage(each) if isinstance(each, str) else each for each in stages],
            **options,
        }
        return self.put(self.registry.read(definition))

    def put(self, definition: PipelineDefinition, revision: int = 1) -> CompiledPipeline:
        """Put a definition in force, as the store does."""
        registry = self.registry
        registry.check_type_change(definition)
        compiled = registry.renewed(definition, revision, registry.udfs)
        registry.change(registry.udfs, {definition.name: compiled}, {})
        return compiled

    def remove(self, name: str) -> None:
        """Take a pipeline out."""
        self.registry.change(self.registry.udfs, {name: None}, {})

    def reread(self) -> None:
        """Compile what is not what it would be now, as after a change of a UDF."""
        registry = self.registry
        renewed = {
            each.name: registry.renewed(each.definition, each.revision, registry.udfs)
            for each in registry.all()
        }
        registry.change(registry.udfs, renewed, {})

    def attach(self, expression: str, settings: Mapping[str, str | None]) -> None:
        """What is attached to an expression from now on, None for nothing; checked before."""
        for setting, value in settings.items():
            if value is not None:
                self.registry.check_attachment(setting, value)
        held = self.registry.attachments.entries.get(expression, {})
        self.store_attachment(expression, {**held, **settings})

    def store_attachment(self, expression: str, settings: Mapping[str, str | None]) -> None:
        """The same as it comes from the store, where nobody checks it."""
        entry = {setting: value for setting, value in settings.items() if value is not None}
        self.registry.change(self.registry.udfs, {}, {expression: entry or None})

    def context(self, phase: Phase = "query", **known: Any) -> Context:
        return Context(id=f"run-{next(self._ids)}", phase=phase, index="products", **known)

    async def run(
        self,
        pipeline: CompiledPipeline,
        data: Mapping[str, Any] | Payload | None = None,
        context: Context | None = None,
        *,
        trace: bool = False,
        state: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Run:
        """Run a pipeline on a payload, ``{}`` unless given, in a context of its own type.

        `state` and `metadata` are what runs before it left.
        """
        payload = data if isinstance(data, Payload) else Payload.of(dict(data or {}))
        told = Told(state or {}, metadata or {})
        known = context or self.context(pipeline.definition.type)
        gone_on = await self.executor.run([pipeline], payload, known, told, trace=trace)
        (run,) = told.runs
        assert gone_on is run.payload
        return run


@asynccontextmanager
async def open_core(
    runtime: Runtime,
    rules: BreakerRules | None = None,
    kinds: Mapping[str, Kind] = KINDS,
    **options: Any,
) -> AsyncIterator[Core]:
    """A core whose pool is made with `options` and closed with the block."""
    pool = SandboxPool(runtime, **{"load_timeout_ms": STAGE_MS, **options})
    try:
        yield Core(pool, rules=rules or BreakerRules(), kinds=kinds)
    finally:
        await pool.close()


@pytest.fixture
async def core(runtime: Runtime) -> AsyncIterator[Core]:
    """A core over a pool of two threads."""
    async with open_core(runtime) as core:
        yield core
