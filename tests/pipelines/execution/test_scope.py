"""Scopes: what a stage, a branch or a run writes, and who sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from pipelines.context import Context
from pipelines.definitions.pipeline import read_pipeline
from pipelines.errors import DroppedError, RejectedError, StageError
from pipelines.execution.executor import Executor
from pipelines.execution.plan import CompiledPipeline, Stages, Step
from pipelines.execution.run_stages import run_stages
from pipelines.execution.scope import Scope, StageReport
from pipelines.execution.stats import PipelineStats, Stats
from pipelines.payload import Payload
from pipelines.stages import KINDS
from tests.pipelines.conftest import PIPELINE_MS, STAGE_MS, Told, stage

CONTEXT = Context(id="1", phase="query", index="i")
EMPTY = Payload.of({})


def scope(**state: Any) -> Scope:
    """Of a run of the pipeline `p`, with this state."""
    return Scope(CONTEXT, "p", PipelineStats(), state, {"before": True})


class Writes:
    """A stage that writes what a function says into its scope, and then does what it says."""

    def __init__(self, act: Callable[[Scope], None]) -> None:
        self._act = act

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        scope.state = {**scope.state, scope.stage: True}
        scope.metadata = {**scope.metadata, scope.stage: True}
        self._act(scope)
        return payload


def step(name: str, act: Callable[[Scope], None] = lambda scope: None, **options: Any) -> Step:
    return Step(name, Writes(act), timeout_ms=STAGE_MS, **options)


def fails(scope: Scope) -> None:
    raise StageError("udf_exception", "no luck")


def stages(*steps: Step) -> Stages:
    return Stages(steps, PIPELINE_MS)


# The context


@pytest.mark.parametrize("name", [field.name for field in fields(Context)])
def test_nothing_of_a_context_changes(name: str) -> None:
    """From the beginning of a run to its end."""
    context = Context(id="1", phase="query", index="i")
    with pytest.raises(FrozenInstanceError):
        setattr(context, name, getattr(context, name))


# One scope and another


def test_a_fork_begins_with_what_is_known() -> None:
    """State, metadata, deadline and how strict it is; what it writes is its own."""
    whole = Scope(CONTEXT, "p", PipelineStats(), {"a": 1}, {"m": 1}, strict=True, trace=True)
    whole.bound(1000)
    whole.stage = "s"
    own = whole.fork()
    assert (own.state, own.metadata, own.deadline) == ({"a": 1}, {"m": 1}, whole.deadline)
    assert (own.strict, own.trace, own.pipeline, own.stage) == (True, True, "p", "s")
    assert (own.context, own.stats) == (whole.context, whole.stats)
    assert whole.fork("other").stage == "other"
    own.state, own.metadata = {**own.state, "b": 2}, {}
    own.log.append("line")
    own.reports.append(StageReport("s", "success"))
    own.degraded = StageError("trap", "x")
    assert (whole.state, whole.metadata) == ({"a": 1}, {"m": 1})
    assert (whole.log, whole.reports, whole.degraded) == ([], [], None)
    assert (whole.fork().log, whole.fork().reports) == ([], [])


def test_adopting_goes_on_with_what_a_stage_left() -> None:
    """All of it, and nothing of what was before: a stage may take something away."""
    whole = scope(a=1)
    own = whole.fork("s")
    own.state, own.metadata = {"b": 2}, {"m": 1}
    whole.adopt(own)
    assert (whole.state, whole.metadata) == ({"b": 2}, {"m": 1})


def test_joining_adds_what_branches_wrote() -> None:
    """In the order they are given, so that of two equal names the last one's stays."""
    whole = scope(a=1, both=0)
    branches = [whole.fork(), whole.fork()]
    for number, branch in enumerate(branches):
        branch.state = {**branch.state, f"of {number}": True, "both": number}
        branch.metadata = {"number": number}
        branch.log.append(f"line {number}")
        branch.reports.append(StageReport(f"s{number}", "success"))
    failure = branches[0].degraded = StageError("trap", "x")
    whole.join(*branches)
    assert whole.state == {"a": 1, "both": 1, "of 0": True, "of 1": True}
    assert whole.metadata == {"before": True, "number": 1}
    assert whole.log == ["line 0", "line 1"]
    assert [report.name for report in whole.reports] == ["s0", "s1"]
    assert whole.degraded is failure


def test_a_bound_only_shortens() -> None:
    """The time of what is inside is part of the time of what is around it."""
    whole = scope()
    assert whole.deadline == float("inf")
    whole.bound(1000)
    first = whole.deadline
    assert time.monotonic() < first <= time.monotonic() + 1
    own = whole.fork()
    own.bound(60_000)
    assert own.deadline == first
    own.bound(10)
    assert own.deadline < first == whole.deadline


# Stages


async def test_stages_see_what_those_before_them_wrote() -> None:
    """Each in the scope of its own."""
    seen: list[Any] = []
    whole = scope(given=1)
    ran = stages(*(step(name, lambda scope: seen.append(dict(scope.state))) for name in "ab"))
    await run_stages(ran, EMPTY, whole)
    assert seen == [{"given": 1, "a": True}, {"given": 1, "a": True, "b": True}]
    assert whole.state == seen[-1]
    assert whole.metadata == {"before": True, "a": True, "b": True}


async def test_what_a_failed_try_wrote_is_not_seen() -> None:
    """The next try begins with what the first one began with; its log is kept."""
    tries = 0

    def second_time(scope: Scope) -> None:
        nonlocal tries
        tries += 1
        scope.log.append(f"try {tries}")
        scope.state = {**scope.state, f"try {tries}": True}
        if tries < 3:
            fails(scope)

    whole = scope(given=1)
    await run_stages(stages(step("s", second_time, tries=5)), EMPTY, whole)
    assert whole.state == {"given": 1, "s": True, "try 3": True}
    (report,) = whole.reports
    assert (report.tries, report.log) == (3, ["try 1", "try 2", "try 3"])


async def test_what_a_failed_stage_wrote_is_not_seen() -> None:
    """Neither by the stage after it nor by the run, whether it is let pass or not."""
    whole = scope()
    ran = stages(step("a"), step("bad", fails, may_fail=True), step("b"))
    await run_stages(ran, EMPTY, whole)
    assert whole.state == {"a": True, "b": True}
    assert whole.metadata == {"before": True, "a": True, "b": True}
    whole = scope()
    with pytest.raises(StageError):
        await run_stages(stages(step("a"), step("bad", fails), step("b")), EMPTY, whole)
    assert whole.state == {"a": True}


@pytest.mark.parametrize("error", [RejectedError("no"), DroppedError()])
async def test_what_a_stage_wrote_that_decided_to_stop_is_kept(error: Exception) -> None:
    """Its decision is no failure."""

    def decides(scope: Scope) -> None:
        raise error

    whole = scope()
    with pytest.raises(type(error)):
        await run_stages(stages(step("s", decides), step("never")), EMPTY, whole)
    assert whole.state == {"s": True}


@pytest.mark.parametrize(
    ("strict", "outcome", "kept"),
    [(False, "degraded", ("a", "b")), (True, "failed", ())],
)
async def test_a_run_tells_what_was_left(strict: bool, outcome: str, kept: tuple[str, ...]) -> None:
    """Without a failed stage that was let pass; of a run that is thrown away, nothing."""
    definition = read_pipeline({"type": "query", "stages": [stage("u")]}, KINDS, name="p")
    ran = stages(step("a"), step("bad", fails, may_fail=True), step("b"))
    pipeline = CompiledPipeline(definition, 1, ran, final=strict)
    told = Told({"given": 1})
    await Executor(Stats()).run([pipeline], EMPTY, CONTEXT, told)
    (run,) = told.runs
    assert run.outcome == outcome
    assert run.state == told.state == {"given": 1, **dict.fromkeys(kept, True)}


# Branches


class Meets:
    """A stage that writes, waits until another one has written, and writes again."""

    def __init__(self, mine: asyncio.Event, other: asyncio.Event, seen: list[Any]) -> None:
        self._mine = mine
        self._other = other
        self._seen = seen

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        scope.state = {**scope.state, scope.stage: 1}
        self._mine.set()
        await self._other.wait()
        self._seen.append(dict(scope.state))
        scope.state = {**scope.state, scope.stage: 2}
        scope.metadata = {**scope.metadata, scope.stage: True}
        return payload._replace(text=f'{{"of":"{scope.stage}"}}')


async def test_branches_that_run_at_once_do_not_see_each_other() -> None:
    """What both wrote is there once they are joined."""
    one, two = asyncio.Event(), asyncio.Event()
    seen: list[Any] = []
    whole = scope(given=1)
    branches = [whole.fork(), whole.fork()]
    ran = [
        stages(Step(name, Meets(mine, other, seen), timeout_ms=STAGE_MS), step(f"{name} again"))
        for name, mine, other in (("one", one, two), ("two", two, one))
    ]
    payloads = await asyncio.gather(
        *(run_stages(each, EMPTY, branch) for each, branch in zip(ran, branches, strict=True))
    )
    assert sorted(seen, key=str) == [{"given": 1, "one": 1}, {"given": 1, "two": 1}]
    assert [payload.text for payload in payloads] == ['{"of":"one"}', '{"of":"two"}']
    for name, branch in zip(("one", "two"), branches, strict=True):
        assert branch.state == {"given": 1, name: 2, f"{name} again": True}
    assert whole.state == {"given": 1}
    whole.join(*branches)
    again = {"one again": True, "two again": True}
    assert whole.state == {"given": 1, "one": 2, "two": 2, **again}
    assert whole.metadata == {"before": True, "one": True, "two": True, **again}
    names = ["one", "one again", "two", "two again"]
    assert [report.name for report in whole.reports] == names
