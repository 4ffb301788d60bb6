"""Fixtures that several files of flows share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import RawTestServer

from pipelines.wasm import Runtime
from proxy.app.assembly import open_proxy
from proxy.config.settings import load
from proxy.embedded import EmbeddedCluster
from proxy.server.server import ProxyServer
from tests.client import Client
from tests.conftest import StartOn, connect
from tests.flows.async_backend import AsyncBackend
from tests.flows.async_searches import Start
from tests.flows.attaching import CUT, MARK
from tests.flows.trials import ASKED, GROWS, LABEL, PATIENT


@pytest.fixture
async def async_backend(opensearch: EmbeddedCluster) -> AsyncIterator[AsyncBackend]:
    """The state of a backend that has asynchronous searches."""
    async with aiohttp.ClientSession(opensearch.url) as real:
        yield AsyncBackend(real)
        await Client(real).delete("/.querymill?ignore_unavailable=true")


@pytest.fixture
async def start_async(async_backend: AsyncBackend, runtime: Runtime) -> AsyncIterator[Start]:
    """Starts proxies in front of that backend."""
    async with RawTestServer(async_backend.handle) as server, AsyncExitStack() as stack:
        url = str(server.make_url("")).rstrip("/")

        async def start(**values: Any) -> ProxyServer:
            settings = load({"backend": (url,), "listen": "127.0.0.1:0", **values}, {})
            return await stack.enter_async_context(open_proxy(settings, runtime))

        yield start


@pytest.fixture
async def through_async(start_async: Start) -> AsyncIterator[Client]:
    """A client of such a proxy."""
    async with connect(await start_async()) as client:
        yield client


@pytest.fixture
async def shop(proxy: Client, index_name: str) -> str:
    """An index of three documents with a pipeline of each type, and what they are made of."""
    await proxy.put_udf("asked", ASKED)
    await proxy.put_udf("grows", GROWS)
    await proxy.put_udf("label", LABEL)
    await proxy.put_pipeline("wide", "query", "asked", stage=PATIENT)
    await proxy.put_pipeline("grow", "query", "grows", stage=PATIENT)
    await proxy.put_pipeline("narrow", "result", "asked", stage=PATIENT)
    await proxy.put_pipeline("label", "document", "label", stage=PATIENT)
    await proxy.index(index_name, {str(n): {"title": f"tent {n}"} for n in range(3)})
    await proxy.attach(index_name, query="wide", result="narrow", document="label")
    return index_name


@pytest.fixture
async def either_with_pipelines(
    each_backend: EmbeddedCluster, start_on: StartOn
) -> AsyncIterator[Client]:
    """A client of a proxy in front of either backend, with three pipelines."""
    async with connect(await start_on(each_backend)) as client:
        await client.define("one", "query", CUT.format(size=1))
        await client.define("two", "query", CUT.format(size=2))
        await client.define("marks", "result", MARK)
        yield client


@pytest.fixture
async def nothing_stays(direct: Client, index_name: str) -> AsyncIterator[None]:
    """Readers of all indices would find what they cannot read."""
    yield
    await direct.delete(f"/{index_name},{index_name}-direct?ignore_unavailable=true")
