"""The official clients tell the same story direct and through the proxy, on both backends.

Every Elasticsearch client refuses OpenSearch without the proxy, so that there is nothing to compare
it with there: its story through the proxy has to be the one it tells of Elasticsearch.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.embedded import EmbeddedCluster
from proxy.server.server import ProxyServer
from tests.client import Client
from tests.clients.installed import (
    go_program,
    java_program,
    javascript_clients,
    lacks_go,
    lacks_java,
    lacks_node,
    python_client,
)
from tests.conftest import StartOn, StartProxy, connect
from tests.documents import ROOT

Reported = list[list[Any]]
INDEX = "flow-client"
MARK = "def result(r, c):\n    return {**r, 'marked': True}\n"
# Where the backends themselves differ: the distribution of Elasticsearch used here has no
# ``GET /``, and OpenSearch says when it ended an aggregation early.
OWN_WORDS = frozenset({"ping", "aggregation"})
# Programs, and the pinned version where it is not the one of the project.
PYTHON = [
    ("elastic", "elasticsearch8"),
    ("elastic", None),
    ("opensearch", "opensearch2"),
    ("opensearch", None),
]
# Several processes with clients that take seconds to import.
pytestmark = pytest.mark.timeout(300)
ServersOf = Callable[[str], Awaitable[list[str]]]


# Pipelines of every type that change nothing: what a client is told stays the same.
IDENTITY = {
    "query": "def query(r, c):\n    return r\n",
    "result": "def result(r, c):\n    return r\n",
    "document": "def document(d, c):\n    return d\n",
}


async def attach_identity(server: ProxyServer) -> None:
    """Attach them to every index."""
    async with connect(server) as proxy:
        for phase, source in IDENTITY.items():
            await proxy.define(f"same-{phase}", phase, source)
        await proxy.attach("*", **{phase: f"same-{phase}" for phase in IDENTITY})


async def runs(server: ProxyServer) -> dict[str, tuple[int, int]]:
    """How often each of them ran, and how often well."""
    async with connect(server) as proxy:
        stats = {p: (await proxy.get(f"/_pipeline/same-{p}/_stats")).data for p in IDENTITY}
    return {phase: (reported["count"], reported["success"]) for phase, reported in stats.items()}


@pytest.fixture
async def servers_of(
    each_backend: EmbeddedCluster, elasticsearch: EmbeddedCluster, start_on: StartOn
) -> ServersOf:
    """For a program, a proxy in front of the backend and the server to compare it with."""

    async def servers(program: str) -> list[str]:
        proxy = await start_on(each_backend)
        await attach_identity(proxy)
        other = elasticsearch if program == "elastic" else each_backend
        return [f"http://{proxy.address}", other.url]

    return servers


@pytest.fixture(scope="session")
def pinned_clients() -> dict[str | None, str]:
    """What goes before PYTHONPATH for each version that is pinned."""
    names = ("elasticsearch8", "opensearch2")
    return {None: "", **{name: f"{python_client(name)}{os.pathsep}" for name in names}}


@pytest.fixture(scope="session")
def javascript() -> Path:
    """The folder to run the JavaScript programs in."""
    if (reason := lacks_node()) is not None:
        pytest.skip(reason)
    return javascript_clients()


async def reported(command: Sequence[str], cwd: Path, **environment: str) -> Any:
    """What a program prints, as JSON."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


def check(proxied: Reported, direct: Reported, *, same_backend: bool) -> None:
    """Compare two stories, word for word on the same backend."""
    assert len(direct) >= 15
    if not same_backend:
        proxied, direct = (
            [step for step in story if step[0] not in OWN_WORDS] for story in (proxied, direct)
        )
    assert proxied == direct


@pytest.mark.parametrize(("program", "pinned"), PYTHON)
async def test_python_clients(
    program: str,
    pinned: str | None,
    servers_of: ServersOf,
    each_backend: EmbeddedCluster,
    pinned_clients: dict[str | None, str],
) -> None:
    """elasticsearch-py 8 and 9, opensearch-py 2 and 3, sync and async, their bulk and scan."""
    servers = await servers_of(program)
    command = [sys.executable, "-m", f"tests.clients.{program}", INDEX, *servers]
    path = f"{pinned_clients[pinned]}{ROOT}"
    stories = await reported(command, ROOT, PYTHONPATH=path)
    sync, asynchronous, direct_sync, direct_asynchronous = stories
    same = each_backend.url == servers[1]
    check(sync, direct_sync, same_backend=same)
    check(asynchronous, direct_asynchronous, same_backend=same)


async def test_an_old_python_client(start_proxy: StartProxy) -> None:
    """elasticsearch-py 7.17 takes OpenSearch for an Elasticsearch of its own version."""
    server = await start_proxy()
    async with connect(server) as proxy:
        await proxy.define("old-mark", "result", MARK)
        await proxy.attach(f"{INDEX}*", result="old-mark")
    url = f"http://{server.address}"
    command = [sys.executable, "-m", "tests.clients.elastic7", url, INDEX]
    path = f"{python_client('elasticsearch7')}{os.pathsep}{ROOT}"
    assert await reported(command, ROOT, PYTHONPATH=path) == {
        "version": [7, 17],
        "number": "7.17.0",
        "create": True,
        "bulk": [300, []],
        "search": ["0", "1", "2"],
        "marked": True,
        "scan": 300,
        "page": 2,
        "close": {"succeeded": True, "num_freed": 1},
        "fields": ["n"],
        "health": 0,
        "missing": 404,
        "delete": True,
    }


@pytest.mark.parametrize("program", ["elastic", "opensearch"])
async def test_javascript_clients(
    program: str, servers_of: ServersOf, each_backend: EmbeddedCluster, javascript: Path
) -> None:
    """The clients for Node.js, with their bulk and scroll helpers."""
    servers = await servers_of(program)
    proxied, direct = await reported(["node", f"{program}.mjs", INDEX, *servers], javascript)
    check(proxied, direct, same_backend=each_backend.url == servers[1])


async def test_javascript_clients_while_pipelines_fail(
    servers_of: ServersOf, each_backend: EmbeddedCluster, javascript: Path
) -> None:
    """Hundreds of failures in one bulk change nothing for them: nothing is lost or sent again."""
    program = "elastic" if each_backend.options.distribution == "elasticsearch" else "opensearch"
    proxy, direct = await servers_of(program)
    async with aiohttp.ClientSession(proxy) as session:
        client = Client(session)
        raising = "raise ValueError(str(value)[:300])\n"
        await client.define(
            "all-fail", "document", f"def document(value, c):\n    {raising}", on_error="pass"
        )
        await client.define("no-query", "query", f"def query(value, c):\n    {raising}")
        await client.define(
            "no-result",
            "result",
            f"def result(value, c):\n    {raising}",
            applies_to=["search", "get"],
        )
        await client.attach(f"{INDEX}*", document="all-fail", query="no-query", result="no-result")
        proxied, straight = await reported(
            ["node", f"{program}.mjs", INDEX, proxy, direct], javascript
        )
        stats = (await client.get("/_pipeline/all-fail/_stats")).data
    check(proxied, straight, same_backend=each_backend.url == direct)
    assert stats["degraded"] >= 300


async def test_a_go_client(opensearch: EmbeddedCluster, start_proxy: StartProxy) -> None:
    """opensearch-go, which sniffs: its bulk indexer, scroll, points in time and typed errors."""
    if (reason := lacks_go()) is not None:
        pytest.skip(reason)
    program = await asyncio.to_thread(go_program)
    server = await start_proxy()
    await attach_identity(server)
    urls = [f"http://{server.address}", opensearch.url]
    proxied, direct = await reported([str(program), INDEX, *urls], ROOT)
    assert proxied["told"] == direct["told"]
    assert len(direct["told"]) == 9
    searched = "same-query@1.0.0#1, same-result@1.0.0#1"
    page = "same-result@1.0.0#1"
    assert proxied["pipelines"] == [searched, page, page, searched]
    # All of the bulk, and the one that is in conflict.
    assert (await runs(server))["document"] == (301, 301)


async def test_a_java_client(
    opensearch: EmbeddedCluster, elasticsearch: EmbeddedCluster, start_proxy: StartProxy
) -> None:
    """elasticsearch-java, after it has sniffed: its bulk ingester, typed answers and errors."""
    if (reason := lacks_java()) is not None:
        pytest.skip(reason)
    path = await asyncio.to_thread(java_program)
    server = await start_proxy()
    await attach_identity(server)
    urls = [f"http://{server.address}", elasticsearch.url]
    command = ["java", "-Xmx256m", "-cp", path, "Elastic", INDEX, *urls]
    proxied, direct = await reported(command, ROOT)
    assert proxied == direct
    assert len(direct) == 15
    ran = await runs(server)
    assert ran["document"] == (301, 301)
    # A search, its scroll of four pages, and that of a point in time.
    assert ran["result"] == (6, 6)
    assert ran["query"][0] == ran["query"][1] >= 4
