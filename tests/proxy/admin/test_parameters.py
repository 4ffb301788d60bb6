"""Query parameters of administration calls: every route takes its own and no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from proxy.admin import Admin, Route
from proxy.admin.routes import admin_routes
from proxy.http.errors import ErrorResponse
from proxy.http.query_string import QueryString
from proxy.protocol.parameters import COMMON, flag, one_of, read_parameters, whole, word

_COMPILER = SimpleNamespace(kinds={})
_NOTHING: Any = SimpleNamespace(registry=SimpleNamespace(compiler=_COMPILER))
# No handler is called, so none of what they work with is needed.
ROUTES = admin_routes(*[_NOTHING] * 6)
KNOWN = {"version": word, "force": flag, "if_revision": whole, "type": one_of("query", "result")}


def read(raw: str, **elsewhere: list[str]) -> dict[str, Any]:
    values = read_parameters(QueryString(raw), KNOWN, call="PUT /_x", elsewhere=elsewhere)
    return {name: value for name, value in values.items() if value is not None}


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        ("", {}),
        ("&", {}),
        ("force", {"force": True}),
        ("force=", {"force": True}),
        ("force=true&pretty=false", {"force": True, "pretty": False}),
        ("if_revision=0", {"if_revision": 0}),
        ("if_revision=" + "9" * 15, {"if_revision": 10**15 - 1}),
        ("version=1%2E0;type=query", {"version": "1.0", "type": "query"}),
        (
            "human&error_trace=true&format=yaml",
            {"human": True, "error_trace": True, "format": "yaml"},
        ),
    ],
)
def test_parameters_are_read_by_their_kind(raw: str, values: dict[str, Any]) -> None:
    """A flag without a value is true; separators are those of the backend."""
    assert read(raw) == values


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("verison=1.0.0", "unrecognized parameter: [verison] -> did you mean [version]?"),
        ("Version=1.0.0", "[Version] -> did you mean [version]?"),
        ("if_revison=7", "[if_revison] -> did you mean [if_revision]?"),
        ("if-revision=7", "[if-revision] -> did you mean [if_revision]?"),
        ("prety", "[prety] -> did you mean [pretty]?"),
        ("force=true&forced=true", "[forced] -> did you mean [force]?"),
        ("zzz=1", "[zzz] (it takes version, force, if_revision, type)"),
        ("=1", "unrecognized parameter: []"),
        ("x" * 500, f"[{'x' * 100}] (it takes"),
        ("create=true", "[create] -> it belongs to PUT and POST"),
        ("creat=true", "[creat] -> did you mean [create], which belongs to PUT and POST?"),
        ("force=maybe", "[force=maybe]: only [true] or [false] are allowed"),
        ("force=1", "[force=1]: only [true] or [false]"),
        ("force=TRUE", "[force=TRUE]: only [true] or [false]"),
        ("if_revision=x", "[if_revision=x]: it is not a whole number"),
        ("if_revision=-1", "[if_revision=-1]: it is not a whole number"),
        ("if_revision=1.0", "[if_revision=1.0]: it is not a whole number"),
        ("if_revision=", "[if_revision=]: it is not a whole number"),
        ("if_revision=%D9%A3", "it is not a whole number"),
        ("if_revision=" + "9" * 16, "it is not a whole number"),
        ("version=", "[version=]: it is empty"),
        ("type=quary", "[type=quary]: did you mean [query]? it has to be one of query, result"),
        ("format=smile", "[format=smile]: it has to be one of json, yaml, cbor"),
        ("filter_path=-", "[filter_path=-]: "),
        ("version=1&version=2", "is given the parameter [version] twice"),
        ("force&force=true", "is given the parameter [force] twice"),
        ("force=true;%66orce=false", "is given the parameter [force] twice"),
    ],
)
def test_what_is_unknown_wrong_or_twice_is_refused(raw: str, reason: str) -> None:
    """A 400 names the call, the parameter, and what was most likely meant."""
    with pytest.raises(ErrorResponse) as caught:
        read(raw, create=["PUT", "POST"])
    assert (caught.value.status, caught.value.type) == (400, "illegal_argument_exception")
    assert caught.value.reason.startswith("[PUT /_x] ")
    assert reason in caught.value.reason


class _Asked:
    """What `Admin` looks at of an exchange before it calls a handler."""

    def __init__(self, route: Route, query: str) -> None:
        self.method, self.query = route.method, query
        self.raw_path = route.path.replace("{name}", "x")
        self.headers: dict[str, str] = {}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_call_refuses_what_it_does_not_know(route: Route) -> None:
    """Before anything is done: its handler, which could not even run here, is not reached."""
    admin = Admin(ROUTES, token=None)
    for name in (*route.parameters, *COMMON):
        misspelt = name[:-1] + name[-1] * 2
        asked: Any = _Asked(route, f"{misspelt}=1")
        with pytest.raises(ErrorResponse, match="unrecognized parameter") as caught:
            await admin(asked)
        assert caught.value.status == 400
        assert f"[{misspelt}] -> did you mean [{name}]?" in caught.value.reason


async def test_a_parameter_of_another_verb_is_reported_so() -> None:
    """`force` deletes, and does not write."""
    admin = Admin(ROUTES, token=None)
    (route,) = [r for r in ROUTES if (r.method, r.path) == ("PUT", "/_udf/{name}")]
    asked: Any = _Asked(route, "force=true")
    with pytest.raises(ErrorResponse, match=r"\[force\] -> it belongs to DELETE"):
        await admin(asked)


async def test_a_missing_token_comes_first() -> None:
    """Who may not call learns nothing of parameters."""
    admin = Admin(ROUTES, token="s3cret-token")
    asked: Any = _Asked(ROUTES[0], "typo=1")
    with pytest.raises(ErrorResponse) as caught:
        await admin(asked)
    assert caught.value.status == 401
