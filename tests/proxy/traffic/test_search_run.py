"""The search run: pipelines around whatever asks the backend, for one search or several."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from pipelines.definitions.pipeline import PipelineDefinition
from pipelines.errors import StageError
from pipelines.execution.executor import Executor
from pipelines.execution.plan import CompiledPipeline, Stages, Step
from pipelines.execution.scope import Scope
from pipelines.execution.stats import Stats
from pipelines.payload import Payload
from proxy.http.errors import ErrorResponse
from proxy.traffic.runs import Runs
from proxy.traffic.search_run import Found, SearchRun, run_together

AT_ONCE = 8

REQUEST = Payload.of({"query": {"match_all": {}}})
RESPONSE = Payload.of({"hits": {"hits": []}})


@dataclass
class Marks:
    """A stage that adds a mark to what passes; one named "bad" fails."""

    mark: str

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        if self.mark == "bad":
            raise StageError("unavailable", "no luck")
        scope.state = {**scope.state, self.mark: True}
        marks = [*payload.data.get("marks", []), self.mark]
        return Payload.of({**payload.data, "marks": marks})._replace(changed=True)


def pipeline(mark: str, type: str, on_error: str = "fail") -> CompiledPipeline:
    definition = PipelineDefinition(
        name=mark,
        version="1.0.0",
        type=type,  # type: ignore[arg-type]
        description="",
        on_error=on_error,  # type: ignore[arg-type]
        timeout_ms=5000,
        stages=(),
        applies_to=("search",),
        on_update="upsert",
        dead_letter_index=None,
        source={},
    )
    step = Step("s", Marks(mark), timeout_ms=5000)
    return CompiledPipeline(definition, 1, Stages((step,), 5000))


def runs(stats: Stats) -> Runs:
    return Runs(Executor(stats), index="i", headers={}, request_id="r")


@dataclass(slots=True, kw_only=True)
class Reply(Found):
    """What a test's backend returned."""

    released: list[bool] = field(default_factory=list)

    def release(self) -> None:
        self.released.append(True)


async def returns(request: Payload) -> Reply:
    """A backend that returns the request's marks in its response."""
    marks = request.data.get("marks", [])
    return Reply(request, Payload.of({**RESPONSE.data, "marks": marks}))


async def test_pipelines_run_around_what_asks() -> None:
    """Query pipelines, the backend, result pipelines; state goes from the first to the last."""
    stats = Stats()
    search = SearchRun(
        (pipeline("q1", "query"), pipeline("q2", "query")), (pipeline("r", "result"),), REQUEST
    )
    journal = runs(stats)
    found = await search.run(journal, returns)
    assert found.payload is not None
    assert found.payload.data["marks"] == ["q1", "q2", "r"]
    assert found.request.data["marks"] == ["q1", "q2"]
    assert journal.state == {"q1": True, "q2": True, "r": True}
    assert {name: each.outcomes["done"] for name, each in stats.items()} == {
        "q1": 1,
        "q2": 1,
        "r": 1,
    }


async def test_a_search_can_be_run_twice() -> None:
    """Each run begins with the request as it came, whatever asked before."""
    stats = Stats()
    search = SearchRun((pipeline("q", "query"),), (), REQUEST)
    first, second = await asyncio.gather(
        search.run(runs(stats), returns), search.run(runs(stats), returns)
    )
    assert first.request == second.request
    assert first.request.data["marks"] == ["q"]
    assert dict(stats.items())["q"].outcomes["done"] == 2


async def test_without_pipelines_the_search_goes_as_it_came() -> None:
    """The very request; what was found is not touched."""
    found = await SearchRun((), (), REQUEST).run(runs(Stats()), returns)
    assert found.request is REQUEST
    assert found.payload is not None
    assert found.payload.changed is False


@pytest.mark.parametrize("phase", ["query", "result"])
async def test_a_pipeline_that_fails_ends_the_search(phase: str) -> None:
    """Before the backend was asked, or with its response released; what changed it is counted."""
    stats, asked = Stats(), []
    bad = (pipeline("bad", phase),)
    search = SearchRun(
        (pipeline("q", "query"), *bad) if phase == "query" else (pipeline("q", "query"),),
        bad if phase == "result" else (),
        REQUEST,
    )

    async def ask(request: Payload) -> Reply:
        asked.append(reply := await returns(request))
        return reply

    with pytest.raises(ErrorResponse) as caught:
        await search.run(runs(stats), ask)
    assert (caught.value.status, caught.value.extra["pipeline"]) == (500, "bad")
    assert [reply.released for reply in asked] == ([] if phase == "query" else [[True]])
    assert dict(stats.items())["q"].outcomes["done"] == 1


async def test_what_cannot_be_read_has_no_result_pipelines() -> None:
    """Whoever asked notes it; the run leaves the response alone."""

    async def ask(request: Payload) -> Reply:
        return Reply(request)

    search = SearchRun((), (pipeline("bad", "result"),), REQUEST)
    assert (await search.run(runs(Stats()), ask)).payload is None


@dataclass
class Item:
    """One of several searches; `name` "bad" has a query pipeline that fails."""

    name: str
    runs: Runs
    sent: Payload | None = None
    error: ErrorResponse | None = None
    marks: list[str] = field(default_factory=list)


@pytest.mark.parametrize("count", [1, AT_ONCE, AT_ONCE + 1, 50])
async def test_searches_asked_together_fail_alone(count: int) -> None:
    """All query pipelines, one request, all result pipelines; a few of each at once."""
    stats, order, now, most = Stats(), [], 0, 0
    items = [Item(name, runs(stats)) for name in ["bad", *["good"] * count]]

    async def before(item: Item) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        search = SearchRun((pipeline(item.name, "query"),), (pipeline("r", "result"),), REQUEST)
        try:
            item.sent = await search.before(item.runs)
        except ErrorResponse as error:
            item.error = error
        order.append("before")
        now -= 1

    async def ask() -> str:
        order.append("ask")
        return "asked"

    async def after(asked: str, item: Item) -> None:
        order.append("after")
        if item.sent is not None:
            search = SearchRun((), (pipeline("r", "result"),), REQUEST)
            payload = await search.after(item.runs, RESPONSE, item.sent)
            item.marks = payload.data["marks"]

    assert await run_together(items, before, ask, after, at_once=AT_ONCE) == "asked"
    assert order == ["before"] * (count + 1) + ["ask"] + ["after"] * (count + 1)
    assert most == min(AT_ONCE, count + 1)
    assert [item.error is not None for item in items] == [True] + [False] * count
    assert [item.marks for item in items] == [[]] + [["r"]] * count
    assert dict(stats.items())["good"].outcomes["done"] == count
