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

from pipelines.context import Context, Phase
from pipelines.execution.executor import Executor, Run
from pipelines.execution.plan import CompiledPipeline
from pipelines.execution.stats import Stats
from pipelines.payload import Payload
from pipelines.registry import Registry
from pipelines.wasm import Package, Runtime
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
class Core:
    """A registry and an executor that share one pool and its statistics."""

    pool: SandboxPool
    stats: Stats = field(default_factory=Stats)
    registry: Registry = field(init=False)
    executor: Executor = field(init=False)

    def __post_init__(self) -> None:
        self.registry = Registry(self.pool, self.stats)
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
        """Register a pipeline; a stage is a UDF's name or what `stage` makes."""
        definition = {
            "name": name,
            "type": type,
            "timeout_ms": PIPELINE_MS,
            "stages": [stage(each) if isinstance(each, str) else each for each in stages],
            **options,
        }
        return self.registry.register(self.registry.read(definition))

    def context(self, phase: Phase = "query", **known: Any) -> Context:
        return Context(id=f"run-{next(self._ids)}", phase=phase, index="products", **known)

    async def run(
        self,
        pipeline: CompiledPipeline,
        data: Mapping[str, Any] | Payload | None = None,
        context: Context | None = None,
        *,
        trace: bool = False,
    ) -> Run:
        """Run a pipeline on a payload, ``{}`` unless given, in a context of its own type."""
        payload = data if isinstance(data, Payload) else Payload.of(dict(data or {}))
        return await self.executor.run(
            pipeline, payload, context or self.context(pipeline.definition.type), trace=trace
        )


@asynccontextmanager
async def open_core(runtime: Runtime, **options: Any) -> AsyncIterator[Core]:
    """A core whose pool is made with `options` and closed with the block."""
    pool = SandboxPool(runtime, **{"load_timeout_ms": STAGE_MS, **options})
    try:
        yield Core(pool)
    finally:
        await pool.close()


@pytest.fixture
async def core(runtime: Runtime) -> AsyncIterator[Core]:
    """A core over a pool of two threads."""
    async with open_core(runtime) as core:
        yield core
