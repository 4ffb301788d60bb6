"""Pools of real sandboxes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pipelines.wasm import Runtime
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.declaring import Declared
from tests.pipelines.wasm.udfs import Runner


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
