"""What one stage costs: warm, in a fresh sandbox, loading it, and run without a sandbox."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from bench import material, udfs
from bench.child import Child
from bench.figures import StageKind, StageSample, percentile
from bench.plan import Plan
from bench.timing import timed_async
from pipelines.definitions.package import Package
from pipelines.jsontext.projection import Projection
from pipelines.wasm import Call, Limits, Phase, Runtime, UdfUse, parameters_text
from pipelines.wasm.pool import SandboxPool

# Generous, so that a busy machine lengthens a run and does not end it.
_LIMITS: Final = Limits(timeout_ms=10_000)
_LOAD_TIMEOUT_MS: Final = 20_000
# Between two runs from stock, which is a hundred runs a second.
_PAUSE_SECONDS: Final = 0.01

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A function and what it is given; `given` names that in the report."""

    function: str
    given: str
    phase: Phase
    package: Package
    payload: str
    params: Mapping[str, object] = field(default_factory=dict)
    request: str | None = None
    input: Projection | None = None
    fresh: bool = False

    @property
    def call(self) -> Call:
        data = json.loads(self.payload) if self.input is not None else None
        return Call(
            phase=self.phase,
            payload=self.payload,
            request=self.request,
            projection=self.input,
            data=data,
        )

    @property
    def guest_call(self) -> str:
        """The call as the guest library reads it."""
        payload = json.loads(self.payload)
        given = {
            "phase": self.phase,
            "limit": _LIMITS.output_bytes,
            "context": {},
            "request": json.loads(self.request or "null"),
            "declared": self.input is not None,
            "payload": payload if self.input is None else self.input.given(payload),
        }
        return json.dumps(given, separators=(",", ":"))

    @property
    def setup(self) -> dict[str, object]:
        """The package without its source, as the guest library reads it."""
        files = {name: content.decode() for name, content in self.package.files.items()}
        return {"name": self.package.name, "params": self.params, "files": files}


def works() -> list[Work]:
    """The functions that are measured: one that does nothing, and two of the examples."""
    request = json.dumps(material.searches()[0])
    return [
        Work(
            function="identity",
            given="a search",
            phase="query",
            package=Package(name="identity", version="1.0.0", source=udfs.IDENTITY),
            payload=request,
            fresh=True,
        ),
        _example("synonym-expansion", "a search", request, fresh=True),
        _example("ml-reranking", "10 hits", material.search_response(10), request),
        _example("ml-reranking", "100 hits", material.search_response(100), request),
    ]


def loads() -> list[Work]:
    """The functions whose loading is measured, one of them with a dictionary to read."""
    request = json.dumps(material.searches()[0])
    return [*works()[:2], _example("spell-correction", "a search", request)]


async def measure(runtime: Runtime, native: Child, plan: Plan, tell: Tell) -> list[StageSample]:
    """All rounds, one run at a time. `native` runs `bench.native`. Raises StageError, ChildError.

    The times are those a pipeline waits: the way to the sandbox's thread and back is in them.
    """
    pool = SandboxPool(runtime, load_timeout_ms=_LOAD_TIMEOUT_MS)
    samples: list[StageSample] = []
    try:
        for number in range(1, plan.stage_rounds + 1):
            tell(f"stages, round {number} of {plan.stage_rounds}")
            samples += await _round(pool, native, plan, number)
    finally:
        await pool.close()
    return samples


async def _round(pool: SandboxPool, native: Child, plan: Plan, number: int) -> list[StageSample]:
    samples: list[StageSample] = []

    async def take(
        kind: StageKind,
        work: Work,
        given: str,
        action: Callable[[], Awaitable[object]],
        pause: float = 0,
    ) -> None:
        times = await timed_async(action, plan.stage_runs, plan.stage_seconds, pause=pause)
        samples.append(_sample(kind, work.function, given, number, times))

    for work in works():
        await take("warm", work, work.given, partial(_run, pool, work, work.call))
    for work in works():
        if work.fresh:
            fresh = partial(_run, pool, work, work.call, fresh=True)
            await take("fresh", work, work.given, fresh)
            await take("stock", work, work.given, fresh, _PAUSE_SECONDS)
    for work in loads():
        inspect = partial(pool.inspect, work.package, work.params)
        await take("load", work, _package_text(work), inspect)
    for work in works():
        job = {"source": work.package.source, "setup": work.setup, "call": work.guest_call}
        bounds = {"runs": plan.stage_runs, "seconds": plan.stage_seconds}
        times = native.ask(job | bounds)["ns"]
        samples.append(_sample("native", work.function, work.given, number, times))
    return samples


async def _run(pool: SandboxPool, work: Work, call: Call, *, fresh: bool = False) -> object:
    isolation: Final = "request" if fresh else "pooled"
    use = UdfUse(work.package, parameters_text(work.params), _LIMITS, isolation)
    return await pool.run(use, call)


def _sample(
    kind: StageKind, function: str, given: str, number: int, times: Sequence[int]
) -> StageSample:
    ordered = sorted(times)
    return StageSample(
        kind=kind,
        function=function,
        given=given,
        round=number,
        runs=len(ordered),
        p50_us=percentile(ordered, 0.50) / 1000,
        p99_us=percentile(ordered, 0.99) / 1000,
    )


def _example(
    name: str, given: str, payload: str, request: str | None = None, *, fresh: bool = False
) -> Work:
    loaded = material.example(name)
    return Work(
        function=name,
        given=given,
        phase=loaded.phase,
        package=loaded.package,
        payload=payload,
        params=loaded.parameters,
        request=request,
        input=loaded.input,
        fresh=fresh,
    )


def _package_text(work: Work) -> str:
    size = sum(map(len, work.package.files.values())) + len(work.package.source)
    text = f"{size} bytes" if size < 1024 else f"{size / 1024:.0f} KB"
    return f"{text} of source and files"
