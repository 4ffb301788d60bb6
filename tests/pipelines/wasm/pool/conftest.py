"""Pools with settings of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipelines.wasm import Runtime
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.udfs import Runner

Pools = Callable[..., Any]


@pytest.fixture
def pools(runtime: Runtime) -> Pools:
    """Makes pools that are patient with a busy machine, and leave no sandbox behind."""

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[Runner]:
        pool = SandboxPool(runtime, **{"load_timeout_ms": 20_000, **settings})
        yield Runner(pool)
        await pool.close()
        assert pool.stats()["live"] == 0

    return opened
