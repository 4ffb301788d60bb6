"""The run in progress: what it is given, and the ways a UDF can end it."""

import base64
from collections.abc import Callable
from typing import Any, NoReturn

from querymill.declared import Declared

_LOG_CHARS = 16_384


class Ended(BaseException):
    """Leaves the UDF after `reject` or `drop`. Catching it changes nothing: the run remembers."""


class Context:
    """What a UDF may know about its run.

    params   the stage's parameters
    index    name of the index (or None)         phase     "query", "document" or "result"
    pipeline its name and version                stage     the stage's name
    id       the document's id (or None)         headers   those the proxy lets through
    state    a dict carried from the query stages to the result stages of one request
    metadata what earlier stages reported as `_pipeline_metadata`
    request  the search request (query and result phase)
    query    its query clause (or None)          deadline_ms  the time this run has
    hits     the hits to edit (only in a result stage that declares its `input`)
    """

    __slots__ = (
        "deadline_ms",
        "headers",
        "hits",
        "id",
        "index",
        "metadata",
        "params",
        "phase",
        "pipeline",
        "query",
        "request",
        "stage",
        "state",
    )

    def __init__(self, given: dict, phase: str, params: dict, request: Any) -> None:
        get = given.get
        self.params = params
        self.phase = phase
        self.index = get("index")
        self.pipeline = get("pipeline")
        self.stage = get("stage")
        self.id = get("id")
        self.headers = get("headers") or {}
        self.state = get("state") or {}
        self.metadata = get("metadata") or {}
        self.deadline_ms = get("deadline_ms")
        self.request = request
        self.query = request.get("query") if isinstance(request, dict) else None

    def like(self, id: Any, state: dict, metadata: dict) -> "Context":
        """That of another document of the same batch."""
        other = Context.__new__(Context)
        other.params = self.params
        other.phase = self.phase
        other.index = self.index
        other.pipeline = self.pipeline
        other.stage = self.stage
        other.id = id
        other.headers = dict(self.headers)
        other.state = state
        other.metadata = metadata
        other.deadline_ms = self.deadline_ms
        other.request = other.query = None
        return other

    def __getattr__(self, name: str) -> NoReturn:
        if name == "hits":
            raise AttributeError(
                "context.hits is there in a result stage that declares its `input`; without it "
                "the function gets the whole response, and returns the new one"
            )
        raise AttributeError(f"context has no {name!r}", name=name, obj=self)

    def __getitem__(self, name: Any) -> NoReturn:
        raise TypeError(
            f"context is no dict, [{name!r}] is none of it: write context.params[{name!r}] for a "
            f"parameter, context.state[{name!r}] for what an earlier stage left"
        )

    def __setitem__(self, name: Any, value: Any) -> NoReturn:
        raise TypeError(
            f"context is no dict: write context.state[{name!r}] = ... for a later stage, "
            f"context.metadata[{name!r}] = ... for the client"
        )

    def __delitem__(self, name: Any) -> NoReturn:
        raise TypeError(f"context is no dict: write context.state.pop({name!r}, None)")


class Current:
    """The loaded package and the run that is on, if one is. One a sandbox."""

    def __init__(self) -> None:
        self.emit: Callable[[str], None] = lambda message: None
        self.params: dict = {}
        self.files: dict = {}
        self.phase = ""
        self.payload: Any = None
        self.request: Any = None
        # what of the payload is given, if that is only a part
        self.declared: Declared | None = None
        self.rejected: tuple[str, Any] | None = None
        self.dropped = False

    def begin(self, phase: str, payload: Any, request: Any) -> None:
        self.phase = phase
        self.payload = payload
        self.request = request
        self.rejected = None
        self.dropped = False

    def end(self) -> None:
        self.phase = ""
        self.payload = self.request = self.declared = None


current = Current()


def reject(reason: object, status: int = 400) -> NoReturn:
    """Refuses the request or document: the client gets `status` (400 to 499) and `reason`."""
    _running("reject")
    if current.rejected is None and not current.dropped:
        current.rejected = (str(reason), status)
    raise Ended


def drop() -> NoReturn:
    """Leaves the document out without an error. Only a document stage has one."""
    _running("drop")
    if current.phase != "document":
        raise RuntimeError(
            f"drop() leaves a document out and this is a {current.phase} stage; "
            "reject(reason) refuses a request"
        )
    current.dropped = current.rejected is None
    raise Ended


def log(*values: object) -> None:
    """Writes a line to the log of the run: the values with spaces between them, like `print`."""
    text = " ".join(map(str, values))[:_LOG_CHARS]
    # half a surrogate pair cannot leave the sandbox, and a log line is no reason to fail
    current.emit(text if text.isascii() else text.encode("utf-8", "replace").decode())


def resource(name: str, binary: bool = False) -> str | bytes:
    """A file of the UDF's package: text, or with `binary` bytes. `LookupError` if there is none."""
    try:
        content = current.files[name]
    except KeyError:
        have = ", ".join(sorted(current.files)) or "it has no files"
        raise LookupError(f"no file {name!r} in the UDF's package; there is: {have}") from None
    if isinstance(content, str):
        return content.encode() if binary else content
    raw = base64.b64decode(content["base64"])
    return raw if binary else raw.decode()


def _running(name: str) -> None:
    if not current.phase:
        raise RuntimeError(f"{name}() is for a run; the top level of a UDF is run only once")
