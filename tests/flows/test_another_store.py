"""A store of another kind, written against the protocol alone, under whole proxies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack

import orjson
import pytest

from pipelines.wasm import Runtime
from proxy.app.assembly import open_proxy
from proxy.config.settings import load
from proxy.embedded import EmbeddedCluster
from proxy.store.errors import (
    StoreBusy,
    StoreConflict,
    StoreError,
    StoreRefused,
    StoreTimeout,
    StoreUnavailable,
)
from proxy.store.records import Entry, Key, head_of, read_entry
from proxy.store.store import Body, Changes, Credentials, Point, Store
from tests.client import Client
from tests.conftest import connect

ONE = "def query(request, context):\n    return {**request, 'size': 1}\n"
TWO = "def query(request, context):\n    return {**request, 'size': 2}\n"
STAGE = {"name": "s", "type": "python", "config": {"udf_name": "one"}}
PIPELINE = {"type": "query", "stages": [STAGE]}


class MemoryStore:
    """Records in memory, numbered as they are written. Several proxies of a process can share it.

    `failure` is what happens to whoever asks; `late` keeps from readers what is new.
    """

    def __init__(self) -> None:
        self.records: dict[str, tuple[Entry, bytes]] = {}
        self.failure: StoreError | None = None
        self.late = False
        self._number = 0

    async def changes(self, known: Mapping[str, Entry], since: Point) -> Changes:
        self._fail()
        if self.late:
            return Changes(point=since)
        return Changes(
            point=Point(self._number),
            changed=[entry for id, (entry, _) in self.records.items() if known.get(id) != entry],
            gone=[entry for id, entry in known.items() if id not in self.records],
        )

    async def bodies(self, entries: Iterable[Entry]) -> AsyncIterator[list[Body]]:
        for each in entries:
            self._fail()
            found = self.records.get(each.id)
            yield [Body(found[0], orjson.loads(found[1])) if found else Body(None)]

    async def check_access(self, credentials: Credentials) -> None:
        self._fail()

    async def write(
        self,
        key: Key,
        body: bytes,
        credentials: Credentials,
        *,
        over: Entry | None,
        digest: str = "",
        category: str | None = None,
    ) -> Entry:
        self._fail()
        held = self.records.get(key.id)
        if (held[0] if held else None) != over:
            raise StoreConflict(key.kind, key.name)
        self._number += 1
        head = head_of(key, len(body), updated=0, digest=digest, category=category)
        entry = read_entry(key.id, (self._number, 0), head)
        self.records[key.id] = (entry, body)
        return entry

    async def delete(self, entry: Entry, credentials: Credentials) -> None:
        self._fail()
        held = self.records.pop(entry.id, None)
        if held is not None and held[0] != entry:
            self.records[entry.id] = held
            raise StoreConflict(entry.kind, entry.name)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


Start = Callable[[Store], Awaitable[Client]]


@pytest.fixture
async def start_with(opensearch: EmbeddedCluster, runtime: Runtime) -> AsyncIterator[Start]:
    """Starts proxies in front of OpenSearch whose definitions are in another store."""
    async with AsyncExitStack() as stack:

        async def client(store: Store) -> Client:
            given = {"backend": (opensearch.url,), "listen": "127.0.0.1:0", "store_refresh": 0.1}
            proxy = open_proxy(load(given, {}), runtime, store=lambda _: store)
            server = await stack.enter_async_context(proxy)
            return await stack.enter_async_context(connect(server))

        yield client


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def define(proxy: Client, index: str) -> None:
    """A pipeline that leaves one hit, on an index of three documents."""
    await proxy.index(index, {"1": {}, "2": {}, "3": {}})
    await proxy.put_udf("one", ONE)
    assert (await proxy.put("/_pipeline/one", PIPELINE)).data["revision"] == 1
    await proxy.attach(index, query="one")


async def until(proxy: Client, index: str, hits: int) -> None:
    """Ask until a search gives so many hits; the test's own time limit ends it otherwise."""
    await proxy.get_until(f"/{index}/_search", lambda response: len(response.ids) == hits)


async def test_whole_proxies_on_another_store(
    start_with: Start, store: MemoryStore, direct: Client, index_name: str
) -> None:
    """Uploads, attachments, changes and deletions; nothing of it is in the backend."""
    first, second = await start_with(store), await start_with(store)
    await define(first, index_name)
    assert {id for id in store.records if not id.startswith("secret:")} == {
        "udf:one@1.0.0",
        "pipeline:one",
        f"attachment:{index_name}",
    }
    assert len((await first.get(f"/{index_name}/_search")).ids) == 1
    await until(second, index_name, 1)
    await second.put_udf("two", TWO)
    stages = [{**STAGE, "config": {"udf_name": "two"}}]
    changed = await second.put("/_pipeline/one?if_revision=1", {"type": "query", "stages": stages})
    assert (changed.status, changed.data["revision"]) == (200, 2)
    assert len((await second.get(f"/{index_name}/_search")).ids) == 2
    await until(first, index_name, 2)
    # One that starts now reads it all.
    third = await start_with(store)
    assert len((await third.get(f"/{index_name}/_search")).ids) == 2
    assert (await third.get("/_udf/two")).data["source"] == TWO
    assert (await third.delete("/_pipeline/one?force=true")).status == 200
    await until(first, index_name, 3)
    assert (await direct.get("/.querymill")).status == 404


async def test_a_write_over_what_was_not_read_is_refused(
    start_with: Start, store: MemoryStore, index_name: str
) -> None:
    """With a 409, whether something was changed, made or deleted; after a look it is done."""
    first, second = await start_with(store), await start_with(store)
    await define(first, index_name)
    await until(second, index_name, 1)
    store.late = True
    others = {**PIPELINE, "description": "another"}
    assert (await first.put("/_pipeline/one", others)).status == 200
    assert (await first.put("/_pipeline/new", PIPELINE)).status == 200
    for name in ("one", "new"):
        response = await second.put(f"/_pipeline/{name}", {**PIPELINE, "description": "mine"})
        assert response.status == 409, response.body
        assert response.error["type"] == "version_conflict_exception"
        reason = f"pipeline [{name}] was changed by someone else meanwhile; try again"
        assert response.error["reason"] == reason
    assert (await second.delete("/_pipeline/one?force=true")).status == 409
    store.late = False
    response = await second.put("/_pipeline/one?if_revision=1", PIPELINE)
    assert (response.status, "is at revision 2, not 1" in response.error["reason"]) == (409, True)
    response = await second.put("/_pipeline/one?if_revision=2", PIPELINE)
    assert (response.status, response.data["revision"]) == (200, 3)


FAILURES = [
    (StoreUnavailable("nobody is there"), 502, "backend_unreachable_exception"),
    (StoreTimeout("it took too long"), 504, "backend_timeout_exception"),
    (StoreBusy("too much"), 429, "rejected_execution_exception"),
    (StoreRefused("it is not for you"), 403, "security_exception"),
]


@pytest.mark.parametrize(("failure", "status", "type"), FAILURES)
async def test_each_failure_is_reported(
    start_with: Start,
    store: MemoryStore,
    index_name: str,
    failure: StoreError,
    status: int,
    type: str,
) -> None:
    """Administration says it, health warns of it, and what is known goes on running."""
    proxy = await start_with(store)
    await define(proxy, index_name)
    store.failure = failure
    for response in (
        await proxy.put("/_pipeline/two", PIPELINE),
        await proxy.put("/_udf/two", {"source": TWO}),
        await proxy.delete("/_pipeline/one?force=true"),
        await proxy.get("/_pipeline/one"),
        await proxy.put(f"/{index_name}/_settings", {"index.query.default_pipeline": None}),
    ):
        assert (response.status, response.error["type"]) == (status, type), response.body
        assert response.error["reason"] == str(failure)
        assert response.headers.get("Retry-After") == ("1" if status == 429 else None)
    assert len((await proxy.get(f"/{index_name}/_search")).ids) == 1
    await proxy.get_until(
        "/_querymill/readyz", lambda response: response.data["warning"] == str(failure)
    )
    store.failure = None
    assert (await proxy.delete("/_pipeline/one?force=true")).status == 200
    assert len((await proxy.get(f"/{index_name}/_search")).ids) == 3
    # One that starts while it cannot be read says so, and serves once it can.
    store.failure = failure
    late = await start_with(store)
    response = await late.get("/_querymill/readyz")
    assert (response.status, response.data["reason"]) == (503, str(failure))
    store.failure = None
    await late.get_until("/_querymill/readyz", lambda response: response.status == 200)
