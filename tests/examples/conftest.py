"""A pool of real sandboxes for the examples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from pipelines.wasm import Runtime
from pipelines.wasm.pool import SandboxPool


@pytest.fixture(scope="session")
def runtime() -> Iterator[Runtime]:
    opened = Runtime.open()
    yield opened
    opened.close()


@pytest.fixture
async def pool(runtime: Runtime) -> AsyncIterator[SandboxPool]:
    made = SandboxPool(runtime, threads=1, load_timeout_ms=20_000)
    yield made
    await made.close()
