"""Every run ends in exactly one outcome, and all figures add up: over many pipelines at random."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.context import Phase
from pipelines.errors import DroppedError, RejectedError, StageError
from pipelines.execution.executor import Run
from pipelines.execution.stats import OUTCOMES, STAGE_OUTCOMES
from tests.pipelines.conftest import Core, stage

# What a stage of each sort does, with `{phase}` for the function of its pipeline's type. A flaky
# one fails the first time in a run, which only a sandbox that is used again can remember.
SORTS = {
    "adds": "return {**payload, 'trail': [*payload.get('trail', []), context.stage]}",
    "raises": "raise ValueError('no luck')",
    "returns nothing": "return None",
    "stops its sandbox": "import os; os.abort()",
    "rejects": "reject('no', 422)",
    "drops": "drop()",
    "flaky": (
        "key = context.id + '/' + context.stage\n"
        "    if key not in seen:\n"
        "        seen.add(key)\n"
        "        raise ValueError('the first time')\n"
        "    return {**payload, 'trail': [*payload.get('trail', []), context.stage]}"
    ),
}
IDS = itertools.count(1)
FAILING = {"raises", "returns nothing", "stops its sandbox"}


@dataclass(frozen=True)
class Step:
    sort: str
    enabled: bool
    on_failure: str
    retries: int

    def outcome(self, phase: Phase) -> str:
        if not self.enabled:
            return "skipped"
        if self.sort == "rejects":
            return "rejected"
        if self.sort == "drops" and phase == "document":
            return "dropped"
        if self.sort in FAILING or self.sort == "drops":
            return "failure"
        return "failure" if self.sort == "flaky" and not self.retries else "success"


def policy(on_failure: str) -> st.SearchStrategy[tuple[str, int]]:
    retries = st.integers(1, 2) if on_failure == "retry" else st.just(0)
    return st.tuples(st.just(on_failure), retries)


# Mostly what goes on, or few runs would get beyond their first stages.
STEPS = st.builds(
    lambda sort, enabled, failure: Step(sort, enabled, *failure),
    st.sampled_from(["adds"] * 5 + ["flaky"] * 3 + [*SORTS]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from(["continue", "abort", "retry"]).flatmap(policy),
)


@dataclass(frozen=True)
class Expected:
    """What a run has to come to, by the words of the documentation alone."""

    outcome: str
    stages: list[str]
    trail: list[str]


def expected(steps: list[Step], phase: Phase, on_error: str) -> Expected:
    stages: list[str] = []
    trail: list[str] = []
    outcome = "done"
    for position, step in enumerate(steps):
        came_to = step.outcome(phase)
        stages.append(came_to)
        if came_to == "success":
            trail.append(f"s{position}")
        elif came_to in ("rejected", "dropped"):
            return Expected(came_to, stages, trail)
        elif came_to == "failure" and step.on_failure == "continue":
            outcome = "degraded"
        elif came_to == "failure":
            return Expected("degraded" if on_error == "continue" else "failed", stages, [])
    return Expected(outcome, stages, trail)


def udf_of(core: Core, sort: str, phase: Phase) -> str:
    name = f"{sort}-{phase}".replace(" ", "-")
    return core.udf(name, f"seen = set()\ndef {phase}(payload, context):\n    {SORTS[sort]}")


def check_run(run: Run, wanted: Expected) -> None:
    assert run.outcome == wanted.outcome
    assert [report.outcome for report in run.stages] == wanted.stages
    if run.outcome in ("done", "degraded", "failed"):
        assert run.payload.data.get("trail", []) == wanted.trail
        assert run.payload.changed == bool(wanted.trail)
    kinds = {"done": type(None), "rejected": RejectedError, "dropped": DroppedError}
    assert isinstance(run.error, kinds.get(run.outcome, StageError))
    assert all((r.error is not None) == (r.outcome == "failure") for r in run.stages)


def check_figures(figures: dict[str, Any], runs: list[Run]) -> None:
    shown = {"done": "success", "failed": "failure"}
    outcomes = Counter(run.outcome for run in runs)
    assert {o: figures[shown.get(o, o)] for o in OUTCOMES} == {o: outcomes[o] for o in OUTCOMES}
    assert figures["count"] == len(runs)
    for name, stage_figures in figures["stages"].items():
        reports = [r for run in runs for r in run.stages if r.name == name]
        counted = Counter(report.outcome for report in reports)
        assert {o: stage_figures[o] for o in STAGE_OUTCOMES} == {
            o: counted[o] for o in STAGE_OUTCOMES
        }
        ran = [report for report in reports if report.outcome != "skipped"]
        assert stage_figures["count"] == len(ran)
        assert stage_figures["retries"] == sum(report.tries - 1 for report in ran)
        failed_tries = sum(r.tries - (r.outcome != "failure") for r in ran)
        assert sum(stage_figures["errors"].values()) == failed_tries


# The sandboxes stay warm from one example to the next, which is why one core serves them all.
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(STEPS, min_size=1, max_size=6),
    st.sampled_from(["query", "document", "result"]),
    st.sampled_from(["continue", "fail"]),
)
async def test_any_pipeline_ends_as_its_definition_says(
    core: Core, steps: list[Step], phase: Phase, on_error: str
) -> None:
    """Outcome, payload, reports and figures are those a reader of the definition expects."""
    core.stats.forget("p")
    stages = [
        stage(
            udf_of(core, step.sort, phase),
            f"s{position}",
            enabled=step.enabled,
            on_failure=step.on_failure,
            **({"retries": step.retries} if step.retries else {}),
        )
        for position, step in enumerate(steps)
    ]
    on_error = "fail" if phase == "document" else on_error
    pipeline = core.pipeline(*stages, type=phase, on_error=on_error)
    contexts = [core.context(phase, document_id=str(next(IDS))) for _ in range(2)]
    runs = [await core.run(pipeline, {}, context) for context in contexts]
    for run in runs:
        check_run(run, expected(steps, phase, on_error))
    check_figures(core.registry.stats("p").as_dict(), runs)


async def test_concurrent_runs_are_counted_one_by_one(core: Core) -> None:
    """Fifty at once, each with its own outcome, none lost and none mixed up."""
    source = """
    def query(request, context):
        if request["n"] % 5 == 0: reject("no")
        if request["n"] % 5 == 1: raise ValueError(request["n"])
        context.state["n"] = request["n"]
        return {**request, "double": 2 * request["n"]}
    """
    core.udf("u", source)
    pipeline = core.pipeline("u")
    runs = await asyncio.gather(*(core.run(pipeline, {"n": n}) for n in range(50)))
    for n, run in enumerate(runs):
        assert run.outcome == {0: "rejected", 1: "degraded"}.get(n % 5, "done")
        if run.outcome == "done":
            assert (run.payload.data["double"], run.state) == (2 * n, {"n": n})
    check_figures(core.registry.stats("p").as_dict(), runs)
