"""Which pipelines run on a request: named ones, those attached to its targets, and final ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
import pytest

from pipelines.context import Phase
from pipelines.errors import MissingError, StageError
from pipelines.wasm import Runtime
from proxy.backend.client import Backend
from proxy.backend.resolver import Resolver
from proxy.http.errors import ErrorResponse
from proxy.traffic.naming import Asked
from proxy.traffic.selection import Selector
from tests.pipelines.conftest import Core, open_core
from tests.proxy.conftest import OpenUpstream
from tests.proxy.wire import Message, ScriptedBackend, Wire, http_response

# The backend's names: indices `a`, `ab` and `b`, an alias of two of them, a data stream.
INDICES = ("a", "ab", "b")
ALIASES = {"both": ("a", "b"), "one": ("a",)}
STREAM = "d"
BACKING = ".ds-d-1"

QUERY, RESULT = "index.query.default_pipeline", "index.result.default_pipeline"
DOCUMENT = "index.document.default_pipeline"
SEARCH = "index.search.default_pipeline"
FINAL_QUERY, FINAL_RESULT = "index.query.final_pipeline", "index.result.final_pipeline"
FINAL_DOCUMENT = "index.document.final_pipeline"

Outcome = str | int | type[Exception]


async def tell(message: Message, wire: Wire) -> None:
    """What those names mean, of one name or pattern."""
    names = message.target.partition("?")[0].rpartition("/")[2].split(",")
    found: dict[str, list[dict[str, Any]]] = {"indices": [], "aliases": [], "data_streams": []}
    for name in names:
        if name.endswith("*"):
            found["indices"] += [{"name": i} for i in INDICES if i.startswith(name[:-1])]
        elif name in INDICES:
            found["indices"].append({"name": name})
        elif name in ALIASES:
            found["aliases"].append({"name": name, "indices": list(ALIASES[name])})
        elif name == STREAM:
            found["data_streams"].append({"name": name})
        elif name == BACKING:
            found["indices"].append({"name": name, "data_stream": STREAM})
    status = "200 OK" if any(found.values()) or "*" in names else "404 Not Found"
    await wire.send(http_response(orjson.dumps(found), status, "content-type: application/json"))


@pytest.fixture
async def registered(runtime: Runtime) -> AsyncIterator[Core]:
    """Two pipelines of each type."""
    async with open_core(runtime) as core:
        types: dict[Phase, str] = {"query": "qr", "result": "st", "document": "uv"}
        for phase, letters in types.items():
            core.udf(phase, f"def {phase}(it, context): return it")
            for letter in letters:
                core.pipeline(phase, name=letter, type=phase)
        yield core


async def selector_of(
    core: Core,
    backend: ScriptedBackend,
    open_upstream: OpenUpstream,
    attached: dict[str, dict[str, str]],
    on_conflict: Literal["off", "chain", "error"] = "off",
) -> Selector:
    backend.reply = tell
    for expression, settings in attached.items():
        core.registry.change(core.registry.udfs, {}, {expression: settings})
    resolver = Resolver(Backend(await open_upstream()), ttl=60.0)
    return Selector(core.registry, resolver, on_conflict)


@dataclass
class Case:
    """What is attached and asked for, and the pipelines that run: queries, then results."""

    says: str
    runs: str | int | type[Exception]
    names: str = "a"
    attached: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: str | None = None
    header: bool = False
    phases: tuple[Phase, ...] = ("query", "result")
    on_conflict: Literal["off", "chain", "error"] = "off"
    expand: str | None = None


BOTH = {QUERY: "q", RESULT: "s"}
READS = [
    Case("nothing attached", ""),
    Case("attached to the index", "q s", attached={"a": BOTH}),
    Case("attached to another index", "", attached={"b": BOTH}),
    Case("attached to a pattern", "q", attached={"a*": {QUERY: "q"}}),
    Case("the index goes before a pattern", "r", attached={"a*": {QUERY: "q"}, "a": {QUERY: "r"}}),
    Case("the longer pattern goes first", "r", "ab", {"a*": {QUERY: "q"}, "ab*": {QUERY: "r"}}),
    Case("setting by setting", "r s", attached={"*": BOTH, "a": {QUERY: "r"}}),
    Case("_none takes a pattern's off", " s", attached={"*": BOTH, "a": {QUERY: "_none"}}),
    Case("a phase of an endpoint", "q", attached={"a": BOTH}, phases=("query",)),
    Case("by the alias that is named", "q", "one", {"one": {QUERY: "q"}}),
    Case("the alias goes before the index", "q", "one", {"one": {QUERY: "q"}, "a": {QUERY: "r"}}),
    Case("an index by its own name", "r", "a", {"one": {QUERY: "q"}, "a": {QUERY: "r"}}),
    Case("a data stream", "q", STREAM, {STREAM: {QUERY: "q"}}),
    Case("an index behind a data stream", "q", BACKING, {STREAM: {QUERY: "q"}}),
    Case("an index that is not there", "q", "gone", {"gone*": {QUERY: "q"}}),
    Case("not there, among others", "q", "a,gone", {"a": {QUERY: "q"}, "gone": {QUERY: "r"}}),
    Case("the same on all targets", "q", "a,b", {"*": {QUERY: "q"}}),
    Case("others on each", "", "a,b", {"a": {QUERY: "q"}, "b": {QUERY: "r"}}),
    Case("others on each, chained", "q,r", "a,b", {"a": {QUERY: "q"}, "b": {QUERY: "r"}},
         on_conflict="chain"),
    Case("others on each, an error", 400, "a,b", {"a": {QUERY: "q"}, "b": {QUERY: "r"}},
         on_conflict="error"),
    Case("one on one of two", "", "a,b", {"a": {QUERY: "q"}}),
    Case("one on one of two, chained", "q", "a,b", {"a": {QUERY: "q"}}, on_conflict="chain"),
    Case("search.default is a query's", "q", attached={"a": {SEARCH: "q"}}),
    Case("search.default is a result's", " s", attached={"a": {SEARCH: "s"}}),
    Case("the phase's own goes first", "r", attached={"a": {SEARCH: "q", QUERY: "r"}}),
    Case("the backend's own", "", attached={"a": {SEARCH: "_backend"}}),
    Case("a document pipeline is none of a read", "", attached={"a": {DOCUMENT: "u"}}),
    Case("another type than its setting's", "", attached={"a": {QUERY: "s"}}),
    Case("one that is gone", "", attached={"a": {QUERY: "gone"}}),
    # named on the request
    Case("named", "q", asked="q"),
    Case("named in place of the attached", "r", attached={"a": BOTH}, asked="r"),
    Case("several, in order", "r,q s", asked="r,s,q"),
    Case("_none", "", attached={"a": BOTH}, asked="_none"),
    Case("_none among others", 400, asked="q,_none"),
    Case("no name", 400, asked=","),
    Case("an unknown name", MissingError, asked="unknown"),
    Case("one of another type", 400, asked="u"),
    Case("named, of a phase the endpoint lacks", "", asked="s", phases=("query",)),
    Case("by header", "q", asked="q", header=True),
    Case("by header, of another type too", "q", attached={"a": BOTH}, asked="u,q", header=True),
    Case("by header, of another type alone", "q s", attached={"a": BOTH}, asked="u", header=True),
    Case("by header, _none", "", attached={"a": BOTH}, asked="_none", header=True),
    # final ones
    Case("final behind the default", "q,r", attached={"a": {QUERY: "q", FINAL_QUERY: "r"}}),
    Case("final behind the named", "q,r", attached={"a": {FINAL_QUERY: "r"}}, asked="q"),
    Case("final in spite of _none", "r t", asked="_none",
         attached={"a": {FINAL_QUERY: "r", FINAL_RESULT: "t"}}),
    Case("final of every entry that fits", "q,r", attached={"*": {FINAL_QUERY: "q"},
                                                            "a": {FINAL_QUERY: "r"}}),
    Case("final of all targets", "q,r", "a,b", {"a": {FINAL_QUERY: "q"}, "b": {FINAL_QUERY: "r"}}),
    Case("final of the alias", "r", "both", {"both": {FINAL_QUERY: "r"}}),
    Case("final of an index behind an alias", "r", "both", {"b": {FINAL_QUERY: "r"}}),
    Case("final of another index", "", attached={"b": {FINAL_QUERY: "r"}}),
    Case("final that is gone", StageError, attached={"a": {FINAL_QUERY: "gone"}}),
    Case("final of a pattern, by a pattern", "r", "a*", {"ab": {FINAL_QUERY: "r"}}),
]  # fmt: skip


def outcome(queries: Any, results: Any) -> str:
    named = [",".join(p.name for p in chosen) for chosen in (queries, results)]
    return " ".join(named).rstrip()


@pytest.mark.parametrize("case", READS, ids=lambda case: case.says)
async def test_reads(
    registered: Core, backend: ScriptedBackend, open_upstream: OpenUpstream, case: Case
) -> None:
    """Named pipelines run in place of defaults, and final ones always, last and once."""
    selector = await selector_of(
        registered, backend, open_upstream, case.attached, case.on_conflict
    )
    asked = None if case.asked is None else Asked(case.asked, case.header)

    async def select() -> str:
        names = tuple(case.names.split(","))
        selection = await selector.for_search(names, asked, expand=case.expand, phases=case.phases)
        return outcome(selection.query, selection.result)

    # What was worked out once is the same the second time.
    for _ in range(2):
        if isinstance(case.runs, str):
            assert await select() == case.runs
        elif isinstance(case.runs, int):
            with pytest.raises(ErrorResponse) as refused:
                await select()
            assert refused.value.status == case.runs
        else:
            with pytest.raises(case.runs):
                await select()


@dataclass
class Write:
    """What is attached and asked for, the pipelines that run, and what is left for the backend."""

    says: str
    runs: str | int
    left: str | None = None
    attached: dict[str, str] = field(default_factory=dict)
    asked: str | None = None
    header: str | None = None


WRITES = [
    Write("nothing attached", ""),
    Write("attached", "u", attached={DOCUMENT: "u"}),
    Write("a read's", "", attached={QUERY: "q", RESULT: "s"}),
    Write("named", "v", attached={DOCUMENT: "u"}, asked="v"),
    Write("named, of another type", 400, asked="q"),
    Write("the backend's alone", "u", "ingest", {DOCUMENT: "u"}, asked="ingest"),
    Write("ours and the backend's", "v", "ingest", {DOCUMENT: "u"}, asked="v,ingest"),
    Write("_none, which the backend reads too", "", "_none", {DOCUMENT: "u"}, asked="_none"),
    Write("by header", "v", attached={DOCUMENT: "u"}, header="v"),
    Write("by header, of another type", "u", attached={DOCUMENT: "u"}, header="q"),
    Write("by header, _none", "", attached={DOCUMENT: "u"}, header="_none"),
    Write("a parameter before the header", "v", header="u", asked="v"),
    Write("final behind the default", "u,v", attached={DOCUMENT: "u", FINAL_DOCUMENT: "v"}),
    Write("final behind the named", "u,v", attached={FINAL_DOCUMENT: "v"}, asked="u"),
    Write("final in spite of _none", "v", "_none", {FINAL_DOCUMENT: "v"}, asked="_none"),
    Write("final beside an ingest pipeline", "v", "ingest", {FINAL_DOCUMENT: "v"}, asked="ingest"),
]


@pytest.mark.parametrize("case", WRITES, ids=lambda case: case.says)
async def test_writes(
    registered: Core, backend: ScriptedBackend, open_upstream: OpenUpstream, case: Write
) -> None:
    """Of the names that `pipeline` has, ours are run and the rest is left for the backend."""
    selector = await selector_of(registered, backend, open_upstream, {"a": case.attached})
    header = None if case.header is None else Asked(case.header, by_header=True)
    if isinstance(case.runs, int):
        with pytest.raises(ErrorResponse) as refused:
            await selector.for_document("a", case.asked, header, [])
        assert refused.value.status == case.runs
        return
    chosen, left = await selector.for_document("a", case.asked, header, [])
    assert (",".join(p.name for p in chosen), left) == (case.runs, case.left)


@pytest.mark.parametrize(
    ("names", "phases", "refused"),
    [
        ("a", ("query",), True),
        ("a", ("result",), False),
        ("a", ("result", "query"), True),
        ("a", (), False),
        ("b", ("query",), False),
        ("one", ("query",), True),
        ("both", ("query",), True),
        ("a*", ("query",), True),
        ("b*", ("query",), False),
        ("gone", ("query",), False),
    ],
)
async def test_bypasses(
    registered: Core,
    backend: ScriptedBackend,
    open_upstream: OpenUpstream,
    names: str,
    phases: tuple[Phase, ...],
    refused: bool,
) -> None:
    """What would get past a final pipeline of its target is a 403 that names the pipeline."""
    selector = await selector_of(registered, backend, open_upstream, {"a": {FINAL_QUERY: "r"}})
    if not refused:
        await selector.check_bypass((names,), phases, "GET /a/_new")
        return
    with pytest.raises(ErrorResponse) as error:
        await selector.check_bypass((names,), phases, "GET /a/_new")
    assert (error.value.status, error.value.extra) == (403, {"pipeline": "r"})
    assert "[GET /a/_new] would get past the final query pipeline [r]" in error.value.reason


async def test_a_conflict_is_reported_each_time(
    registered: Core, backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """With the targets and their pipelines, and it is counted."""
    attached = {"a": {QUERY: "q"}}
    selector = await selector_of(registered, backend, open_upstream, attached)
    for times in (1, 2):
        selection = await selector.for_search(("a", "b"), None)
        assert selection.warnings == [
            "the targets of [a,b] have different query pipelines: [q], none;"
            " none was run (on_conflict = off)"
        ]
        assert selector.conflicts == times


async def test_a_change_is_in_force_at_once(
    registered: Core, backend: ScriptedBackend, open_upstream: OpenUpstream
) -> None:
    """What was worked out before it is not used again; what names mean is not asked again."""
    selector = await selector_of(registered, backend, open_upstream, {"a": {QUERY: "q"}})
    first = await selector.for_search(("a",), None)
    assert selector.known(("a",), None) == first
    registered.registry.change(registered.registry.udfs, {}, {"a": {QUERY: "r"}})
    assert selector.known(("a",), None) is None
    second = await selector.for_search(("a",), None)
    assert [outcome(each.query, each.result) for each in (first, second)] == ["q", "r"]
    assert len(backend.targets) == 1
