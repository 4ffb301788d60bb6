"""The registry: what is defined and attached, compiled and found again."""

from __future__ import annotations

import pytest

from pipelines.context import PHASES, Phase
from pipelines.errors import ConflictError, DefinitionError, MissingError, StageError
from pipelines.execution.plan import CompiledPipeline
from tests.pipelines.conftest import RAISES, SAME, Core, stage

QUERY = "index.query.default_pipeline"
RESULT = "index.result.default_pipeline"
SEARCH = "index.search.default_pipeline"
FINAL = "index.query.final_pipeline"


def versioned(number: str) -> str:
    return f"def query(request, context): return {{'version': {number!r}}}"


def names(pipelines: list[CompiledPipeline]) -> list[str]:
    return [pipeline.name for pipeline in pipelines]


def found(core: Core, index: str, phase: Phase = "query") -> str | None:
    pipeline = core.registry.for_index(index, phase)
    return pipeline.name if pipeline else None


@pytest.fixture(autouse=True)
def _same(core: Core) -> None:
    core.udf("same", SAME)


# Definitions


def test_registered_is_found_by_name(core: Core) -> None:
    """With its revision, and the last one registered under a name is the one that counts."""
    first = core.pipeline("same", version="1.0.0")
    assert core.registry.get("p") is first
    definition = core.registry.read({**first.definition.source, "version": "2.0.0"})
    second = core.put(definition, revision=2)
    assert core.registry.get("p") is core.registry.find("p") is second
    assert (second.definition.label, second.revision) == ("p@2.0.0", 2)


def test_a_name_nobody_registered_is_missing(core: Core) -> None:
    """`get` says what to do about it, `find` gives None."""
    with pytest.raises(MissingError, match=r"pipeline \[p\] does not exist; create it with PUT"):
        core.registry.get("p")
    assert core.registry.find("p") is None


def test_all_are_listed_by_name_and_by_type(core: Core) -> None:
    """In alphabetical order, whatever the order they came in."""
    core.udf("any", "def udf_main(): return {}")
    core.pipeline("any", name="c")
    core.pipeline("any", name="a", type="result")
    assert not core.registry.has_document_pipelines
    core.pipeline("any", name="d", type="document")
    core.pipeline("any", name="b")
    assert core.registry.has_document_pipelines
    assert names(core.registry.all()) == ["a", "b", "c", "d"]
    assert names(core.registry.all("query")) == ["b", "c"]
    assert names(core.registry.all("document")) == ["d"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"udf_name": "nobody"}, "stages[0].config.udf_name: udf [nobody] does not exist"),
        ({"udf_name": "same", "udf_version": "2"}, "stages[0].config.udf_version: udf [same@2]"),
    ],
)
def test_an_unknown_udf_is_refused_by_its_path(
    core: Core, config: dict[str, str], message: str
) -> None:
    """At the upload of the pipeline, not when it runs."""
    definition = {"type": "query", "stages": [{"name": "s", "type": "python", "config": config}]}
    with pytest.raises(DefinitionError) as caught:
        core.registry.read(definition, name="p")
    assert str(caught.value).startswith(message)


def test_a_udf_made_for_another_type_is_refused(core: Core) -> None:
    """Its `category` header decides; one without a category fits everywhere."""
    core.udf("results", "# @udf: category=result_pipeline\ndef udf_main(): return {}")
    assert core.pipeline("results", type="result")
    with pytest.raises(DefinitionError) as caught:
        core.pipeline("same", "results", type="query")
    assert caught.value.path == "stages[1].config.udf_name"
    assert "made for result pipelines, this is a query one" in caught.value.reason


def test_an_attached_pipeline_keeps_its_type(core: Core) -> None:
    """Until it is detached; any other change is welcome."""
    core.udf("any", "def udf_main(): return {}")
    core.pipeline("any")
    core.attach("i", {QUERY: "p"})
    core.pipeline("any", version="2.0.0")
    with pytest.raises(ConflictError, match="attached as a query pipeline and cannot become a res"):
        core.pipeline("any", type="result")
    core.attach("i", {QUERY: None})
    assert core.pipeline("any", type="result").definition.type == "result"


def test_one_that_was_taken_out_is_gone_with_its_figures(core: Core) -> None:
    """Another of that name begins with nothing counted."""
    core.pipeline("same")
    core.registry.stats("p").outcomes["done"] += 1
    core.remove("p")
    assert core.registry.find("p") is None
    with pytest.raises(MissingError):
        core.registry.stats("p")
    core.pipeline("same")
    assert core.registry.stats("p").as_dict()["count"] == 0


def test_an_attached_pipeline_is_in_use(core: Core) -> None:
    """The refusal names where it is attached; once it is taken out all the same nothing runs."""
    core.pipeline("same")
    core.registry.check_unused("p")
    core.attach("b-*", {QUERY: "p"})
    core.attach("a", {SEARCH: "p"})
    with pytest.raises(ConflictError, match=r"pipeline \[p\] is attached to a, b-\*; detach"):
        core.registry.check_unused("p")
    core.remove("p")
    assert (found(core, "a"), found(core, "b-1")) == (None, None)


# UDFs


async def test_a_new_version_is_picked_up_where_the_latest_is_asked_for(core: Core) -> None:
    """From the next run on; a stage that names its version keeps it; figures go on."""
    core.udf("u", versioned("1"), "1")
    core.pipeline("u", name="latest")
    core.pipeline(stage("u", config={"udf_version": "1"}), name="pinned")
    others = core.pipeline("same", name="other")
    for expected in ("1", "2"):
        run = await core.run(core.registry.get("latest"))
        assert run.payload.data == {"version": expected}
        run = await core.run(core.registry.get("pinned"))
        assert run.payload.data == {"version": "1"}
        core.udf("u", versioned("2"), "2")
        core.reread()
    assert core.registry.stats("latest").as_dict()["count"] == 2
    assert core.registry.get("other") is others


async def test_a_stage_whose_udf_is_gone_fails_with_the_reason(core: Core) -> None:
    """The other stages are none the worse for it."""
    core.udf("u", versioned("1"))
    core.pipeline("same", stage("u", on_failure="continue"))
    core.registry.udfs.remove("u", ["1.0.0"])
    core.reread()
    run = await core.run(core.registry.get("p"), {"size": 1})
    assert (run.outcome, run.payload.data) == ("degraded", {"size": 1})
    assert isinstance(run.error, StageError)
    assert (run.error.kind, run.error.stage) == ("load", "u")
    assert "udf [u] does not exist; upload it with PUT /_udf/u" in run.error.reason


def test_the_users_of_a_udf(core: Core) -> None:
    """All of them, or those that name one version."""
    core.udf("u", versioned("1"), "1")
    core.pipeline("u", name="latest")
    core.pipeline("same", stage("u", config={"udf_version": "1"}), name="pinned")
    core.pipeline("same", name="other")
    assert core.registry.udf_users("u") == ["latest", "pinned"]
    assert core.registry.udf_users("u", "1") == ["pinned"]
    assert core.registry.udf_users("u", "latest") == ["latest"]


# Attachments


def test_attaching_and_detaching(core: Core) -> None:
    """What is attached to an expression is in force at once; nothing attached is no entry."""
    core.udf("any", "def udf_main(): return {}")
    core.pipeline("any", name="q")
    core.pipeline("any", name="r", type="result")
    core.attach("i", {QUERY: "q", RESULT: "r"})
    assert (found(core, "i"), found(core, "i", "result")) == ("q", "r")
    assert found(core, "i", "document") is None
    core.attach("i", {QUERY: None})
    assert (found(core, "i"), found(core, "i", "result")) == (None, "r")
    core.attach("i", {RESULT: None})
    assert not core.registry.attachments


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        (RESULT, "p", "[p] is a query pipeline, not a result pipeline"),
        (QUERY, "nobody", "pipeline [nobody] does not exist"),
        (SEARCH, "nobody", "pipeline [nobody] does not exist"),
        (FINAL, "_none", "[_none] is for defaults; a final pipeline always runs"),
        (QUERY, "p", None),
        (SEARCH, "p", None),
        (SEARCH, "_backend", None),
        (RESULT, "_none", None),
    ],
)
def test_what_cannot_be_attached_is_refused(
    core: Core, setting: str, value: str, reason: str | None
) -> None:
    """With the setting at fault."""
    core.pipeline("same")
    if reason is None:
        core.registry.check_attachment(setting, value)
        return
    with pytest.raises(DefinitionError) as caught:
        core.registry.check_attachment(setting, value)
    assert caught.value.path == setting
    assert caught.value.reason.startswith(reason)


def test_the_most_specific_attachment_is_in_force(core: Core) -> None:
    """The index's own, then the pattern with most letters; `_none` is a choice like any other."""
    for name in ("all", "logs", "errors", "own"):
        core.pipeline("same", name=name)
    core.attach("*", {QUERY: "all"})
    core.attach("logs-*", {QUERY: "logs"})
    core.attach("logs-error-*", {QUERY: "errors"})
    core.attach("logs-error-1", {QUERY: "own"})
    core.attach("logs-quiet", {QUERY: "_none"})
    assert [
        found(core, index)
        for index in ("products", "logs-1", "logs-error-2", "logs-error-1", "logs-quiet")
    ] == ["all", "logs", "errors", "own", None]


def test_the_backends_own_setting_takes_a_pipeline_of_any_type(core: Core) -> None:
    """Its type says what it does; the setting of the phase itself comes first."""
    core.udf("any", "def udf_main(): return {}")
    for phase in PHASES:
        core.pipeline("any", name=f"my-{phase}", type=phase)
        core.attach(phase, {SEARCH: f"my-{phase}"})
        for other in PHASES:
            assert found(core, phase, other) == (f"my-{phase}" if other == phase else None)
    core.attach("query", {QUERY: "_none"})
    assert found(core, "query") is None


def test_an_attachment_of_the_wrong_type_is_not_in_force(core: Core) -> None:
    """As it can be found in the store when two proxies wrote at once."""
    core.store_attachment("i", {RESULT: "p"})
    core.pipeline("same")
    assert found(core, "i", "result") is None


async def test_a_final_pipeline_fails_closed(core: Core) -> None:
    """Whatever its definition says of errors; the same pipeline as a default goes on."""
    core.udf("bad", RAISES)
    core.pipeline(stage("bad", on_failure="continue"), on_error="continue")
    core.attach("i", {QUERY: "p", FINAL: "p"})
    default = core.registry.for_index("i", "query")
    (final,) = core.registry.finals_for("i", "query")
    assert default is not None
    assert (await core.run(default)).outcome == "degraded"
    assert (await core.run(final)).outcome == "failed"


def test_a_final_pipeline_that_is_not_there_stops_everything(core: Core) -> None:
    """No request gets past it for that reason, and it cannot be switched off with `_none`."""
    with pytest.raises(DefinitionError):
        core.attach("i", {FINAL: "_none"})
    core.store_attachment("i", {FINAL: "gone"})
    with pytest.raises(StageError, match=r"the final pipeline \[gone\] of \[i\]"):
        core.registry.finals_for("i", "query")
    assert core.registry.finals_for("other", "query") == []
