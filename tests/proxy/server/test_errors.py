"""Exceptions as answers: the envelope, the table, and the id that is in the log."""

from __future__ import annotations

import orjson
import pytest
from structlog.typing import EventDict

from proxy.http.encoding import BodyEncodingError, BodyError, BodyTooLargeError
from proxy.http.errors import ErrorResponse, MalformedRequest, SlowClient, envelope
from proxy.server.errors import RESPONSES, response_for, status_of
from proxy.store.errors import (
    StoreBusy,
    StoreConflict,
    StoreFull,
    StoreRefused,
    StoreTimeout,
    StoreUnavailable,
)
from proxy.upstream.errors import UpstreamBroken, UpstreamBusy, UpstreamTimeout, UpstreamUnreachable


def test_envelope() -> None:
    """The envelope is the backend's: the cause, once in root_cause, and the status."""
    assert orjson.loads(envelope(404, "x_exception", "gone", extra={"stage": "s"})) == {
        "error": {
            "root_cause": [{"type": "x_exception", "reason": "gone", "stage": "s"}],
            "type": "x_exception",
            "reason": "gone",
            "stage": "s",
        },
        "status": 404,
    }


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (UpstreamUnreachable("u"), 502, "backend_unreachable_exception"),
        (UpstreamBroken("b"), 502, "backend_unreachable_exception"),
        (UpstreamTimeout("t"), 504, "backend_timeout_exception"),
        (UpstreamBusy("b"), 429, "rejected_execution_exception"),
        (StoreUnavailable("u"), 502, "backend_unreachable_exception"),
        (StoreTimeout("t"), 504, "backend_timeout_exception"),
        (StoreBusy("b"), 429, "rejected_execution_exception"),
        (StoreFull("f"), 413, "content_too_long_exception"),
        (StoreRefused("r"), 403, "security_exception"),
        (StoreConflict("pipeline", "p"), 409, "version_conflict_exception"),
        (BodyTooLargeError(5), 413, "content_too_long_exception"),
        (BodyEncodingError("e"), 415, "media_type_header_exception"),
        (BodyError("e"), 400, "parse_exception"),
        (MalformedRequest("m"), 400, "illegal_argument_exception"),
        (SlowClient("s"), 408, "request_timeout_exception"),
    ],
)
def test_table(error: Exception, status: int, kind: str, logged: list[EventDict]) -> None:
    """Each error has its status and type, and says its own words; from 500 on it has an id."""
    response = response_for(error)
    assert (response.status, response.type, response.reason) == (status, kind, str(error))
    assert ("id" in response.extra) == (status >= 500) == bool(logged)
    assert all(line["log_level"] == "warning" for line in logged)


def test_rows_hold_for_subclasses(logged: list[EventDict]) -> None:
    """A class without a row takes that of its nearest base."""

    class Special(UpstreamTimeout):
        pass

    assert response_for(Special("x")).status == 504


def test_overload_says_when_to_retry() -> None:
    """429 carries Retry-After."""
    for kind in (UpstreamBusy, StoreBusy):
        assert response_for(kind("x")).headers == {"Retry-After": "1"}


def test_what_the_keeper_of_a_store_says_is_the_response(logged: list[EventDict]) -> None:
    """With its own status, type and words; from 500 on it is expected and has an id."""
    for status in (401, 503):
        said = ErrorResponse(status, "their_exception", "their words")
        refused = StoreRefused("the store refused", said)
        assert status_of(refused) == status
        response = response_for(refused)
        assert (response.status, response.type, response.reason) == (status, said.type, said.reason)
    assert [line["log_level"] for line in logged] == ["warning"]


def test_only_a_lost_framing_closes_the_connection() -> None:
    """What was refused for its meaning leaves the connection; lost framing ends it."""
    closing = {kind for kind in RESPONSES if response_for(_made(kind)).close}
    assert closing == {MalformedRequest, SlowClient}


def _made(kind: type[Exception]) -> Exception:
    return kind.__new__(kind, "x")


def test_responses_keep_what_they_have(logged: list[EventDict]) -> None:
    """An error that is a response keeps its members; an id it brings is the one in the log."""
    given = ErrorResponse(
        500, "pipeline_execution_exception", "r", extra={"id": "abc", "pipeline": "p"},
        headers={"A": "b"}, close=True,
    )  # fmt: skip
    response = response_for(given)
    assert (response.extra, response.headers, response.close) == (
        {"id": "abc", "pipeline": "p"}, {"A": "b"}, True,
    )  # fmt: skip
    assert orjson.loads(response.body())["error"]["pipeline"] == "p"
    (line,) = logged
    assert (line["id"], line["pipeline"], line["reason"]) == ("abc", "p", "r")


def test_responses_below_500_are_not_logged(logged: list[EventDict]) -> None:
    """A client's own fault makes no noise in the log."""
    given = ErrorResponse(404, "x", "y")
    assert response_for(given) is given
    assert logged == []
