"""Points in time through the proxy: clients see the ids they were given, the backend its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import cbor2
import orjson
import pytest
import yaml

from proxy.embedded import EmbeddedCluster
from tests.client import Client
from tests.conftest import StartOn, StartProxy, connect

YAML = {"Content-Type": "application/yaml"}
CBOR = {"Content-Type": "application/cbor"}
MARK = "def result(r, c):\n    return {**r, 'marked': True}\n"
POINT = "_search/point_in_time"
CLOSE = f"/{POINT}"


async def prepared(proxy: Client, index: str) -> None:
    await proxy.index(index, {str(n): {"n": n} for n in range(3)})
    await proxy.define("mark", "result", MARK)
    await proxy.attach(index, result="mark")


async def opened(proxy: Client, index: str) -> str:
    response = await proxy.post(f"/{index}/{POINT}?keep_alive=1m")
    pit_id = str(response.data["pit_id"])
    assert pit_id.startswith("qm1."), response.body
    return pit_id


def own(pit_id: str) -> str:
    """The backend's id in one that was given out."""
    return pit_id.split(".", 3)[3]


@pytest.mark.parametrize("media_type", ["application/yaml", "application/cbor"])
async def test_an_id_is_given_out_in_every_format(
    proxy: Client, index_name: str, media_type: str
) -> None:
    """One in YAML or CBOR has the pipelines of its indices too."""
    await prepared(proxy, index_name)
    path = f"/{index_name}/{POINT}?keep_alive=1m"
    response = await proxy.call("POST", path, None, {"Accept": media_type})
    read = cbor2.loads if media_type.endswith("cbor") else yaml.safe_load
    pit_id = read(response.body)["pit_id"]
    assert response.headers["Content-Type"] == media_type
    page = await proxy.post("/_search", {"pit": {"id": pit_id}})
    assert (page.data["marked"], page.data["pit_id"]) == (True, pit_id)
    filtered = await proxy.post(f"{path}&filter_path=pit_id&pretty")
    assert list(filtered.data) == ["pit_id"]
    assert filtered.data["pit_id"].startswith("qm1.")


async def test_closing_responds_with_the_ids_that_were_sent(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """In every form of the body and of the response; one of the backend's stays the backend's."""
    await prepared(proxy, index_name)
    theirs = (await direct.post(f"/{index_name}/{POINT}?keep_alive=1m")).data["pit_id"]
    ids = [await opened(proxy, index_name), theirs]
    response = await proxy.call("DELETE", CLOSE, {"pit_id": ids})
    reported = {pit["pit_id"]: pit["successful"] for pit in response.data["pits"]}
    assert reported == dict.fromkeys(ids, True)
    for body, headers, query in (
        ("json", {}, ""),
        ("json", {"Accept-Encoding": "gzip"}, "?pretty"),
        ("json", {}, "?filter_path=pits.pit_id"),
        ("escaped", {}, ""),
        ("yaml", {**YAML, "Accept": "application/json"}, ""),
        ("cbor", {**CBOR, "Accept": "application/json"}, ""),
        ("url", {}, ""),
    ):
        pit_id = await opened(proxy, index_name)
        value = {"pit_id": [pit_id]}
        sent: bytes | None = orjson.dumps(value)
        if body == "url":
            query = f"?source_content_type=application/json&source={quote(sent or b'')}"
            sent = None
        elif body == "escaped":
            sent = b'{"pit_id": ["\\u0071m1.%b"]}' % pit_id[4:].encode()
        elif body != "json":
            sent = yaml.safe_dump(value).encode() if body == "yaml" else cbor2.dumps(value)
        response = await proxy.call("DELETE", f"{CLOSE}{query}", sent, headers)
        assert response.status == 200, (body, response.body)
        assert [pit["pit_id"] for pit in response.data["pits"]] == [pit_id], (body, response.body)
        search = await proxy.post("/_search", {"pit": {"id": pit_id}})
        assert search.status == 404, (body, search.body)
    in_yaml = await proxy.call(
        "DELETE", CLOSE, {"pit_id": [pit_id := await opened(proxy, index_name)]}, _accept("yaml")
    )
    assert yaml.safe_load(in_yaml.body)["pits"] == [{"successful": True, "pit_id": pit_id}]


def _accept(format: str) -> dict[str, str]:
    return {"Accept": f"application/{format}"}


async def test_lists_have_the_ids_that_were_given_out(
    proxy: Client, direct: Client, start_proxy: StartProxy, index_name: str
) -> None:
    """Where they are known: to the worker that gave them out, or that has searched with them."""
    await proxy.delete(f"{CLOSE}/_all")
    await prepared(proxy, index_name)
    empty = await proxy.get(f"{CLOSE}/_all")
    assert empty.data == {"pits": []}
    given = await opened(proxy, index_name)
    theirs = (await direct.post(f"/{index_name}/{POINT}?keep_alive=1m")).data["pit_id"]

    async def listed(client: Client, query: str = "") -> set[str]:
        response = await client.get(f"{CLOSE}/_all{query}")
        return {pit["pit_id"] for pit in response.data["pits"]}

    assert await listed(proxy) == {given, theirs}
    assert await listed(proxy, "?filter_path=pits.pit_id&pretty") == {given, theirs}
    times = (await proxy.get(f"{CLOSE}/_all")).data["pits"]
    assert all(set(pit) == {"pit_id", "creation_time", "keep_alive"} for pit in times)
    async with connect(await start_proxy()) as other:
        assert await listed(other) == {own(given), theirs}
        assert (await other.post("/_search", {"pit": {"id": given}})).data["marked"]
        assert await listed(other) == {given, theirs}
    closed = await proxy.delete(f"{CLOSE}/_all")
    assert {pit["pit_id"] for pit in closed.data["pits"]} == {given, theirs}
    assert await listed(proxy) == set()


async def test_segments_of_a_point_in_time(proxy: Client, index_name: str) -> None:
    """The call of `_cat` takes ids that were given out, wherever a body may stand."""
    await prepared(proxy, index_name)
    value = {"pit_id": [pit_id := await opened(proxy, index_name)]}
    expected = (await proxy.get("/_cat/pit_segments", {"pit_id": [own(pit_id)]})).body
    assert expected
    source = f"?source_content_type=application/json&source={quote(orjson.dumps(value))}"
    for query, body, headers in (
        ("", orjson.dumps(value), {}),
        ("", yaml.safe_dump(value).encode(), YAML),
        ("", cbor2.dumps(value), CBOR),
        (source, None, {}),
    ):
        headers = {**headers, "Accept": "text/plain"}
        response = await proxy.call("GET", f"/_cat/pit_segments{query}", body, headers)
        assert (response.status, response.body) == (200, expected), response.body
    assert (await proxy.get("/_cat/pit_segments/_all")).status == 200
    broken = pit_id[:-4] + "AAAA"
    assert (await proxy.get("/_cat/pit_segments", {"pit_id": [broken]})).status == 400


async def test_templates_and_bodies_in_the_url_search_a_point_in_time(
    proxy: Client, index_name: str
) -> None:
    """With the pipelines of its indices."""
    await prepared(proxy, index_name)
    pit_id = await opened(proxy, index_name)
    search: dict[str, Any] = {"pit": {"id": "{{point}}"}, "size": 2, "sort": ["n"]}
    template = {"source": orjson.dumps(search).decode(), "params": {"point": pit_id}}
    plain = {**search, "pit": {"id": pit_id}}
    source = f"?source_content_type=application/json&source={quote(orjson.dumps(plain))}"
    lines = b"\n".join(map(orjson.dumps, ({}, template, {}, template))) + b"\n"
    pages = [
        (await proxy.post("/_search/template", template)).data,
        (await proxy.get(f"/_search{source}")).data,
        *(await proxy.post("/_msearch/template", lines)).data["responses"],
    ]
    for page in pages:
        assert [hit["_id"] for hit in page["hits"]["hits"]] == ["0", "1"]
        assert (page["marked"], page["pit_id"]) == (True, pit_id)
    unknown = {**template, "params": {"point": pit_id[:-4] + "AAAA"}}
    assert (await proxy.post("/_search/template", unknown)).status == 400
    lines = b"\n".join(map(orjson.dumps, ({}, unknown, {}, template))) + b"\n"
    first, second = (await proxy.post("/_msearch/template", lines)).data["responses"]
    assert (first["status"], second["marked"]) == (400, True)


async def test_points_in_time_of_elasticsearch(
    elasticsearch: EmbeddedCluster, start_on: StartOn, index_name: str
) -> None:
    """Opened, searched and closed in its spelling, in other formats too."""
    async with connect(await start_on(elasticsearch)) as proxy:
        await prepared(proxy, index_name)
        path = f"/{index_name}/_pit?keep_alive=1m"
        pit_id = cbor2.loads((await proxy.call("POST", path, None, _accept("cbor"))).body)["id"]
        page = await proxy.post("/_search", {"pit": {"id": pit_id}, "size": 1})
        assert (page.data["marked"], page.data["pit_id"][:4]) == (True, "qm1.")
        body = cbor2.dumps({"id": pit_id})
        closed = await proxy.call("DELETE", "/_pit", body, {**CBOR, **_accept("json")})
        assert closed.data == {"succeeded": True, "num_freed": 1}
        await proxy.delete(f"/{index_name}")
