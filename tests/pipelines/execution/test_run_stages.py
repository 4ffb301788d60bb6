"""The one loop over stages: a pipeline, one inside a stage, and a batch go through it alike."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from pipelines.context import Context
from pipelines.definitions.pipeline import read_pipeline
from pipelines.errors import DroppedError, RejectedError, StageError
from pipelines.execution.batch import Batches
from pipelines.execution.breaker import Breaker, BreakerRules
from pipelines.execution.executor import Executor
from pipelines.execution.plan import CompiledPipeline, Stages, Step
from pipelines.execution.run_stages import run_stages
from pipelines.execution.scope import Scope
from pipelines.execution.stats import Stats
from pipelines.payload import Document, Payload
from pipelines.stages import KINDS
from tests.pipelines.conftest import PIPELINE_MS, STAGE_MS, Told, stage

Way = Literal["pipeline", "inside", "batch"]
WAYS: tuple[Way, ...] = ("pipeline", "inside", "batch")
CONTEXT = Context(id="1", phase="document", index="i")
REST = 10.0

each_way = pytest.mark.parametrize("way", WAYS)


class Works:
    """A stage that keeps whom it saw, and ends as the document says; it also takes batches."""

    room = 100

    def __init__(self, seconds: float = 0) -> None:
        self.seen: list[str] = []
        self._seconds = seconds

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        self.seen.append(payload.data["n"])
        await asyncio.sleep(self._seconds)
        match payload.data["end"]:
            case "reject":
                raise RejectedError("no", 422)
            case "drop":
                raise DroppedError
            case "fail":
                raise StageError("trap", "stopped")
        return payload

    async def run_batch(self, documents: Sequence[Document], scope: Scope) -> list[Document | None]:
        ends: list[Document | None] = []
        for document in documents:
            payload = Payload.parse(document.text)
            try:
                await self.run(payload, scope)
            except RejectedError as error:
                ends.append(document._replace(rejected=(error.reason, error.status)))
            except DroppedError:
                ends.append(document._replace(dropped=True))
            except StageError:
                ends.append(None)
            else:
                ends.append(document)
        return ends


class Around:
    """A stage that runs others in its place."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        own = scope.fork()
        try:
            return await run_stages(self._stages, payload, own)
        finally:
            scope.join(own)


class Clock:
    """A clock that goes on when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def step(name: str, works: Works | None, **options: Any) -> Step:
    return Step(name, works, timeout_ms=STAGE_MS, batch=works, **options)


async def ran(way: Way, stages: Stages, stats: Stats, *ends: str) -> list[str]:
    """How documents come out that are to end so, in that way."""
    definition = read_pipeline({"type": "document", "stages": [stage("u")]}, KINDS, name="p")
    texts = [f'{{"n":"{number}","end":"{end}"}}' for number, end in enumerate(ends)]
    if way == "batch":
        pipeline = CompiledPipeline(definition, 1, stages)
        documents = [Document(None, text) for text in texts]
        run = await Batches(stats).run([pipeline], documents, CONTEXT, lambda: "id")
        names = {Document: "done", RejectedError: "rejected", DroppedError: "dropped"}
        return [names.get(type(end), "failed") for end in run.ends]
    if way == "inside":
        stages = Stages((Step("around", Around(stages), timeout_ms=STAGE_MS),), PIPELINE_MS)
    pipeline = CompiledPipeline(definition, 1, stages)
    told = Told()
    for text in texts:
        await Executor(stats).run([pipeline], Payload.parse(text), CONTEXT, told)
    return [run.outcome for run in told.runs]


def figures(stats: Stats, *names: str) -> dict[str, dict[str, Any]]:
    """What was counted of these stages, without times."""
    found = stats.pipeline("p").as_dict()["stages"]
    timeless = {"time_in_millis", "latency_ms"}
    return {
        name: {key: value for key, value in found[name].items() if key not in timeless}
        for name in names
    }


# Figures


async def test_all_ways_count_alike() -> None:
    """Of each stage: who came, who went on, who ended there, and who went past it."""
    ends = ("go", "reject", "go", "drop", "go")
    counted = []
    for way in WAYS:
        stats = Stats()
        first, last = Works(), Works()
        stages = Stages((step("first", first), step("off", None), step("last", last)), PIPELINE_MS)
        outcomes = await ran(way, stages, stats, *ends)
        assert outcomes == ["done", "rejected", "done", "dropped", "done"]
        assert (first.seen, last.seen) == ([*"01234"], [*"024"])
        counted.append(figures(stats, "first", "off", "last"))
    assert counted[0] == counted[1] == counted[2]
    (first_of_all, off, last_of_all) = counted[0].values()
    assert (first_of_all["count"], first_of_all["success"]) == (5, 3)
    assert (first_of_all["rejected"], first_of_all["dropped"]) == (1, 1)
    assert (off["skipped"], off["count"]) == (3, 0)
    assert (last_of_all["count"], last_of_all["success"]) == (3, 3)


async def test_a_batch_counts_nothing_of_who_is_run_by_itself() -> None:
    """It is counted there; the others are counted as they would be without it."""
    stats, alone = Stats(), Stats()
    stages = Stages((step("s", Works()), step("off", None)), PIPELINE_MS)
    assert await ran("batch", stages, stats, "go", "fail", "go") == ["done", "failed", "done"]
    await ran("pipeline", stages, alone, "go", "go")
    assert figures(stats, "s", "off") == figures(alone, "s", "off")


# Deadline


@each_way
async def test_without_time_no_stage_begins(way: Way) -> None:
    """Whoever's time it is."""
    works = Works()
    stages = Stages((step("s", works),), 0)
    assert await ran(way, stages, Stats(), "go") == ["failed"]
    assert works.seen == []


@each_way
async def test_a_stage_without_time_of_its_own_does_not_begin(way: Way) -> None:
    """Though its pipeline has some."""
    works = Works()
    stages = Stages((Step("s", works, timeout_ms=0, batch=works),), PIPELINE_MS)
    assert await ran(way, stages, Stats(), "go") == ["failed"]
    assert works.seen == []


@each_way
async def test_once_time_is_over_no_other_stage_begins(way: Way) -> None:
    """The one that used it up is the last."""
    slow, late = Works(seconds=0.1), Works()
    stages = Stages((step("slow", slow), step("late", late)), 50)
    assert await ran(way, stages, Stats(), "go") == ["failed"]
    assert (slow.seen, late.seen) == (["0"], [])


# Breaker


@each_way
async def test_an_open_breaker_lets_nobody_in(way: Way) -> None:
    """After its rest it lets one in, which closes it by ending well."""
    clock = Clock()
    breaker = Breaker("p", BreakerRules(timeouts=1, rest=REST, clock=clock))
    works = Works()
    stages = Stages((step("s", works),), PIPELINE_MS, breaker)
    breaker.leave(breaker.enter(), "overran")
    assert await ran(way, stages, Stats(), "go") == ["failed"]
    assert (works.seen, breaker.figure.state) == ([], "open")
    clock.now += REST
    assert await ran(way, stages, Stats(), "go") == ["done"]
    assert (works.seen, breaker.figure.state) == (["0"], "closed")


@each_way
@pytest.mark.parametrize("end", ["go", "reject", "drop"])
async def test_what_ends_well_is_sound(way: Way, end: str) -> None:
    """A decision to stop is: one overrun less than the limit before it does not count on."""
    breaker = Breaker("p", BreakerRules(timeouts=2, rest=REST))
    stages = Stages((step("s", Works()),), PIPELINE_MS, breaker)
    breaker.leave(breaker.enter(), "overran")
    await ran(way, stages, Stats(), end)
    breaker.leave(breaker.enter(), "overran")
    assert breaker.figure.state == "closed"


@each_way
async def test_time_that_was_over_before_it_proves_nothing(way: Way) -> None:
    """A probe that did not get to a stage leaves the breaker as it was."""
    clock = Clock()
    breaker = Breaker("p", BreakerRules(timeouts=1, rest=REST, clock=clock))
    breaker.leave(breaker.enter(), "overran")
    clock.now += REST
    assert await ran(way, Stages((step("s", Works()),), 0, breaker), Stats(), "go") == ["failed"]
    assert breaker.figure.state == "half_open"


# Disabled


@each_way
async def test_a_stage_that_is_disabled_is_gone_past(way: Way) -> None:
    """Even where no other is there; it is counted as skipped."""
    stats = Stats()
    assert await ran(way, Stages((step("off", None),), PIPELINE_MS), stats, "go") == ["done"]
    assert figures(stats, "off")["off"]["skipped"] == 1
