"""A real runtime for the whole session, and pools of real sandboxes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from pipelines.wasm import Runtime, build
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.declaring import Declared
from tests.pipelines.wasm.udfs import Runner


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Builds the interpreter before any test's clock runs: once a machine it takes a while."""
    wanted = any("runtime" in getattr(item, "fixturenames", ()) for item in items)
    if wanted and not config.option.collectonly:
        build()


@pytest.fixture(scope="session")
def runtime() -> Iterator[Runtime]:
    runtime = Runtime.open()
    yield runtime
    runtime.close()


@pytest.fixture
async def pool(runtime: Runtime) -> AsyncIterator[SandboxPool]:
    pool = SandboxPool(runtime)
    yield pool
    await pool.close()


@pytest.fixture
def runner(pool: SandboxPool) -> Runner:
    return Runner(pool)


@pytest.fixture
def declared(pool: SandboxPool) -> Declared:
    return Declared(pool)
