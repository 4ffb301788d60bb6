"""The one loop over stages: of a pipeline, of a branch, of a pipeline in it, and of a batch."""

from __future__ import annotations

from typing import Any, overload

from pipelines.errors import DroppedError, PipelineError, RejectedError, StageError
from pipelines.execution.breaker import Ending, ending_of
from pipelines.execution.observe import Observed, skip
from pipelines.execution.plan import Stages
from pipelines.execution.scope import Scope
from pipelines.payload import Document, Payload


@overload
async def run_stages(stages: Stages, payload: Payload, scope: Scope) -> Payload: ...


@overload
async def run_stages(stages: Stages, payload: list[Document], scope: Scope) -> list[Document]: ...


async def run_stages(stages: Stages, payload: Any, scope: Scope) -> Any:
    """Run the steps of a pipeline or a branch on a payload, or on a batch of documents.

    Returns the payload to go on with, or the documents that do. What the stages wrote is then in
    `scope`, and a failure that was let pass is its `degraded`. Raises `StageError` where one failed
    or the time is over, `RejectedError` and `DroppedError` where a UDF decided so, each with the
    stage's name. A batch is on its scope's `course`; where it fails nothing is counted, as its
    documents are run by themselves then.
    """
    breaker, course = stages.breaker, scope.course
    era = 0 if breaker is None else breaker.enter()
    ending: Ending = "unknown"
    scope.bound(stages.timeout_ms)
    try:
        for step in stages.steps:
            if step.stage is None:
                skip(step, scope)
                continue
            if course is not None and not payload:
                continue
            observed = Observed(step, scope)
            if course is not None:
                assert step.batch is not None
                observed.begin()
                documents = await step.batch.run_batch(payload, observed.own)
                payload = observed.close_batch(documents)
                continue
            result: Payload | None = None
            while True:
                try:
                    observed.begin()
                    result = await step.stage.run(payload, observed.own)
                except (StageError, RejectedError, DroppedError) as error:
                    if observed.failed(error):
                        continue
                break
            payload = observed.close(payload, result)
        ending = ending_of(scope.reports, None) if course is None else course.ending
    except PipelineError as error:
        ending = ending_of(scope.reports, error) if course is None else "unknown"
        raise
    finally:
        if breaker is not None:
            breaker.leave(era, ending)
    return payload
