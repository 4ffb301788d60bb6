"""The runs of a trial as ``_execute`` answers them. Made on a thread: differences take a while."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import jsonpatch
import orjson

from pipelines.errors import DroppedError, RejectedError, StageError
from pipelines.execution.executor import Run
from pipelines.execution.plan import Step
from pipelines.execution.scope import StageReport
from pipelines.payload import Payload

_ENDED = ("failed", "rejected", "dropped")


def shown_run(
    run: Run, metadata: Mapping[str, Any], *, verbose: bool, given: AbstractSet[str]
) -> dict[str, Any]:
    """One run of one pipeline. What is nested stands as text: it may be as deep as traffic is.

    `given` are the digests of UDFs that came with the call.
    """
    pipeline = run.pipeline
    definition = pipeline.definition
    shown: dict[str, Any] = {
        "pipeline": definition.name,
        "version": definition.version,
        "revision": pipeline.revision or None,
        "type": definition.type,
        "outcome": run.outcome,
        "took_ms": round(run.took_ms, 3),
        "output": text_of(run.payload),
        "metadata": nested(metadata),
    }
    if not pipeline.revision:
        # It was given with the call.
        del shown["revision"]
    if run.error is not None:
        shown["error"] = shown_error(run.error)
    if run.outcome in _ENDED:
        del shown["output"]
    steps = {step.name: step for step in pipeline.stages.steps}
    shown["stages"] = [
        {**_shown_stage(each, verbose=verbose), **_udf(steps.get(each.name), given)}
        for each in run.stages
    ]
    return shown


def shown_error(error: StageError | RejectedError | DroppedError) -> dict[str, Any]:
    shown: dict[str, Any] = {"stage": error.stage, "reason": str(error)}
    if isinstance(error, RejectedError):
        shown |= {"kind": "rejected", "status": error.status}
    elif isinstance(error, StageError):
        shown |= {"kind": error.kind, "detail": error.detail}
    return shown


def outcome_of(runs: list[Run]) -> str:
    """What a request with these runs came to."""
    outcomes = [run.outcome for run in runs]
    ended = [outcome for outcome in outcomes if outcome in _ENDED]
    return ended[-1] if ended else "degraded" if "degraded" in outcomes else "done"


def text_of(payload: Payload) -> orjson.Fragment:
    """A payload as it would go on, to the character."""
    return orjson.Fragment(payload.text.encode())


def _udf(step: Step | None, given: AbstractSet[str]) -> dict[str, Any]:
    """The UDF version that a stage ran, and whether it came with the call."""
    if step is None or not any(step.built_of):
        return {}
    return {"udf": step.label, "udf_given": not given.isdisjoint(step.built_of)}


def _shown_stage(report: StageReport, *, verbose: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": report.name,
        "outcome": report.outcome,
        "took_ms": round(report.took_ms, 3),
        "tries": report.tries,
        "log": report.log,
    }
    if report.error is not None:
        shown["error"] = shown_error(report.error)
    if verbose and report.before is not None:
        shown["input"], shown["output"] = nested(report.before), nested(report.after)
        shown["diff"] = _difference(report.before, report.after)
    return shown


def _difference(before: Any, after: Any) -> Any:
    try:
        return nested(jsonpatch.make_patch(before, after).patch)
    except RecursionError:
        return None


def nested(value: Any) -> orjson.Fragment:
    """A value as text: it may be nested more deeply than may stand inside another."""
    try:
        return orjson.Fragment(orjson.dumps(value))
    except TypeError:
        # It is nested more deeply than orjson writes.
        return orjson.Fragment(json.dumps(value).encode())
