"""The errors of `pipelines`; each class is another decision for a caller. No HTTP status is here.

PipelineError
├── DefinitionError     a definition, UDF package or setting is wrong: refuse it, name the place
│   └── NoJsonError     it could not even be read
├── MissingError        nothing is stored under that name
├── ConflictError       what is asked collides with what is stored
├── StageError          a stage could not do its work: `kind` says why, the failure policy decides
│   └── StageTimeoutError  it ran out of time
├── RejectedError       a UDF refused the request or document on purpose
└── DroppedError        a UDF left the document out on purpose
"""

from __future__ import annotations


class PipelineError(Exception):
    """Base of every error raised by this package."""


class DefinitionError(PipelineError):
    """Something uploaded is wrong. `path` names the place, as in ``stages[2].config.udf_name``."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


class NoJsonError(DefinitionError):
    """What was uploaded is not JSON."""

    def __init__(self, reason: str) -> None:
        super().__init__("", reason)


class MissingError(PipelineError):
    """No `what` ("pipeline", "udf", ...) is stored under `name`."""

    def __init__(self, what: str, name: str, hint: str = "") -> None:
        super().__init__(f"{what} [{name}] does not exist" + (f"; {hint}" if hint else ""))
        self.what = what
        self.name = name


class UnreadError(MissingError):
    """It is stored, and cannot be read."""

    def __init__(self, what: str, name: str) -> None:
        PipelineError.__init__(self, f"{what} [{name}] cannot be read from the store")
        self.what = what
        self.name = name


class ConflictError(PipelineError):
    """The call collides with what is stored: a taken name, another revision, a pipeline in use."""


class StageError(PipelineError):
    """A stage failed.

    `kind` is one of the words in `STAGE_ERROR_KINDS`; `detail` is a traceback of the UDF's own
    frames where there is one. `overran` says that a sandbox had to be stopped at its deadline, in
    a run or while loading. `pipeline` and `stage` are filled in by the executor.
    """

    def __init__(self, kind: str, reason: str, *, detail: str = "", overran: bool = False) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.detail = detail
        self.overran = overran
        self.pipeline = ""
        self.stage = ""


class StageTimeoutError(StageError):
    """A stage, or the whole run, passed its deadline."""

    def __init__(self, reason: str, *, overran: bool = False) -> None:
        super().__init__("timeout", reason, overran=overran)


class RejectedError(PipelineError):
    """A UDF called `reject(reason, status)`; `status` is 400 to 499."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.pipeline = ""
        self.stage = ""


class DroppedError(PipelineError):
    """A UDF called `drop()`: the document is to be left out without an error."""

    def __init__(self) -> None:
        super().__init__("the document was dropped")
        self.pipeline = ""
        self.stage = ""


STAGE_ERROR_KINDS = {
    "timeout": "the stage or the run passed its deadline",
    "memory": "the UDF asked for more memory than its limit",
    "input_too_large": "the payload is larger than the stage accepts",
    "output_too_large": "the UDF returned more than its limit",
    "invalid_result": "the UDF returned something that is not the JSON object it has to return",
    "udf_exception": "the UDF raised an exception",
    "trap": "the sandbox was stopped by the UDF (exit, abort, stack exhausted, forbidden call)",
    "load": "the UDF could not be loaded",
    "input_type": "the payload is not what this type of pipeline takes",
    "unavailable": "no sandbox could be had",
    "refused": "the backend refuses the request that a query pipeline changed",
    "breaker": "the pipeline is turned off for a while, as its runs kept passing their deadline",
}
