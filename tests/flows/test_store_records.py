"""Records of the store that cannot be read: they are left out and told, and the others serve."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from pipelines.wasm import Runtime
from proxy.app.assembly import open_proxy
from proxy.config.settings import load
from proxy.control.cluster_store import ClusterStore
from proxy.embedded import EmbeddedCluster
from tests.client import Client, Response
from tests.conftest import StartOn, StartProxy, connect

ONE = "def query(request, context):\n    return {**request, 'size': 1}\n"
STAGE = {"name": "s", "type": "python", "config": {"udf_name": "one"}}
PIPELINE = {"type": "query", "stages": [STAGE]}


def record(kind: Any, name: Any, body: Any, **changed: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "revision": 1, "body": body, **changed}


BAD: dict[str, Any] = {
    "pipeline:empty": {},
    "pipeline:null-body": record("pipeline", "null-body", None),
    "pipeline:number-body": record("pipeline", "number-body", 7),
    "pipeline:list-body": record("pipeline", "list-body", [{}]),
    "pipeline:no-stages": record("pipeline", "no-stages", {"type": "query"}),
    "pipeline:newer": record("pipeline", "newer", {**PIPELINE, "invented": 1}),
    "pipeline:other-type": record("pipeline", "other-type", {**PIPELINE, "type": "bogus"}),
    "pipeline:no-revision": record("pipeline", "no-revision", PIPELINE, revision=None),
    "pipeline:odd-revision": record("pipeline", "odd-revision", PIPELINE, revision=[1]),
    "pipeline:other-name": record("pipeline", "another", PIPELINE),
    "pipeline:a,b": record("pipeline", "a,b", PIPELINE),
    "pipeline:half": b'{"kind":"pipeline","name":"half","revision":1,"body":{"type":"\\ud83d"}}',
    "pipeline:odd-head": b'{"kind":"\\ud83d","name":"odd-head","revision":1,"body":{}}',
    "pipeline:huge-number": b'{"kind":"pipeline","name":"huge-number","revision":1,"body":{"type":'
    + b"1" * 500
    + b"}}",
    "pipeline:deep": b'{"kind":"pipeline","name":"deep","revision":1,"body":'
    + b'{"a":' * 15
    + b"[" * 900
    + b"]" * 900
    + b"}" * 15
    + b"}",
    "udf:none@1": record("udf", "none@1", None),
    "udf:no-source@1": record("udf", "no-source@1", {"version": "1"}),
    "udf:other-version@1": record("udf", "other-version@1", {"source": ONE, "version": "2"}),
    "udf:no-version": record("udf", "no-version", {"source": ONE}),
    "udf:odd-file@1": record("udf", "odd-file@1", {"source": ONE, "files": {"a": 1}}),
    "udf:@": record("udf", "@", {"source": ONE}),
    "attachment:odd": record("attachment", "odd", "none"),
    "secret:cursors": record("secret", "cursors", {"key": "no hexadecimal"}),
    "deleted:x@1": record("deleted", "x@1", {"digest": None}),
    "invented:x": record("invented", "x", {}),
    "no-kind": {"surprise": True},
    "kind-only": record(None, None, None),
    "a/b c": record(["x", "y"], ["x"], "x", updated="2026-01-01"),
}


async def plant(backend: Client, id: str, value: Any, status: int = 201) -> None:
    """Write a record past the proxy."""
    target = f"/.querymill/_doc/{quote(id, safe='')}?refresh=true"
    response = await backend.put(target, value)
    assert response.status == status, (id, response.body)


async def define(proxy: Client) -> None:
    await proxy.put_udf("one", ONE)
    assert (await proxy.put("/_pipeline/one", PIPELINE)).status == 200


def ids(shown: Response) -> set[str]:
    """The records that cannot be read."""
    return {each["id"] for each in shown.data["unreadable"]}


async def unreadable(proxy: Client) -> set[str]:
    shown = await proxy.get("/_querymill/store")
    assert all(each["reason"] for each in shown.data["unreadable"])
    return ids(shown)


async def test_bad_records_keep_nobody_from_serving(
    each_backend: EmbeddedCluster, start_on: StartOn, index_name: str
) -> None:
    """Neither who meets them at its start nor who serves already; each is named, and can go."""
    fast = {"store_refresh": 0.1}
    async with (
        connect(await start_on(each_backend, **fast)) as first,
        aiohttp.ClientSession(each_backend.url) as session,
    ):
        backend = Client(session)
        await first.index(index_name, {"1": {}, "2": {}})
        await define(first)
        for id, value in BAD.items():
            await plant(backend, id, value, 200 if id == "secret:cursors" else 201)
        async with connect(await start_on(each_backend, **fast)) as second:
            for proxy in (first, second):
                await proxy.get_until("/_querymill/store", lambda shown: ids(shown) == BAD.keys())
                response = await proxy.get(f"/{index_name}/_search?pipeline=one")
                assert len(response.ids) == 1
                ready = await proxy.get("/_querymill/readyz")
                assert (ready.status, ready.data["status"]) == (200, "ready")
                assert ready.data["warning"].startswith(f"{len(BAD)} of the store's records")
            assert (await second.put("/_pipeline/two", PIPELINE)).data["result"] == "created"
            for id in BAD:
                await remove(second, id)
            assert await unreadable(second) == set()
            assert (await second.get("/_querymill/readyz")).data["warning"] is None
            assert len((await second.get(f"/{index_name}/_search?pipeline=two")).ids) == 1


async def remove(proxy: Client, id: str) -> None:
    """With the call for what it was meant to be, if there is one."""
    kind, _, name = id.partition(":")
    target = f"/_querymill/store?id={quote(id, safe='')}"
    if kind == "pipeline":
        target = f"/_pipeline/{quote(name, safe='')}"
    elif kind == "udf" and name.endswith("@1"):
        target = f"/_udf/{name[:-2]}?version=1"
    elif kind == "secret":
        # It was made anew where it was needed.
        assert (await proxy.delete(target)).status == 409
        return
    response = await proxy.delete(target)
    assert response.status == 200, (id, response.body)
    assert (await proxy.delete(target)).status == 404, id


async def test_only_unreadable_records_are_deleted_by_their_id(proxy: Client) -> None:
    """What can be read has calls that know what it is."""
    await define(proxy)
    for id, status in (("pipeline:one", 409), ("pipeline:other", 404), ("udf:one@1.0.0", 409)):
        response = await proxy.delete(f"/_querymill/store?id={id}")
        assert response.status == status, response.body
    assert (await proxy.delete("/_querymill/store")).status == 400
    shown = (await proxy.get("/_querymill/store")).data
    # The UDF, the pipeline, and the key that signs ids.
    assert (shown["records"], shown["max_bytes"]) == (3, 2**30)
    assert 100 < shown["bytes"] < 1000


async def test_a_store_that_the_backend_made_by_itself(
    start_proxy: StartProxy, direct: Client
) -> None:
    """Somebody wrote into it before any proxy did: it is read and written all the same."""
    await plant(direct, "pipeline:odd", record("pipeline", "odd", None))
    await plant(direct, "udf:one@1.0.0", record("udf", "one@1.0.0", {"source": ONE}))
    async with connect(await start_proxy()) as proxy:
        assert (await proxy.get("/_querymill/readyz")).status == 200
        assert await unreadable(proxy) == {"pipeline:odd"}
        assert (await proxy.put("/_pipeline/one", PIPELINE)).data["result"] == "created"
        run = await proxy.post("/_pipeline/one/_execute", {"input": {}})
        assert run.data["output"] == {"size": 1}


async def test_an_attachment_that_cannot_be_read_is_closed(
    start_proxy: StartProxy, direct: Client, proxy: Client, index_name: str
) -> None:
    """Where it names a final pipeline as nothing that could be one, nobody gets past it."""
    await define(proxy)
    await proxy.index(index_name, {"1": {}})
    body = {"index.query.final_pipeline": 7, "index.query.default_pipeline": 7, "newer": "x"}
    await plant(direct, f"attachment:{index_name}", record("attachment", index_name, body))
    async with connect(await start_proxy()) as other:
        response = await other.get(f"/{index_name}/_search")
        assert (response.status, "final pipeline" in response.error["reason"]) == (500, True)
        detached = {"index.query.final_pipeline": None}
        assert (await other.put(f"/{index_name}/_settings", detached)).status == 200
        assert (await other.get(f"/{index_name}/_search")).status == 200


@pytest.mark.parametrize("kind", ["pipeline", "udf"])
async def test_a_record_is_put_right(direct: Client, proxy: Client, kind: str) -> None:
    """By an upload in its place, as if it had not been there."""
    await proxy.put_udf("one", ONE)
    name = "two" if kind == "pipeline" else "two@1.0.0"
    await plant(direct, f"{kind}:{name}", record(kind, name, None))
    if kind == "pipeline":
        response = await proxy.put("/_pipeline/two", PIPELINE)
        assert response.data["revision"] == 2
    else:
        response = await proxy.put("/_udf/two", {"source": ONE})
    assert response.status == 200, response.body
    assert await unreadable(proxy) == set()
    assert (await proxy.get(f"/_{kind}/two")).status == 200


async def test_a_record_too_large_to_be_read_is_left_out(
    opensearch: EmbeddedCluster, runtime: Runtime, direct: Client, proxy: Client
) -> None:
    """By itself: those that would have been read with it are."""
    await define(proxy)
    for name in ("a", "b", "c"):
        filling = {"filling": "x" * (200_000 if name == "b" else 10)}
        config = {"udf_name": "one", "parameters": filling}
        body = {**PIPELINE, "stages": [{**STAGE, "config": config}]}
        await plant(direct, f"pipeline:{name}", record("pipeline", name, body))
    settings = load({"backend": (opensearch.url,), "listen": "127.0.0.1:0"}, {})
    small = partial(ClusterStore, most=100_000)
    async with (
        open_proxy(settings, runtime, store=small) as server,
        connect(server) as other,
    ):
        assert (await other.get("/_querymill/readyz")).status == 200
        assert await unreadable(other) == {"pipeline:b"}
        listed = (await other.get("/_pipeline")).data["pipelines"]
        assert [each["name"] for each in listed] == ["a", "c", "one"]
        assert (await other.delete("/_pipeline/b")).status == 200
        assert await unreadable(other) == set()
