"""What a sandbox copies of the snapshot all share, and that the build left nothing in it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pipelines.definitions.package import Package
from pipelines.wasm import Call, Limits, Runtime
from pipelines.wasm.log import RunLog
from pipelines.wasm.sandbox import Sandbox
from tests.pipelines.wasm.udfs import Runner, udf

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

REWRITE = """
import json
def query(request, context):
    text = request["query"]["match"]["title"]
    return {"query": {"bool": {"should": [{"match": {"title": f"{text} {n}"}} for n in "abc"]}}}
"""
# Makes more containers than the collector waits for, and has it look at everything.
CYCLES = """
import gc
def query(request, context):
    for _ in range(5_000):
        some = []
        some.append(some)
    gc.collect()
    return request
"""
CALL = Call(phase="query", payload='{"query":{"match":{"title":"headset"}}}')
MANY = 8


def copied_pages() -> int:
    """Pages of the snapshot that this process has copies of."""
    ours, pages = False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-", line):
            ours = ".cwasm" in line and " rw-p " in line
        elif ours and line.startswith("Private_Dirty:"):
            pages += int(line.split()[1]) // 4
    return pages


@pytest.fixture
def live() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def sandboxes(runtime: Runtime, live: ExitStack, package: Package) -> list[Sandbox]:
    made = []
    for _ in range(MANY):
        sandbox = Sandbox(
            runtime, package, b"{}", memory_mb=64, timeout_ms=20_000, log=RunLog(1000)
        )
        live.enter_context(closing(sandbox))
        made.append(sandbox)
    return made


@pytest.mark.parametrize(("source", "most"), [(REWRITE, 160), (CYCLES, 320)])
def test_pages_of_a_sandbox(runtime: Runtime, live: ExitStack, source: str, most: int) -> None:
    """A small UDF costs well under a megabyte, however often it runs and garbage is collected."""
    before = copied_pages()
    made = sandboxes(runtime, live, udf(source))
    for sandbox in made:
        for _ in range(30):
            sandbox.run(CALL, Limits(timeout_ms=20_000), RunLog(1000))
    assert 0 < (copied_pages() - before) / MANY < most


async def test_nothing_is_left_of_the_build(runner: Runner) -> None:
    """The UDFs that warmed the interpreter up are gone, their source and patterns with them."""
    before = "import gc, linecache, random, re, sys"
    it = await runner.value(
        "[list(linecache.cache), len(re._cache), re._cache2, sys.modules['__udf__'].__dict__"
        " is globals(), gc.get_freeze_count() > 10_000, type(os.environ).__name__]",
        before=before + ", os",
    )
    assert it == [["sample.py"], 0, {}, True, True, "_Environ"]


async def test_a_udf_may_unfreeze(runner: Runner) -> None:
    """Collecting all of the interpreter's own objects leaves it sound."""
    source = """
    import gc, json, re, decimal, dataclasses
    def query(request, context):
        gc.unfreeze()
        found = [gc.collect() for _ in range(3)]
        @dataclasses.dataclass
        class Point:
            x: int
        return {"it": [re.sub("a", "b", "banana"), str(decimal.Decimal("0.1") + 1), Point(1).x]}
    """
    for _ in range(20):
        assert (await runner.run(source)).data["it"] == ["bbnbnb", "1.1", 1]
    assert runner.pool.stats()["trapped"] == 0
