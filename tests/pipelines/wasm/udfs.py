"""Short ways to write a UDF and run it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

import pytest

from pipelines.definitions.package import Package
from pipelines.errors import StageError
from pipelines.wasm import Call, Isolation, Limits, Phase, Reply, UdfUse, parameters_text
from pipelines.wasm.pool import SandboxPool


def udf(source: str, *, name: str = "sample", files: Mapping[str, bytes] | None = None) -> Package:
    """A package `name`@1.0.0 of an indented source text."""
    return Package(name=name, version="1.0.0", source=dedent(source), files=files or {})


def using(
    package: Package,
    limits: Limits,
    params: Mapping[str, object] | None = None,
    isolation: Isolation = "pooled",
) -> UdfUse:
    """The package as a stage with these limits and parameters uses it."""
    return UdfUse(package, parameters_text(params or {}), limits, isolation)


@dataclass
class Runner:
    """Runs UDFs in a pool and keeps what they logged."""

    pool: SandboxPool
    log: list[str] = field(default_factory=list)

    async def run(
        self,
        source: str | Package,
        payload: Any = None,
        *,
        phase: Phase = "query",
        request: Any = None,
        params: Mapping[str, object] | None = None,
        limits: Limits | None = None,
        isolation: Isolation = "pooled",
        **context: object,
    ) -> Reply:
        """`payload` and `request` may be JSON text or a value; the rest goes into the context."""
        package = udf(source) if isinstance(source, str) else source
        call = Call(
            phase=phase,
            payload=_text({} if payload is None else payload),
            request=None if request is None else _text(request),
            context=context,
        )
        use = using(package, limits or Limits(timeout_ms=2000), params, isolation)
        return await self.pool.run(use, call, log=self.log)

    async def fails(self, source: str | Package, payload: Any = None, **how: Any) -> StageError:
        """The `StageError` that the run has to end in."""
        with pytest.raises(StageError) as caught:
            await self.run(source, payload, **how)
        return caught.value

    async def value(self, expression: str, *, before: str = "", **how: Any) -> Any:
        """What `expression` is inside a sandbox, after the lines `before`."""
        source = (
            f"{dedent(before)}\ndef query(request, context):\n    return {{'it': {expression}}}"
        )
        return (await self.run(source, **how)).data["it"]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
