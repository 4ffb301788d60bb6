"""Index settings of ours on the real OpenSearch: written, read, detached, found by any name."""

from __future__ import annotations

import asyncio

import pytest

from tests.client import Client
from tests.conftest import StartProxy, connect

MARK = "def query(request, context):\n    return {{**request, 'size': {size}}}\n"
SAME = "def document(doc, context):\n    return {**doc, 'seen': True}\n"
RESULT = "def result(response, context):\n    return {**response, 'marked': True}\n"
KEY = "index.query.default_pipeline"


async def prepared(proxy: Client, index: str) -> None:
    await proxy.index(index, {str(n): {"n": n} for n in range(5)})
    await proxy.define("one", "query", MARK.format(size=1))
    await proxy.define("two", "query", MARK.format(size=2))
    await proxy.define("docs", "document", SAME)
    await proxy.define("marks", "result", RESULT)


async def found(proxy: Client, target: str) -> int:
    response = await proxy.get(f"/{target}")
    assert response.status == 200, response.body
    return len(response.ids)


@pytest.mark.parametrize(
    "body",
    [
        {"index.query.default_pipeline": "one"},
        {"query.default_pipeline": "one"},
        {"index": {"query": {"default_pipeline": "one"}}},
        {"index": {"query.default_pipeline": "one"}},
        {"settings": {"index": {"query": {"default_pipeline": "one"}}}},
        {"index.search.default_pipeline": "one"},
    ],
)
async def test_every_spelling_of_a_setting_attaches(
    proxy: Client, index_name: str, body: dict[str, object]
) -> None:
    """Flat, nested, with and without `index.`, as the backend takes its own."""
    await prepared(proxy, index_name)
    response = await proxy.put(f"/{index_name}/_settings", body)
    assert (response.status, response.data) == (200, {"acknowledged": True})
    assert await found(proxy, f"{index_name}/_search") == 1


async def test_settings_are_shown_among_the_backends(proxy: Client, index_name: str) -> None:
    """Nested, flat, by name and by pattern of names."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, query="one", document="docs")
    nested = (await proxy.get(f"/{index_name}/_settings")).data[index_name]["settings"]["index"]
    assert nested["query"] == {"default_pipeline": "one"}
    assert nested["number_of_shards"] == "1"
    flat = (await proxy.get(f"/{index_name}/_settings?flat_settings=true")).data
    assert flat[index_name]["settings"][KEY] == "one"
    named = (await proxy.get(f"/{index_name}/_settings/{KEY}")).data
    assert named == {index_name: {"settings": {"index": {"query": {"default_pipeline": "one"}}}}}
    pattern = (await proxy.get(f"/{index_name}/_settings/index.d*?flat_settings")).data
    assert pattern[index_name]["settings"] == {"index.document.default_pipeline": "docs"}
    others = (await proxy.get(f"/{index_name}/_settings/index.number_of_shards")).data
    assert others == {
        index_name: {"settings": {"index": {"number_of_shards": "1"}}},
    }
    everything = (await proxy.get("/_settings?pretty")).data
    assert everything[index_name]["settings"]["index"]["query"] == {"default_pipeline": "one"}


async def test_null_detaches(proxy: Client, index_name: str) -> None:
    """After it nothing runs and nothing is shown."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, query="one")
    await proxy.attach(index_name, query=None)
    assert await found(proxy, f"{index_name}/_search") == 5
    shown = (await proxy.get(f"/{index_name}/_settings")).data
    assert "query" not in shown[index_name]["settings"]["index"]


async def test_settings_are_attached_one_by_one(proxy: Client, index_name: str) -> None:
    """One that is attached leaves the others as they are, and so does one that is detached."""
    await prepared(proxy, index_name)
    for settings in ({"query": "one"}, {"result": "marks"}, {"document": None}):
        await proxy.attach(index_name, **settings)
    response = await proxy.get(f"/{index_name}/_search")
    assert (len(response.ids), response.data["marked"]) == (1, True)
    await proxy.attach(index_name, query=None)
    response = await proxy.get(f"/{index_name}/_search")
    assert (len(response.ids), response.data["marked"]) == (5, True)


async def test_a_mixed_body_is_applied_whole_or_not_at_all(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Our part holds only if the backend takes the rest, and the backend never sees ours."""
    await prepared(proxy, index_name)
    bad = {"index": {"query": {"default_pipeline": "one"}, "number_of_shards": 7}}
    refused = await proxy.put(f"/{index_name}/_settings", bad)
    assert refused.status == 400
    assert await found(proxy, f"{index_name}/_search") == 5
    good = {"index": {"query": {"default_pipeline": "one"}, "number_of_replicas": 0}}
    assert (await proxy.put(f"/{index_name}/_settings", good)).status == 200
    assert await found(proxy, f"{index_name}/_search") == 1
    inside = (await direct.get(f"/{index_name}/_settings")).data[index_name]["settings"]["index"]
    assert "query" not in inside


async def test_what_cannot_be_attached_is_refused(proxy: Client, index_name: str) -> None:
    """Unknown names, wrong types and odd values are a 400 that names the setting.

    Nothing that came along with them is attached.
    """
    await prepared(proxy, index_name)
    for value, reason in [
        ("nothing", "pipeline [nothing] does not exist"),
        ("docs", "[docs] is a document pipeline, not a query pipeline"),
        (7, "must be the name of a pipeline, or null"),
        ({"x": 1}, "must be the name of a pipeline, or null"),
    ]:
        response = await proxy.put(f"/{index_name}/_settings", {KEY: value})
        assert response.status == 400
        assert response.error["reason"] == f"{KEY}: {reason}"
        assert response.error["path"] == KEY
    both = {KEY: "one", "index.result.default_pipeline": "one"}
    response = await proxy.put(f"/{index_name}/_settings", both)
    assert (response.status, response.error["path"]) == (400, "index.result.default_pipeline")
    missing = await proxy.put("/no-such-index/_settings", {KEY: "one"})
    assert missing.status == 404
    assert missing.error["type"] == "index_not_found_exception"
    for body in (b"{", b"[]", b""):
        assert (await proxy.put(f"/{index_name}/_settings", body)).status == 400
    assert await found(proxy, f"{index_name}/_search") == 5


async def test_attachments_can_come_with_the_creation_of_an_index(
    proxy: Client, index_name: str
) -> None:
    """In the body's settings; deleting the index deletes them."""
    await prepared(proxy, f"{index_name}-other")
    body = {
        "settings": {"index": {"number_of_replicas": 0, "document": {"default_pipeline": "docs"}}},
        "mappings": {"properties": {"n": {"type": "integer"}}},
    }
    made = await proxy.put(f"/{index_name}", body)
    assert made.data.get("index") == index_name, made.body
    await proxy.put(f"/{index_name}/_doc/1", {"n": 1})
    assert (await proxy.get(f"/{index_name}/_source/1")).data == {"n": 1, "seen": True}
    assert (await proxy.put(f"/{index_name}", body)).status == 400
    await proxy.delete(f"/{index_name}")
    await proxy.put(f"/{index_name}/_doc/1", {"n": 1})
    assert (await proxy.get(f"/{index_name}/_source/1")).data == {"n": 1}
    wrong = {"settings": {KEY: "docs"}}
    assert (await proxy.put(f"/{index_name}-new", wrong)).status == 400
    assert (await proxy.get(f"/{index_name}-new")).status == 404


async def test_a_pattern_holds_for_indices_made_later(proxy: Client, index_name: str) -> None:
    """The most specific attachment wins; detaching by pattern leaves those of others alone."""
    await prepared(proxy, f"{index_name}-a")
    for pattern, pipeline in [(f"{index_name}-*", "one"), (f"{index_name}-b*", "two")]:
        await proxy.attach(pattern, query=pipeline)
    await proxy.index(f"{index_name}-b1", {"1": {}, "2": {}, "3": {}})
    assert await found(proxy, f"{index_name}-a/_search") == 1
    assert await found(proxy, f"{index_name}-b1/_search") == 2
    await proxy.attach(f"{index_name}-b1", query="_none")
    assert await found(proxy, f"{index_name}-b1/_search") == 3
    await proxy.attach(f"{index_name}-b*", query=None)
    assert await found(proxy, f"{index_name}-b1/_search") == 3
    await proxy.attach(f"{index_name}-b1", query=None)
    assert await found(proxy, f"{index_name}-b1/_search") == 1
    await proxy.attach(f"{index_name}-b1", query="two")
    await proxy.attach(f"{index_name}-*", query=None)
    assert await found(proxy, f"{index_name}-b1/_search") == 2


async def test_the_target_is_what_the_backend_resolves(proxy: Client, index_name: str) -> None:
    """Aliases, wildcards, lists and the `index` parameter all lead to the attached index."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, query="one", result="marks")
    actions = {"actions": [{"add": {"index": index_name, "alias": f"{index_name}-alias"}}]}
    assert (await proxy.post("/_aliases", actions)).status == 200
    for target in (
        f"{index_name}-alias/_search",
        f"{index_name}*/_search",
        f"_search?index={index_name}",
        f"{index_name},{index_name}-alias/_search",
        f"{index_name.replace('-', '%2D')}/_search",
    ):
        assert await found(proxy, target) == 1, target
        assert (await proxy.get(f"/{target}")).data["marked"] is True
    documents = await proxy.put(
        f"/{index_name}-alias/_settings", {"index.document.default_pipeline": "docs"}
    )
    assert documents.status == 200
    await proxy.put(f"/{index_name}-alias/_doc/x", {"n": 9})
    assert (await proxy.get(f"/{index_name}/_source/x")).data == {"n": 9, "seen": True}


@pytest.mark.parametrize(("on_conflict", "hits"), [("off", 8), ("chain", 1), ("error", None)])
async def test_targets_with_different_defaults(
    start_proxy: StartProxy, index_name: str, on_conflict: str, hits: int | None
) -> None:
    """Off runs none and says so, chain runs both, error refuses."""
    async with connect(await start_proxy(on_conflict=on_conflict)) as proxy:
        await prepared(proxy, f"{index_name}-1")
        await proxy.index(f"{index_name}-2", {str(n): {} for n in range(3)})
        await proxy.attach(f"{index_name}-1", query="two")
        await proxy.attach(f"{index_name}-2", query="one")
        response = await proxy.get(f"/{index_name}-*/_search")
        if hits is None:
            assert response.status == 400
            assert "have different query pipelines: [two], [one]" in response.error["reason"]
            return
        assert len(response.ids) == hits
        assert ("Warning" in response.headers) == (on_conflict == "off")
        metrics = (await proxy.get("/_querymill/metrics")).body.decode()
        assert "querymill_attachment_conflicts_total 1.0" in metrics


async def test_a_search_pipeline_of_the_backends_own_is_left_to_it(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """`index.search.default_pipeline` is also OpenSearch's: its names go to it, ours stay here."""
    await prepared(proxy, index_name)
    theirs = {"request_processors": [{"script": {"source": "ctx._source['size'] = 3"}}]}
    assert (await proxy.put("/_search/pipeline/theirs", theirs)).status == 200
    key = "index.search.default_pipeline"
    await proxy.put(f"/{index_name}/_settings", {key: "one"})
    assert await found(proxy, f"{index_name}/_search") == 1
    shown = (await proxy.get(f"/{index_name}/_settings?flat_settings")).data
    assert shown[index_name]["settings"][key] == "one"
    assert (await proxy.put(f"/{index_name}/_settings", {key: "theirs"})).status == 200
    inside = (await direct.get(f"/{index_name}/_settings?flat_settings")).data
    assert inside[index_name]["settings"][key] == "theirs"
    assert await found(proxy, f"{index_name}/_search") == 3
    assert (await proxy.put(f"/{index_name}/_settings", {key: None})).status == 200
    assert await found(proxy, f"{index_name}/_search") == 5


async def test_a_pipeline_in_use_cannot_be_deleted_unawares(proxy: Client, index_name: str) -> None:
    """409 names the users; force detaches it first."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, query="one")
    refused = await proxy.delete("/_pipeline/one")
    assert refused.status == 409
    assert f"is attached to {index_name}" in refused.error["reason"]
    assert (await proxy.delete("/_pipeline/one?force=true")).status == 200
    assert await found(proxy, f"{index_name}/_search") == 5
    assert (await proxy.get(f"/{index_name}/_settings/index.query.*")).data == {}
    assert (await proxy.delete("/_pipeline/one")).status == 404


async def test_date_math_is_what_it_comes_to(proxy: Client, index_name: str) -> None:
    """A name the backend works out has the pipelines of that index, and no others."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, query="one")
    response = await proxy.get(f"/%3C{index_name}%3E/_search")
    assert (len(response.ids), response.headers.get("Warning")) == (1, None)
    assert response.headers["Querymill-Pipelines"] == "one@1.0.0#1"


async def test_settings_are_shown_in_the_form_that_is_asked_for(
    proxy: Client, index_name: str
) -> None:
    """Ours too are left out by `filter_path`, indented, and written as YAML."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, query="one")
    url = f"/{index_name}/_settings"
    assert (await proxy.get(f"{url}?filter_path=*.settings.index.number_of_shards")).data == {
        index_name: {"settings": {"index": {"number_of_shards": "1"}}}
    }
    ours = await proxy.get(f"{url}?filter_path=**.default_pipeline&pretty")
    assert ours.data == {
        index_name: {"settings": {"index": {"query": {"default_pipeline": "one"}}}}
    }
    assert ours.body.startswith(b"{\n  ")
    in_yaml = await proxy.get(f"{url}?format=yaml")
    assert in_yaml.headers["Content-Type"] == "application/yaml"
    assert b'default_pipeline: "one"' in in_yaml.body


async def test_what_a_data_stream_has_holds_behind_it(proxy: Client, index_name: str) -> None:
    """Its indices show it among the defaults; it goes with the data stream, whole or by pattern."""
    await proxy.define("one", "query", MARK.format(size=1))
    stream = f"{index_name}-stream"
    template = {"index_patterns": [f"{index_name}-*"], "data_stream": {}, "priority": 7}
    assert (await proxy.put(f"/_index_template/{index_name}", template)).status == 200
    for doomed in (f"/_data_stream/{stream}", f"/_data_stream/{index_name}*"):
        for number in range(3):
            document = {"@timestamp": number, "n": number}
            made = await proxy.post(f"/{stream}/_doc?refresh=true", document)
            assert made.status == 201, made.body
        assert await found(proxy, f"{stream}/_search") == 3
        await proxy.attach(stream, query="one")
        backing = f".ds-{stream}-000001"
        for target in (stream, backing):
            assert await found(proxy, f"{target}/_search") == 1
            url = f"/{target}/_settings?include_defaults=true&flat_settings=true"
            shown = (await proxy.get(url)).data[backing]
            assert shown["defaults"][KEY] == "one"
            assert KEY not in shown["settings"]
        await proxy.delete(f"/_data_stream/{index_name}-other")
        assert await found(proxy, f"{stream}/_search") == 1
        assert (await proxy.delete(doomed)).status == 200
    await proxy.post(f"/{stream}/_doc?refresh=true", {"@timestamp": 1})
    await proxy.post(f"/{stream}/_doc?refresh=true", {"@timestamp": 2})
    assert await found(proxy, f"{stream}/_search") == 2
    await proxy.delete(f"/_data_stream/{stream}")
    await proxy.delete(f"/_index_template/{index_name}")


async def test_none_at_an_alias_keeps_an_indexs_off(proxy: Client, index_name: str) -> None:
    """What an alias has wins over those of the indices behind it, `_none` too."""
    await prepared(proxy, index_name)
    alias = f"{index_name}-alias"
    await proxy.put(f"/{index_name}/_alias/{alias}")
    await proxy.attach(index_name, query="one")
    await proxy.attach(alias, query="_none")
    assert await found(proxy, f"{alias}/_search") == 5
    assert await found(proxy, f"{index_name}/_search") == 1


async def test_many_names_at_once(proxy: Client, index_name: str) -> None:
    """Names that come faster than the backend tells of them are each found for what they are."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, query="one")
    aliases = [f"{index_name}-alias-{number}" for number in range(12)]
    add = [{"add": {"index": index_name, "alias": alias}} for alias in aliases]
    assert (await proxy.post("/_aliases", {"actions": add})).status == 200
    names = [index_name, f"{index_name}-missing", *aliases]
    responses = await asyncio.gather(*(proxy.get(f"/{name}/_search") for name in names))
    assert [response.status for response in responses] == [200, 404] + [200] * len(aliases)
    assert {len(response.ids) for response in responses if response.status == 200} == {1}


async def test_backing_indices_go_with_their_data_stream(proxy: Client, index_name: str) -> None:
    """What was attached to one by its own name does not hold for a later stream's."""
    stream = f"{index_name}-s"
    template = {"index_patterns": [f"{index_name}-*"], "data_stream": {}, "priority": 7}
    assert (await proxy.put(f"/_index_template/{index_name}", template)).status == 200
    await proxy.define("cut", "query", "def query(r, c):\n    return {**r, 'size': 1}\n")
    for doomed in (stream, f"{index_name}*"):
        assert (await proxy.put(f"/_data_stream/{stream}")).status == 200
        streams = (await proxy.get(f"/_data_stream/{stream}")).data["data_streams"]
        backing = streams[0]["indices"][0]["index_name"]
        settings = {"index.query.default_pipeline": "cut"}
        assert (await proxy.put(f"/{backing}/_settings", settings)).status == 200
        assert (await proxy.delete("/_pipeline/cut")).status == 409
        assert (await proxy.delete(f"/_data_stream/{doomed}")).status == 200
        assert backing not in str((await proxy.get("/_pipeline")).data)
    await proxy.delete(f"/_index_template/{index_name}")


@pytest.mark.parametrize("order", ["{i},{i}-gone", "{i}-gone,{i}", "{i}-gone,{i}*,{i}-too"])
async def test_names_that_are_not_there_have_no_say(
    proxy: Client, index_name: str, order: str
) -> None:
    """What the client lets the backend leave out does not turn off what the others have."""
    await proxy.index(index_name, {str(n): {"n": n} for n in range(3)})
    await proxy.define("cut", "query", "def query(r, c):\n    return {**r, 'size': 1}\n")
    await proxy.attach(index_name, query="cut")
    target = f"/{order.format(i=index_name)}/_search"
    response = await proxy.get(f"{target}?ignore_unavailable=true")
    assert (response.status, len(response.ids), "Warning" in response.headers) == (200, 1, False)
    assert (await proxy.get(target)).status == 404
    # It counts from the moment it is there.
    await proxy.index(f"{index_name}-gone", {"9": {"n": 9}})
    response = await proxy.get(f"{target}?ignore_unavailable=true")
    assert (len(response.ids), "Warning" in response.headers) == (4, True)
