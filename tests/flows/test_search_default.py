"""`index.search.default_pipeline`: the backend's and ours take turns, and one is in force."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.client import Client
from tests.conftest import StartOn, connect

KEY = "index.search.default_pipeline"
OURS = "def query(request, context):\n    return {**request, 'size': 1}\n"


@pytest.fixture(autouse=True)
async def defined(proxy: Client, index_name: str) -> AsyncIterator[None]:
    """Two indices of five documents, a pipeline of ours, one of the backend's."""
    script = {"script": {"source": "ctx._source['size'] = 3"}}
    response = await proxy.put("/_search/pipeline/theirs", {"request_processors": [script]})
    assert response.status == 200, response.body
    for name in (f"{index_name}-a", f"{index_name}-b"):
        await proxy.index(name, {str(n): {"n": n} for n in range(5)})
    await proxy.define("ours", "query", OURS)
    yield
    for name in (f"{index_name}-a", f"{index_name}-b"):
        await proxy.put(f"/{name}/_settings", {KEY: None})


HITS = {3: "theirs", 1: "ours", 5: None}


async def in_force(proxy: Client, direct: Client, target: str, index: str) -> str | None:
    """Whose runs on a search, after checking that not both do."""
    response = await proxy.get(f"/{target}/_search")
    assert response.status == 200, response.body
    inside = (await direct.get(f"/{index}/_settings/{KEY}?flat_settings")).data
    theirs = inside.get(index, {}).get("settings", {}).get(KEY, "_none") != "_none"
    ours = "Querymill-Pipelines" in response.headers
    assert not (theirs and ours)
    found = HITS[len(response.ids)]
    assert found == ("theirs" if theirs else "ours" if ours else None)
    return found


async def shown(proxy: Client, index: str) -> str | None:
    """What the index shows as its own."""
    data = (await proxy.get(f"/{index}/_settings?flat_settings")).data
    value = data[index]["settings"].get(KEY)
    assert (await proxy.get(f"/{index}?flat_settings")).data[index]["settings"].get(KEY) == value
    return str(value) if value is not None else None


ORDERS = [
    ["theirs", "ours", None],
    ["ours", "theirs", None],
    ["theirs", "ours", "theirs", "ours", None, None],
    ["ours", "_none", "ours", "theirs", "_none", None],
    [None, "theirs", "_none", "ours"],
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("target", ["{}-a", "{}-*", "{}-a,{}-b", "{}-alias"])
async def test_the_last_value_holds(
    proxy: Client, direct: Client, index_name: str, order: list[str | None], target: str
) -> None:
    """Whatever the order and the name it is written by; one `null` ends it."""
    await proxy.put(f"/{index_name}-a/_alias/{index_name}-alias")
    name = target.replace("{}", index_name)
    for value in order:
        response = await proxy.put(f"/{name}/_settings", {KEY: value})
        assert (response.status, response.data) == (200, {"acknowledged": True})
        wanted = value if value in ("ours", "theirs") else None
        through = name if "alias" in name else f"{index_name}-a"
        assert await in_force(proxy, direct, through, f"{index_name}-a") == wanted


async def test_an_exact_name_takes_turns_below_a_pattern(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """The backend's on an index keeps a pattern's off it; `null` lets that in again."""
    a, b = f"{index_name}-a", f"{index_name}-b"
    await proxy.put(f"/{index_name}-*/_settings", {KEY: "ours"})
    await proxy.put(f"/{a}/_settings", {KEY: "theirs"})
    assert (await in_force(proxy, direct, a, a), await shown(proxy, a)) == ("theirs", "theirs")
    assert (await in_force(proxy, direct, b, b), await shown(proxy, b)) == ("ours", None)
    await proxy.put(f"/{a}/_settings", {KEY: "_none"})
    assert (await in_force(proxy, direct, a, a), await shown(proxy, a)) == (None, "_none")
    await proxy.put(f"/{a}/_settings", {KEY: None})
    assert (await in_force(proxy, direct, a, a), await shown(proxy, a)) == ("ours", None)
    await proxy.put(f"/{a}/_settings", {KEY: "theirs"})
    await proxy.put(f"/{index_name}-*/_settings", {KEY: "ours"})
    assert (await in_force(proxy, direct, a, a), await shown(proxy, a)) == ("ours", None)


async def test_the_backends_keeps_an_aliases_off(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Written at the index behind an alias that has ours."""
    a, alias = f"{index_name}-a", f"{index_name}-alias"
    await proxy.put(f"/{a}/_alias/{alias}")
    await proxy.put(f"/{alias}/_settings", {KEY: "ours"})
    await proxy.put(f"/{a}/_settings", {KEY: "theirs"})
    assert await in_force(proxy, direct, alias, a) == "theirs"
    await proxy.put(f"/{a}/_settings", {KEY: None})
    assert await in_force(proxy, direct, alias, a) == "ours"


async def test_a_refusal_of_the_backends_changes_nothing(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Neither side is written where the rest of the body is refused."""
    a = f"{index_name}-a"
    for before in ("ours", "theirs"):
        await proxy.put(f"/{a}/_settings", {KEY: before})
        for value in ("ours", "theirs", "_none", None):
            bad = {KEY: value, "index.number_of_shards": 9}
            assert (await proxy.put(f"/{a}/_settings", bad)).status == 400
            bad = {KEY: value, "index.query.default_pipeline": "unheard-of"}
            assert (await proxy.put(f"/{a}/_settings", bad)).status == 400
            bad = {KEY: value, "index.query.final_pipeline": "_none"}
            assert (await proxy.put(f"/{a}/_settings", bad)).status == 400
            assert await in_force(proxy, direct, a, a) == before


@pytest.mark.parametrize("before", ["ours", "theirs", None])
@pytest.mark.parametrize("value", ["ours", "theirs", None])
@pytest.mark.parametrize("target", ["{}-a", "{}-*"])
async def test_what_is_there_is_preserved(
    proxy: Client,
    direct: Client,
    index_name: str,
    before: str | None,
    value: str | None,
    target: str,
) -> None:
    """With `preserve_existing`, whoever's it is."""
    a = f"{index_name}-a"
    await proxy.put(f"/{a}/_settings", {KEY: before})
    url = f"/{target.replace('{}', index_name)}/_settings?preserve_existing=true"
    response = await proxy.put(url, {KEY: value})
    if (before, value, target) == ("ours", "theirs", "{}-*"):
        assert response.status == 400
        assert "name them one by one" in response.error["reason"]
        return
    assert response.status == 200, response.body
    assert await in_force(proxy, direct, a, a) == (before or value)
    if target == "{}-*":
        assert await in_force(proxy, direct, f"{index_name}-b", f"{index_name}-b") == value


async def test_a_new_index_has_one_of_them(proxy: Client, direct: Client, index_name: str) -> None:
    """From its own settings, from a pattern, or from a template of the backend's."""
    pattern = f"{index_name}-new-*"
    await proxy.put(f"/{pattern}/_settings", {KEY: "ours"})
    documents: dict[str, object] = {str(n): {} for n in range(5)}

    async def made(name: str, settings: dict[str, str]) -> str | None:
        new = f"{index_name}-new-{name}"
        assert (await proxy.put(f"/{new}", {"settings": settings})).status == 200
        await proxy.index(new, documents)
        return await in_force(proxy, direct, new, new)

    assert await made("plain", {}) == "ours"
    assert await made("theirs", {KEY: "theirs"}) == "theirs"
    assert await made("ours", {KEY: "ours"}) == "ours"
    template = {"index_patterns": [pattern], "template": {"settings": {KEY: "theirs"}}}
    assert (await proxy.put(f"/_index_template/{index_name}", template)).status == 200
    try:
        assert await made("templated", {}) == "theirs"
        assert await made("own", {KEY: "ours"}) == "ours"
    finally:
        await proxy.delete(f"/_index_template/{index_name}")


async def test_on_elasticsearch_it_is_ours_alone(
    elasticsearch: object, start_on: StartOn, index_name: str
) -> None:
    """Which has no such setting: what is no pipeline of ours it refuses itself, `null` is 200."""
    async with connect(await start_on(elasticsearch)) as proxy:
        await proxy.index(index_name, {str(n): {} for n in range(5)})
        await proxy.define("ours", "query", OURS)
        url = f"/{index_name}/_settings"
        for value, hits in [("ours", 1), ("_none", 5), ("ours", 1), (None, 5), (None, 5)]:
            assert (await proxy.put(url, {KEY: value})).status == 200
            assert len((await proxy.get(f"/{index_name}/_search")).ids) == hits
        assert "unknown setting" in (await proxy.put(url, {KEY: "theirs"})).error["reason"]
