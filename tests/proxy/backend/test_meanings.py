"""What names mean: what the backend is asked, and what is made of what it says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.backend.client import Backend, BackendRefusedError
from proxy.backend.resolver import Concrete, Resolver, resolve_target
from tests.proxy.conftest import OpenUpstream
from tests.proxy.wire import ScriptedBackend, http_response


@pytest.mark.parametrize(
    ("names", "expand", "target"),
    [
        ((), None, "*"),
        (("_all",), None, "*"),
        (("a",), None, "a"),
        (("a", "b"), None, "a,b"),
        (("a*", "-ab"), None, "a*,-ab"),
        (("<a-{now/d}>",), None, "%3Ca-%7Bnow%2Fd%7D%3E"),
        (("other:a",), None, "other%3Aa"),
        (("ä b",), None, "%C3%A4%20b"),
        (("a?b#c",), None, "a%3Fb%23c"),
        (("a",), "", "a?expand_wildcards="),
        (("a*",), "open,closed", "a*?expand_wildcards=open,closed"),
        ((), "all", "*?expand_wildcards=all"),
        (("a",), "x&y=z", "a?expand_wildcards=x%26y%3Dz"),
    ],
)
def test_what_is_asked(names: tuple[str, ...], expand: str | None, target: str) -> None:
    """One segment that cannot end early, and a parameter that cannot begin another."""
    assert resolve_target(names, expand) == f"/_resolve/index/{target}"


def index(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "attributes": ["open"], **more}


def alias(name: str, *indices: str) -> dict[str, Any]:
    return {"name": name, "indices": list(indices)}


def stream(name: str, *backing: str) -> dict[str, Any]:
    return {"name": name, "backing_indices": list(backing), "timestamp_field": "@timestamp"}


def missing(name: str) -> Concrete:
    return Concrete(name, missing=True)


MEANINGS: list[tuple[str, tuple[str, ...], dict[str, list[Any]], list[Concrete]]] = [
    ("an index", ("a",), {"indices": [index("a")]}, [Concrete("a")]),
    ("an alias of one", ("n",), {"aliases": [alias("n", "a")]}, [Concrete("a", ("n",))]),
    (
        "an alias of two",
        ("n",),
        {"aliases": [alias("n", "a", "b")]},
        [Concrete("a", ("n",)), Concrete("b", ("n",))],
    ),
    (
        "two aliases of one",
        ("m", "n"),
        {"aliases": [alias("m", "a"), alias("n", "a")]},
        [Concrete("a", ("m", "n"))],
    ),
    (
        "an index and its alias",
        ("a", "n"),
        {"indices": [index("a")], "aliases": [alias("n", "a", "b")]},
        [Concrete("a"), Concrete("b", ("n",))],
    ),
    (
        "a data stream",
        ("d",),
        {"data_streams": [stream("d", ".ds-d-1", ".ds-d-2")]},
        [Concrete("d")],
    ),
    (
        "an index behind a data stream",
        (".ds-d-1",),
        {"indices": [index(".ds-d-1", data_stream="d")]},
        [Concrete(".ds-d-1", ("d",))],
    ),
    (
        "an alias of a data stream",
        ("n",),
        {"aliases": [alias("n", ".ds-d-1")]},
        [Concrete(".ds-d-1", ("n",))],
    ),
    (
        "a pattern",
        ("a*",),
        {"indices": [index("a1"), index("a2")]},
        [Concrete("a1"), Concrete("a2")],
    ),
    ("a pattern for none", ("a*",), {}, []),
    ("all of none", (), {}, []),
    (
        "all",
        (),
        {"indices": [index("a")], "data_streams": [stream("d", ".ds-d-1")]},
        [Concrete("a"), Concrete("d")],
    ),
    (
        "date math",
        ("<a-{now/d}>",),
        {"indices": [index("a-2026.01.01")]},
        [Concrete("a-2026.01.01")],
    ),
    ("date math for none", ("<a-{now/d}>",), {}, [missing("<a-{now/d}>")]),
    ("a name it leaves out", ("a", "b"), {"indices": [index("a")]}, [Concrete("a"), missing("b")]),
    ("a name it does not have", ("a",), {}, [missing("a")]),
    ("one of another cluster", ("c:a",), {}, [Concrete("c:a")]),
    (
        "one of another cluster among others",
        ("a", "c:a"),
        {"indices": [index("a")]},
        [Concrete("a"), Concrete("c:a")],
    ),
    ("what is left out", ("a*", "-ab"), {"indices": [index("aa")]}, [Concrete("aa")]),
    ("what is left out of none", ("a*", "-ab"), {}, []),
    ("all, by name", ("_all",), {"indices": [index("a")]}, [Concrete("a")]),
]


@pytest.mark.parametrize(("names", "said", "meant"), [case[1:] for case in MEANINGS],
                         ids=[case[0] for case in MEANINGS])  # fmt: skip
async def test_what_is_made_of_it(
    backend: ScriptedBackend,
    open_upstream: OpenUpstream,
    names: tuple[str, ...],
    said: dict[str, list[Any]],
    meant: list[Concrete],
) -> None:
    """Indices and data streams, with the names they are reached through; what is not there, too."""
    whole = {"indices": [], "aliases": [], "data_streams": [], **said}
    backend.reply = http_response(orjson.dumps(whole), "200 OK", "content-type: application/json")
    resolver = Resolver(Backend(await open_upstream()), ttl=60.0)
    resolved = await resolver.resolve(names, strict=True)
    assert resolved == tuple(meant)
    assert [each.missing for each in resolved] == [each.missing for each in meant]
    assert backend.targets == [resolve_target(names, None)]


@pytest.mark.parametrize(
    ("status", "names", "meant"),
    [
        (404, ("a",), [missing("a")]),
        (404, ("c:a",), [Concrete("c:a")]),
        (404, ("a*",), []),
        (404, (), []),
        (400, ("A",), [Concrete("A")]),
        (400, ("-a",), []),
        (401, ("a",), None),
        (403, ("a",), None),
        (429, ("a",), None),
        (500, ("a",), None),
        (503, ("a*",), None),
    ],
)
async def test_what_it_refuses(
    backend: ScriptedBackend,
    open_upstream: OpenUpstream,
    status: int,
    names: tuple[str, ...],
    meant: list[Concrete] | None,
) -> None:
    """A name that is not there, or is none, is the backend's to refuse; others are not known.

    Where they have to be known, that is an error; else they are taken as they are written.
    """
    body = orjson.dumps({"error": {"type": "x", "reason": "no"}, "status": status})
    backend.reply = http_response(body, f"{status} No", "content-type: application/json")
    resolver = Resolver(Backend(await open_upstream()), ttl=60.0)
    if meant is None:
        with pytest.raises(BackendRefusedError) as refused:
            await resolver.resolve(names, strict=True)
        assert refused.value.status == status
        written = tuple(Concrete(name) for name in names if "*" not in name)
        assert await resolver.resolve(names) == written
        return
    resolved = await resolver.resolve(names, strict=True)
    assert resolved == tuple(meant)
    assert [each.missing for each in resolved] == [each.missing for each in meant]


async def test_one_name_that_is_not_there(
    backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """Keeps the backend from saying what the others mean, so it is asked again in halves."""
    for asked, status, indices in (
        ("a,b,c", "404 Not Found", []),
        ("a", "200 OK", [index("a")]),
        ("b,c", "404 Not Found", []),
        ("b", "404 Not Found", []),
        ("c", "200 OK", [index("c")]),
    ):
        body = orjson.dumps({"indices": indices, "aliases": [], "data_streams": []})
        field = "content-type: application/json"
        backend.replies[f"/_resolve/index/{asked}"] = http_response(body, status, field)
    resolver = Resolver(Backend(await open_upstream()), ttl=60.0)
    resolved = await resolver.resolve(("a", "b", "c"), strict=True)
    assert resolved == (Concrete("a"), Concrete("b"), Concrete("c"))
    assert [each.missing for each in resolved] == [False, True, False]
