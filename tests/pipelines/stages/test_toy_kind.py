"""A kind of stage is one file: two of them, beside the others, run wherever those run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipelines.definitions.fields import Fields
from pipelines.definitions.pipeline import Reference, StageDefinition, StageReader
from pipelines.errors import DefinitionError, StageError
from pipelines.execution.batch import Batches
from pipelines.execution.breaker import BreakerRules
from pipelines.execution.executor import Run
from pipelines.execution.plan import Stages
from pipelines.execution.run_stages import run_stages
from pipelines.execution.scope import Scope
from pipelines.payload import Document, Payload
from pipelines.stages import KINDS
from pipelines.stages.kind import Kind, Place, Resources
from pipelines.wasm import Runtime
from tests.conftest import StartProxy, connect
from tests.pipelines.conftest import RAISES, STAGE_MS, Core, open_core, stage

# A kind that stands for itself


@dataclass(frozen=True, slots=True)
class UpperConfig:
    """`field` is what is written in capitals."""

    field: str

    @property
    def references(self) -> tuple[Reference, ...]:
        return ()


class UpperKind:
    """Writes all texts of one member of the payload in capitals."""

    def read_config(self, value: object, path: str, reader: StageReader) -> UpperConfig:
        return UpperConfig(Fields(value, path, ("field",)).string("field"))

    def check(self, config: UpperConfig, place: Place, resources: Resources) -> None:
        if place.phase == "query" and config.field != "query":
            raise DefinitionError(f"{place.path}.field", "is [query] in a query pipeline")

    async def inspect(
        self, config: UpperConfig, place: Place, resources: Resources, seen: set[object]
    ) -> None:
        """There is nothing to try."""

    def build(self, config: UpperConfig, timeout_ms: int, resources: Resources) -> UpperStage:
        return UpperStage(config.field)


class UpperStage:
    def __init__(self, field: str) -> None:
        self._field = field

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        if self._field not in payload.data:
            raise StageError("input_type", f"there is no [{self._field}]")
        scope.log.append(f"in capitals: {self._field}")
        scope.state = {**scope.state, "capitals": scope.state.get("capitals", 0) + 1}
        data = {**payload.data, self._field: capitals(payload.data[self._field])}
        return Payload.of(data)._replace(changed=True)


def capitals(value: Any) -> Any:
    match value:
        case str():
            return value.upper()
        case list():
            return [capitals(each) for each in value]
        case dict():
            return {key: capitals(each) for key, each in value.items()}
    return value


# A kind with stages in it


@dataclass(frozen=True, slots=True)
class NestConfig:
    """`stages` run in the place of the stage."""

    stages: tuple[StageDefinition, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(each for stage in self.stages for each in stage.config.references)


class NestKind:
    """Runs the stages in it on a scope of their own."""

    def read_config(self, value: object, path: str, reader: StageReader) -> NestConfig:
        fields = Fields(value, path, ("stages",))
        return NestConfig(reader.stages(fields.array("stages"), fields.path("stages")))

    def check(self, config: NestConfig, place: Place, resources: Resources) -> None:
        resources.check(config.stages, place.inside("stages"))

    async def inspect(
        self, config: NestConfig, place: Place, resources: Resources, seen: set[object]
    ) -> None:
        await resources.inspect(config.stages, place.inside("stages"), seen)

    def build(self, config: NestConfig, timeout_ms: int, resources: Resources) -> NestStage:
        return NestStage(Stages(resources.build(config.stages), timeout_ms))


class NestStage:
    def __init__(self, stages: Stages) -> None:
        self._stages = stages

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        own = scope.fork()
        try:
            return await run_stages(self._stages, payload, own)
        finally:
            scope.join(own)


TOYS: Mapping[str, Kind] = {**KINDS, "upper": UpperKind(), "nest": NestKind()}


def upper(field: str = "query", name: str = "upper", **options: Any) -> dict[str, Any]:
    return {"name": name, "type": "upper", "config": {"field": field}, **options}


def nest(*stages: dict[str, Any], name: str = "nest", **options: Any) -> dict[str, Any]:
    config = {"stages": list(stages)}
    return {"name": name, "type": "nest", "timeout_ms": STAGE_MS, "config": config, **options}


OVERRUNS = 2
ENDLESS = "def query(request, context):\n    while True: pass"
SHOUTS = {"query": {"term": {"title.keyword": "tent"}}}
SHOUTED = {"query": {"term": {"title.keyword": "TENT"}}}


@pytest.fixture
async def toys(runtime: Runtime) -> AsyncIterator[Core]:
    """A core in which pipelines can have stages of the two kinds."""
    async with open_core(runtime, BreakerRules(timeouts=OVERRUNS), TOYS) as core:
        yield core


def reports(run: Run) -> list[tuple[str, str]]:
    return [(report.name, report.outcome) for report in run.stages]


# Reading and checking


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (upper() | {"config": {"field": "query", "fields": 1}}, "stages[0].config.fields: "),
        (upper() | {"config": {}}, "stages[0].config.field: required"),
        (upper("size"), "stages[0].config.field: is [query] in a query pipeline"),
        (nest(), "stages[0].config.stages: has 0 stages; 1 to 50 are allowed"),
        (nest(upper(), upper()), "stages[0].config.stages[1].name: [upper] is the name of an ear"),
        (nest(upper("size")), "stages[0].config.stages[0].config.field: is [query] in a query"),
        (
            nest(upper(), stage("nobody")),
            "stages[0].config.stages[1].config.udf_name: udf [nobody] does not exist",
        ),
        (
            nest(nest(stage("results"))),
            "stages[0].config.stages[0].config.stages[0].config.udf_name: udf [results] is made",
        ),
        (nest({**upper(), "type": "lower"}), "stages[0].config.stages[0].type: "),
    ],
)
def test_what_is_wrong_is_refused_by_its_path(
    toys: Core, given: dict[str, Any], fault: str
) -> None:
    """By the kind itself or by those of the stages in it, wherever they stand."""
    toys.udf("results", "# @udf: category=result_pipeline\ndef udf_main(): return {}")
    with pytest.raises(DefinitionError) as caught:
        toys.registry.read({"type": "query", "stages": [given]}, name="p")
    assert str(caught.value).startswith(fault)


def test_other_kinds_do_not_know_it(core: Core) -> None:
    """It is where it was given, and nowhere else."""
    with pytest.raises(DefinitionError, match=r"stages\[0\].type: \[upper\] is not one of python"):
        core.registry.read({"type": "query", "stages": [upper()]}, name="p")


async def test_what_only_trying_shows_is_seen_inside_too(toys: Core) -> None:
    """With the path of the stage at fault."""
    toys.udf("documents", "def document(doc, context): return doc")
    definition = toys.registry.read(
        {"type": "query", "stages": [nest(upper(), stage("documents"))]}, name="p"
    )
    with pytest.raises(DefinitionError) as caught:
        await toys.registry.compiler.inspect(definition, toys.registry.udfs, set())
    assert caught.value.path == "stages[0].config.stages[1].config.udf_name"


# In the core


async def test_it_runs_beside_others(toys: Core) -> None:
    """It is timed, counted and logged like them, and hands on state as they do."""
    toys.udf("reads", "def query(r, c):\n    return {**r, 'state': c.state}")
    pipeline = toys.pipeline(upper(), "reads")
    with capture_logs() as lines:
        run = await toys.run(pipeline, SHOUTS)
    assert (run.outcome, run.payload.changed) == ("done", True)
    assert run.payload.data == {**SHOUTED, "state": {"capitals": 1}}
    assert reports(run) == [("upper", "success"), ("reads", "success")]
    logged = [(line["stage"], line["udf"], line["message"]) for line in lines]
    assert logged == [("upper", None, "in capitals: query")]
    figures = toys.registry.stats("p").as_dict()["stages"]["upper"]
    assert (figures["count"], figures["success"]) == (1, 1)


async def test_its_failure_is_a_failure_like_any_other(toys: Core) -> None:
    """Tried again, let pass, or the end of the run, as its definition says."""
    run = await toys.run(toys.pipeline(upper(on_failure="retry", retries=2), on_error="fail"))
    assert isinstance(run.error, StageError)
    assert (run.outcome, run.error.kind, run.error.stage) == ("failed", "input_type", "upper")
    assert run.stages[0].tries == 3
    run = await toys.run(toys.pipeline(upper(on_failure="continue")))
    assert (run.outcome, run.payload.changed) == ("degraded", False)


async def test_stages_run_inside_a_stage(toys: Core) -> None:
    """One after the other, with what was written before; all that they write and log goes on."""
    toys.udf("counts", "def query(r, c):\n    log('seen')\n    return {**r, 'was': c.state}")
    inner = nest(upper(name="one"), stage("counts"), upper(name="two"))
    pipeline = toys.pipeline(upper(), inner, upper(name="last"))
    with capture_logs() as lines:
        run = await toys.run(pipeline, SHOUTS)
    assert run.payload.data == {**SHOUTED, "was": {"capitals": 2}}
    assert run.state == {"capitals": 4}
    assert [name for name, _ in reports(run)] == ["upper", "one", "counts", "two", "nest", "last"]
    assert {outcome for _, outcome in reports(run)} == {"success"}
    logged = [(line["stage"], line["udf"]) for line in lines]
    assert logged == [
        ("upper", None),
        ("one", None),
        ("counts", "counts@1.0.0"),
        ("two", None),
        ("last", None),
    ]
    stages = toys.registry.stats("p").as_dict()["stages"]
    assert {name: figures["count"] for name, figures in stages.items()} == dict.fromkeys(
        ("upper", "one", "counts", "two", "nest", "last"), 1
    )


async def test_a_failure_inside_is_its_stages_failure(toys: Core) -> None:
    """What was written before it inside is taken back, and each try begins anew."""
    toys.udf("bad", RAISES)
    failing = nest(upper(name="one"), stage("bad"), on_failure="retry", retries=1, name="twice")
    run = await toys.run(toys.pipeline(upper(), failing, on_error="fail"), SHOUTS)
    assert isinstance(run.error, StageError)
    assert (run.outcome, run.error.kind, run.error.stage) == ("failed", "udf_exception", "twice")
    assert reports(run) == [
        ("upper", "success"),
        *[("one", "success"), ("bad", "failure")] * 2,
        ("twice", "failure"),
    ]
    passing = {**failing, "on_failure": "continue", "retries": 0}
    run = await toys.run(toys.pipeline(upper(), passing), SHOUTS)
    assert (run.outcome, run.payload.data, run.state) == ("degraded", SHOUTED, {"capitals": 1})


async def test_a_failure_that_is_let_pass_inside_is_told(toys: Core) -> None:
    """The run is degraded, whatever comes after it."""
    toys.udf("bad", RAISES)
    inner = nest(stage("bad", on_failure="continue"), upper())
    run = await toys.run(toys.pipeline(inner, upper(name="last")), SHOUTS)
    assert (run.outcome, run.payload.data) == ("degraded", SHOUTED)
    assert isinstance(run.error, StageError)
    assert (run.error.kind, run.error.stage) == ("udf_exception", "bad")


async def test_a_udf_inside_is_a_udf_of_the_pipeline(toys: Core) -> None:
    """It is listed as in use, its newest version is picked up, and one that is gone fails."""
    toys.udf("u", "def query(r, c): return {'version': 1}", "1")
    toys.pipeline(nest(stage("u")))
    assert toys.registry.udf_users("u") == ["p"]
    assert (await toys.run(toys.registry.get("p"))).payload.data == {"version": 1}
    before = toys.registry.get("p")
    toys.reread()
    assert toys.registry.get("p") is before
    toys.udf("u", "def query(r, c): return {'version': 2}", "2")
    toys.reread()
    assert (await toys.run(toys.registry.get("p"))).payload.data == {"version": 2}
    toys.registry.udfs.remove("u", ["1", "2"])
    toys.reread()
    run = await toys.run(toys.registry.get("p"))
    assert isinstance(run.error, StageError)
    assert (run.error.kind, "does not exist" in run.error.reason) == ("load", True)
    toys.udf("u", "def query(r, c): return {'version': 3}", "3")
    toys.reread()
    assert (await toys.run(toys.registry.get("p"))).payload.data == {"version": 3}


async def test_time_inside_is_bounded_by_the_stage_around(toys: Core) -> None:
    """An endless one inside has no more of it."""
    toys.udf("endless", ENDLESS)
    run = await toys.run(toys.pipeline(nest(stage("endless"), timeout_ms=100)))
    assert isinstance(run.error, StageError)
    assert (run.error.kind, run.error.stage) == ("timeout", "nest")


@pytest.mark.parametrize("on_failure", ["abort", "continue"])
async def test_an_overrun_inside_is_told_to_the_breaker(toys: Core, on_failure: str) -> None:
    """Whether it is let pass or not."""
    toys.udf("endless", ENDLESS)
    inner = stage("endless", timeout_ms=50, on_failure=on_failure)
    pipeline = toys.pipeline(nest(inner))
    for _ in range(OVERRUNS):
        assert (await toys.run(pipeline)).outcome == "degraded"
    assert toys.registry.breakers()["p"].state == "open"


# In batches


async def test_documents_are_run_each_by_itself(toys: Core) -> None:
    """A batch has no room where one of the stages takes none."""
    toys.udf("same", "def document(doc, context): return doc")
    batches = Batches(toys.stats)
    for stages, room in [
        ((stage("same"),), True),
        ((stage("same"), upper("title")), False),
        ((nest(stage("same")),), False),
        ((stage("same"), upper("title", enabled=False)), True),
    ]:
        pipeline = toys.pipeline(*stages, type="document")
        assert bool(batches.room([pipeline])) is room
    pipeline = toys.pipeline(upper("title"), nest(stage("same")), type="document")
    for title in ("a", "b"):
        run = await toys.run(pipeline, {"title": title}, toys.context("document"))
        assert run.payload.data == {"title": title.upper()}


async def test_a_batch_goes_past_one_that_is_disabled(toys: Core) -> None:
    """As past any other stage."""
    toys.udf("same", "def document(doc, context): return doc")
    pipeline = toys.pipeline(stage("same"), upper("title", enabled=False), type="document")
    context = toys.context("document")
    run = await Batches(toys.stats).run([pipeline], [Document("1", "{}")], context, lambda: "id")
    assert [type(end) for end in run.ends] == [Document]
    assert toys.registry.stats("p").as_dict()["stages"]["upper"]["skipped"] == 1


# In a whole proxy


async def test_a_whole_proxy_runs_it(start_proxy: StartProxy, index_name: str) -> None:
    """Uploaded, shown, attached, run on searches, documents and bulks, and tried."""
    async with connect(await start_proxy(kinds=TOYS)) as proxy:
        await proxy.put_udf("size", "def query(r, c): return {**r, 'size': 1}")
        asks = {"type": "query", "stages": [nest(upper(), stage("size"))]}
        writes = {"type": "document", "stages": [upper("title")]}
        for name, definition in (("asks", asks), ("writes", writes)):
            assert (await proxy.put(f"/_pipeline/{name}", definition)).status == 200
            shown = (await proxy.get(f"/_pipeline/{name}")).data
            assert definition["stages"] == shown["stages"]
        wrong = {"type": "query", "stages": [nest(upper("size"))]}
        refused = await proxy.put("/_pipeline/wrong", wrong)
        assert (refused.status, refused.error["path"]) == (
            400,
            "stages[0].config.stages[0].config.field",
        )
        await proxy.index(index_name, {"1": {"title": "tent"}})
        await proxy.attach(index_name, query="asks", document="writes")
        body = b'{"index":{"_id":"2"}}\n{"title":"tent"}\n{"index":{"_id":"3"}}\n{"title":"tent"}\n'
        bulk = await proxy.post(f"/{index_name}/_bulk?refresh=true", body)
        assert [item["index"]["status"] for item in bulk.data["items"]] == [201, 201]
        assert (await proxy.get(f"/{index_name}/_source/3")).data == {"title": "TENT"}
        found = await proxy.post(f"/{index_name}/_search", SHOUTS)
        assert found.data["hits"]["total"]["value"] == 2
        assert len(found.ids) == 1
        tried = await proxy.post("/_pipeline/asks/_execute", {"request": SHOUTS})
        assert tried.data["outcome"] == "done", tried.body
        assert [each["name"] for each in tried.data["stages"]] == ["upper", "size", "nest"]
        stats = (await proxy.get("/_pipeline/asks/_stats")).data
        assert "nest" in str(stats)
