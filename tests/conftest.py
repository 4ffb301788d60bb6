"""What all tests share: real backends, one compiled sandbox runtime, proxies on demand."""

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import pytest

from pipelines.stages import KINDS
from pipelines.stages.kind import Kind
from pipelines.wasm import Runtime, build
from pipelines.wasm.pool import SandboxPool
from proxy.app.assembly import open_proxy
from proxy.config.settings import load
from proxy.embedded import ClusterOptions, EmbeddedCluster
from proxy.server.server import ProxyServer
from tests.backends import running
from tests.client import Client

_numbers = itertools.count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Build the sandbox before any test's clock runs: once a machine it takes a while."""
    wanted = any("runtime" in getattr(item, "fixturenames", ()) for item in items)
    if wanted and not config.option.collectonly:
        build()


@pytest.fixture(scope="session")
def opensearch() -> Iterator[EmbeddedCluster]:
    """A real OpenSearch for the whole session, on a free port."""
    with running(ClusterOptions(port=0)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def elasticsearch() -> Iterator[EmbeddedCluster]:
    """A real Elasticsearch for the whole session; it runs on a full JDK only."""
    with running(ClusterOptions(port=0, distribution="elasticsearch")) as cluster:
        yield cluster


@pytest.fixture(params=["opensearch", "elasticsearch"])
def each_backend(request: pytest.FixtureRequest) -> EmbeddedCluster:
    """Either backend, one after the other."""
    cluster = request.getfixturevalue(request.param)
    assert isinstance(cluster, EmbeddedCluster)
    return cluster


@pytest.fixture(scope="session")
def runtime() -> Iterator[Runtime]:
    """The sandbox runtime, from the cache if it was built before."""
    runtime = Runtime.open()
    yield runtime
    runtime.close()


@pytest.fixture
async def patient_pool(runtime: Runtime) -> AsyncIterator[SandboxPool]:
    """A pool of sandboxes that is patient with a busy machine."""
    pool = SandboxPool(runtime, threads=1, load_timeout_ms=20_000)
    yield pool
    await pool.close()


@pytest.fixture
def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def index_name() -> str:
    """An index name no other test uses."""
    return f"test-{next(_numbers)}"


@pytest.fixture
async def direct(opensearch: EmbeddedCluster) -> AsyncIterator[Client]:
    """A client of the backend itself."""
    async with aiohttp.ClientSession(opensearch.url) as session:
        yield Client(session)


StartOn = Callable[..., Awaitable[ProxyServer]]
StartProxy = Callable[..., Awaitable[ProxyServer]]


@pytest.fixture
async def start_on(runtime: Runtime) -> AsyncIterator[StartOn]:
    """Starts proxies in front of a cluster, as ``start_proxy`` does in front of OpenSearch."""
    used: set[str] = set()
    async with AsyncExitStack() as stack:

        async def start(
            cluster: EmbeddedCluster, *, kinds: Mapping[str, Kind] = KINDS, **values: Any
        ) -> ProxyServer:
            used.add(cluster.url)
            given = {"backend": (cluster.url,), "listen": "127.0.0.1:0", **values}
            settings = load(given, {})
            return await stack.enter_async_context(open_proxy(settings, runtime, kinds=kinds))

        yield start
    for url in used:
        async with aiohttp.ClientSession(url) as session:
            await Client(session).delete("/.querymill?ignore_unavailable=true")


@pytest.fixture
def start_proxy(opensearch: EmbeddedCluster, start_on: StartOn) -> StartProxy:
    """Starts proxies with the settings given; all end, and the store is emptied, with the test."""
    return partial(start_on, opensearch)


@asynccontextmanager
async def connect(server: ProxyServer) -> AsyncIterator[Client]:
    """A client of a started proxy."""
    async with aiohttp.ClientSession(f"http://{server.address}") as session:
        yield Client(session)


@pytest.fixture
async def proxy(start_proxy: StartProxy) -> AsyncIterator[Client]:
    """A client of a proxy with default settings in front of the real OpenSearch."""
    async with connect(await start_proxy()) as client:
        yield client
