"""What is read of the store: what changed and nothing else, on both backends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import orjson
import pytest

from pipelines.compiler import Compiler
from pipelines.definitions.package import Package
from pipelines.definitions.udf import read_package
from pipelines.errors import ConflictError
from pipelines.execution.stats import Stats
from pipelines.registry import Registry
from pipelines.wasm import Runtime
from pipelines.wasm.pool import SandboxPool
from proxy.backend.client import Backend, BackendResponse
from proxy.control.cluster_store import ClusterStore
from proxy.control.definitions import Definitions
from proxy.embedded import EmbeddedCluster
from proxy.upstream.client import Upstream
from tests.client import Client

SAME = "def query(request, context):\n    return request\n"
LARGE = 300_000
ALL_BYTES = 10 * LARGE
FEW_BYTES = 20_000
OLD_PIPELINE = {
    "type": "query",
    "stages": [{"name": "s", "type": "python", "config": {"udf_name": "u"}}],
}
QUERY = "index.query.default_pipeline"


class RecordingBackend(Backend):
    """The backend, with the size of each response written down."""

    sizes: list[int]

    async def call(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        retry: bool = False,
        most: int | None = None,
    ) -> BackendResponse:
        response = await super().call(method, target, body, headers=headers, retry=retry, most=most)
        self.sizes.append(len(response.body))
        return response


class Host:
    """What a proxy has of definitions, without its server."""

    def __init__(self, definitions: Definitions, backend: RecordingBackend) -> None:
        self.definitions = definitions
        self.registry = definitions.registry
        self._backend = backend

    async def read(self) -> int:
        """Look at the store; how many bytes that took."""
        self._backend.sizes = []
        await self.definitions.look()
        assert self.definitions.problem == ""
        assert self.definitions.faults == {}
        return sum(self._backend.sizes)

    async def put(self, name: str, udf: str = "u", version: str = "1") -> int:
        self._backend.sizes = []
        config = {"udf_name": udf, "udf_version": version}
        stages = [{"name": "s", "type": "python", "config": config}]
        await self.definitions.put_pipeline(name, {"type": "query", "stages": stages}, {})
        return sum(self._backend.sizes)

    async def attach(self, index: str, name: str | None) -> None:
        await self.definitions.attach([index], {QUERY: name}, {})

    def names(self) -> list[str]:
        return [pipeline.name for pipeline in self.registry.all()]


def package(version: str, size: int = LARGE) -> Package:
    body = orjson.dumps({"source": SAME, "files": {"a": "x" * size}})
    return read_package("u", body, format="json", version=version)


@asynccontextmanager
async def host(cluster: EmbeddedCluster, runtime: Runtime) -> AsyncIterator[Host]:
    pool = SandboxPool(runtime, load_timeout_ms=20_000)
    async with Upstream(
        [cluster.url], connect_timeout=5.0, idle_timeout=60.0, connections=4
    ) as upstream:
        backend = RecordingBackend(upstream)
        backend.sizes = []
        definitions = Definitions(
            Registry(Compiler(pool), Stats()),
            ClusterStore(backend),
            pool,
            refresh=1.0,
            max_bytes=2**30,
        )
        await definitions.look()
        yield Host(definitions, backend)
    await pool.close()


@pytest.fixture
async def emptied(each_backend: EmbeddedCluster) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(each_backend.url) as session:
        yield Client(session)
        await Client(session).delete("/.querymill?ignore_unavailable=true")


@pytest.fixture
async def hosts(
    each_backend: EmbeddedCluster, emptied: Client, runtime: Runtime
) -> AsyncIterator[list[Host]]:
    """Two hosts on a store with ten versions of a large UDF and a pipeline."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(host(each_backend, runtime))
        for version in range(1, 11):
            assert await first.definitions.put_udf(package(str(version)), {})
        await first.put("p")
        yield [first, await stack.enter_async_context(host(each_backend, runtime))]


async def test_changes_alone_are_read(hosts: list[Host]) -> None:
    """However much is stored: a pipeline, a version that nothing runs, what is attached."""
    first, second = hosts
    assert await second.read() < FEW_BYTES
    assert await first.put("q") < FEW_BYTES
    assert await second.read() < FEW_BYTES
    assert second.names() == ["p", "q"]
    await first.definitions.put_udf(package("11"), {})
    assert await second.read() < FEW_BYTES
    assert second.registry.udfs.latest("u") == "11"
    await first.attach("i", "q")
    assert await second.read() < FEW_BYTES
    assert second.registry.for_index("i", "query") is not None
    for each in hosts:
        assert await each.read() < 1000


async def test_a_package_is_read_once_somebody_runs_it(hosts: list[Host]) -> None:
    """It alone, and not again for the next who does."""
    first, second = hosts
    await first.put("q", version="7")
    assert LARGE < await second.read() < 2 * LARGE
    await first.put("r", version="7")
    assert await second.read() < FEW_BYTES


async def test_a_new_host_reads_what_is_run(
    hosts: list[Host], each_backend: EmbeddedCluster, runtime: Runtime
) -> None:
    """The package of the one version that a pipeline names, and no other."""
    async with host(each_backend, runtime) as third:
        assert third.names() == ["p"]
        assert LARGE < sum(third._backend.sizes) < 2 * LARGE
        assert third.registry.udfs.versions("u")[-1] == "10"


async def test_deletions_are_seen_by_their_absence(hosts: list[Host]) -> None:
    """Of pipelines, attachments and versions; nothing that stays is read again."""
    first, second = hosts
    await first.put("q")
    await first.attach("i", "q")
    await second.read()
    await first.definitions.delete_pipeline("q", {}, force=True)
    await first.definitions.delete_udf("u", "3", {}, force=False)
    assert await second.read() < FEW_BYTES
    assert second.names() == ["p"]
    assert not second.registry.attachments
    assert "3" not in second.registry.udfs.versions("u")
    assert await second.read() < 1000
    # Who deleted the newest record looks no further than that.
    await first.put("last")
    await first.definitions.delete_pipeline("last", {}, force=False)
    assert await first.read() < FEW_BYTES


async def test_a_write_undone_before_it_was_read_is_not_kept(hosts: list[Host]) -> None:
    """By a deletion, and by another write over it: the store says what is in force."""
    first, second = hosts
    await second.read()
    await first.put("q")
    await second.definitions.delete_pipeline("q", {}, force=False)
    await first.read()
    assert first.names() == ["p"]
    await first.put("p", version="2")
    await second.put("p", version="3")
    await first.read()
    for each in hosts:
        pipeline = each.registry.get("p")
        assert (pipeline.revision, pipeline.definition.stages[0].config.udf_version) == (3, "3")  # type: ignore[attr-defined]


async def test_who_writes_over_what_was_not_read_reads_it_first(hosts: list[Host]) -> None:
    """Writes of two hosts by turns lose nothing of either."""
    first, second = hosts
    for step in range(3):
        await first.put(f"a{step}")
        await second.put(f"b{step}")
        await first.attach(f"i{step}", f"b{step}")
        await second.attach(f"j{step}", f"a{step}")
    for each in hosts:
        await each.read()
        assert each.names() == ["a0", "a1", "a2", "b0", "b1", "b2", "p"]
        assert len(each.registry.attachments.entries) == 6


async def test_writes_of_two_hosts_at_once(hosts: list[Host]) -> None:
    """Each is in the store and, after a look, in force on both; of two for one name one is told."""
    made = [f"{letter}{n}" for n in range(10) for letter in "ab"]
    async with asyncio.TaskGroup() as group:
        for position, name in enumerate(made):
            group.create_task(hosts[position % 2].put(name))
    both = await asyncio.gather(
        *(each.put("same", version=str(n)) for n, each in enumerate(hosts, start=1)),
        return_exceptions=True,
    )
    assert all(isinstance(each, int | ConflictError) for each in both)
    for each in hosts:
        await each.read()
        assert each.names() == sorted([*made, "p", "same"])
    first, second = (each.registry.get("same") for each in hosts)
    assert (first.revision, first.definition) == (second.revision, second.definition)


async def test_a_record_that_became_visible_late_is_read(
    hosts: list[Host], emptied: Client
) -> None:
    """A write is numbered before it can be seen, and a later one may be seen first."""
    _, second = hosts
    await second.read()
    stored = (await emptied.get("/.querymill/_doc/pipeline:p")).data["_source"]
    for name, refresh in (("late", "false"), ("early", "false")):
        value = {**stored, "name": name, "key": f"pipeline:{name}"}
        value["body"] = {**stored["body"], "name": name}
        response = await emptied.put(f"/.querymill/_doc/pipeline:{name}?refresh={refresh}", value)
        assert response.status == 201
    # As if the first were not to be seen yet, all before it is taken for read.
    await emptied.post("/.querymill/_refresh")
    store = second.definitions.store
    assert isinstance(store, ClusterStore)
    entries = await store.entries(second.definitions.mirror._read_to)
    assert [entry.name for entry in entries] == ["late", "early"]
    second.definitions.mirror._read_to = entries[-1].stamp[0]
    assert await second.read() < FEW_BYTES
    assert second.names() == ["early", "late", "p"]


async def test_a_store_that_was_made_anew_is_read_anew(hosts: list[Host], emptied: Client) -> None:
    """Although its writes have the same numbers as before."""
    _, second = hosts
    await second.read()
    page = (await emptied.get("/.querymill/_search?size=100&sort=_seq_no")).data["hits"]["hits"]
    await emptied.delete("/.querymill")
    for hit in page:
        source = {**hit["_source"], "updated": hit["_source"]["updated"] + 1}
        if source["kind"] == "pipeline":
            source["body"] = {**source["body"], "description": "made anew"}
        target = f"/.querymill/_doc/{hit['_id']}?refresh=true"
        assert (await emptied.put(target, source)).status == 201
    await second.read()
    assert second.registry.get("p").definition.description == "made anew"
    await emptied.delete("/.querymill")
    assert await second.read() < FEW_BYTES
    assert (second.names(), second.registry.udfs.names()) == ([], [])


async def test_the_first_releases_records_are_read(
    each_backend: EmbeddedCluster, runtime: Runtime, emptied: Client
) -> None:
    """They say neither their size nor a digest; both are found out once, and what is in force."""
    body = {"source": SAME, "files": {"a": "x" * LARGE}, "version": "1"}
    for kind, name, value in (
        ("udf", "u@1", body),
        ("pipeline", "p", OLD_PIPELINE),
        ("attachment", "i", {QUERY: "p"}),
    ):
        document = {"key": f"{kind}:{name}", "kind": kind, "name": name, "revision": 2}
        document |= {"updated": 1_700_000_000_000, "body": value}
        response = await emptied.put(f"/.querymill/_doc/{kind}:{name}?refresh=true", document)
        assert response.status == 201
    async with host(each_backend, runtime) as old:
        assert old.definitions.faults == {}
        assert old.registry.for_index("i", "query") is not None
        assert old.registry.get("p").revision == 2
        assert LARGE < old.definitions.mirror.bytes < 2 * LARGE
        # Deleted, the version is remembered like any other.
        assert await old.definitions.delete_udf("u", None, {}, force=True) == ["1"]
        assert old.registry.udfs.buried("u", "1")
        assert await old.read() < 1000
