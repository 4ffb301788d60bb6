"""The registry while what is defined and attached changes, all of it at once."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.definitions.package import Package
from pipelines.definitions.pipeline import read_pipeline
from pipelines.definitions.udf import UdfRegistry, UdfVersion, version_of
from pipelines.errors import StageError
from pipelines.execution.plan import CompiledPipeline
from pipelines.stages import KINDS
from tests.pipelines.conftest import RAISES, SAME, Core, stage
from tests.pipelines.test_registry import QUERY, found, names, versioned


@dataclass(frozen=True)
class Stored:
    """A pipeline as it lies in the store."""

    name: str
    definition: Mapping[str, Any]
    revision: int = 7


def stored(name: str, **changed: Any) -> Stored:
    return Stored(name, {"name": name, "type": "query", "stages": [stage("u")], **changed})


def change(
    core: Core, pipelines: list[Stored], udfs: UdfRegistry, *gone: str, **attached: str | None
) -> None:
    """Take pipelines in, and others out, and attach to indices."""
    registry = core.registry
    compiled: dict[str, CompiledPipeline | None] = dict.fromkeys(gone)
    for each in pipelines:
        definition = read_pipeline(each.definition, KINDS, name=each.name)
        compiled[each.name] = registry.renewed(definition, each.revision, udfs)
    settings = {name: {QUERY: value} if value else None for name, value in attached.items()}
    registry.change(udfs, compiled, settings)


async def test_a_change_is_in_force_at_once(core: Core) -> None:
    """What was there before is gone, with its figures; those of what stays are kept."""
    core.udf("same", SAME)
    core.pipeline("same", name="gone")
    core.pipeline("same", name="stays")
    for name in ("gone", "stays"):
        await core.run(core.registry.get(name))
    udfs = UdfRegistry()
    udfs.put(Package(name="u", version="1", source=versioned("1")))
    change(core, [stored("stays"), stored("new")], udfs, "gone", i="new")
    assert names(core.registry.all()) == ["new", "stays"]
    assert (core.registry.get("new").revision, found(core, "i")) == (7, "new")
    assert core.registry.udfs.names() == ["u"]
    run = await core.run(core.registry.get("new"))
    assert run.payload.data == {"version": "1"}
    assert core.registry.stats("stays").as_dict()["count"] == 1
    change(core, [stored("gone")], udfs, i=None)
    assert core.registry.stats("gone").as_dict()["count"] == 0
    assert found(core, "i") is None


async def test_a_missing_package_is_the_stages_failure(core: Core) -> None:
    """Whether the UDF is unknown, or known and its package cannot be had; the others run."""
    udfs = UdfRegistry()
    change(core, [stored("p")], udfs)
    run = await core.run(core.registry.get("p"))
    assert isinstance(run.error, StageError)
    assert (run.error.kind, "does not exist" in run.error.reason) == ("load", True)
    udfs.know(UdfVersion(name="u", version="1", digest="0"))
    change(core, [stored("p")], udfs)
    run = await core.run(core.registry.get("p"))
    assert isinstance(run.error, StageError)
    assert run.error.reason.endswith("udf [u@1] cannot be read from the store")


def test_a_package_is_held_by_who_runs_it(core: Core) -> None:
    """A version that nothing runs takes no memory."""
    udfs = UdfRegistry()
    package = Package(name="u", version="1", source=versioned("1"))
    known = version_of(package)
    udfs.know(known, package)
    change(core, [stored("p")], udfs)
    del package
    assert udfs.package(known) is not None
    change(core, [], udfs, "p")
    gc.collect()
    assert udfs.package(known) is None


async def test_a_run_that_is_on_ends_with_the_pipeline_it_began_with(core: Core) -> None:
    """Replacing, or taking it out, does not touch what is compiled."""
    core.udf("u", versioned("1"), "1")
    old = core.pipeline("u")
    change(core, [], UdfRegistry(), "p")
    assert (await core.run(old)).payload.data == {"version": "1"}


def kept(core: Core, *pipelines: Stored, source: str = SAME, version: str = "1") -> bool:
    """Whether replacing the store left what was compiled of the first pipeline as it was."""
    before = core.registry.find(pipelines[0].name)
    udfs = UdfRegistry()
    for each in {"1", version}:
        udfs.put(Package(name="u", version=each, source=SAME if each != version else source))
    change(core, list(pipelines), udfs)
    return core.registry.find(pipelines[0].name) is before


def test_what_is_the_same_is_not_compiled_again(core: Core) -> None:
    """Neither after its own write nor after that of another; a change of any part of it is seen."""
    assert not kept(core, stored("one"))
    assert kept(core, stored("one"))
    assert kept(core, stored("one"), stored("other"))
    for changed in (
        stored("one", description="new"),
        Stored("one", stored("one").definition, revision=8),
    ):
        assert not kept(core, changed)
        assert kept(core, changed)
        assert not kept(core, stored("one"))


def test_another_udf_is_compiled_again(core: Core) -> None:
    """A new version where the latest is asked for, and other content of the same version."""
    assert not kept(core, stored("one"))
    assert not kept(core, stored("one"), version="2")
    assert kept(core, stored("one"), version="2")
    assert not kept(core, stored("one"), version="2", source=RAISES)


def test_a_missing_udf_is_looked_for_again(core: Core) -> None:
    """Its stage gives the reason as it is now, and runs once the UDF is there."""
    assert not kept(core, stored("one"))
    change(core, [stored("one")], UdfRegistry())
    unusable = core.registry.get("one")
    change(core, [stored("one")], UdfRegistry())
    assert core.registry.get("one") is not unusable
    assert not kept(core, stored("one"))
