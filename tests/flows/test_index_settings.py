"""Index settings of ours wherever the backend's can be written and read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client
from tests.conftest import StartOn, connect

QUERY = "index.query.default_pipeline"
RESULT = "index.result.default_pipeline"
SEARCH = "index.search.default_pipeline"
FINAL = "index.query.final_pipeline"
CUT = "def query(request, context):\n    return {{**request, 'size': {size}}}\n"
MARK = "def result(response, context):\n    return {**response, 'marked': True}\n"


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


async def indices(proxy: Client, *names: str) -> None:
    for name in names:
        await proxy.index(name, {str(n): {"n": n} for n in range(5)})


async def put(proxy: Client, target: str, settings: dict[str, Any]) -> None:
    response = await proxy.put(target, settings)
    assert response.status == 200, response.body


async def found(proxy: Client, target: str) -> int:
    return len((await proxy.get(f"/{target}/_search")).ids)


def nested(pipeline: str) -> dict[str, Any]:
    return {"default_pipeline": pipeline}


async def test_an_index_shows_its_own(either_with_pipelines: Client, index_name: str) -> None:
    """What patterns and aliases attach stands among the defaults, if those are asked for."""
    i, other = f"{index_name}-i", f"{index_name}-o"
    await indices(either_with_pipelines, i, other)
    await either_with_pipelines.put(f"/{i}/_alias/{index_name}-alias")
    await put(either_with_pipelines, f"/{index_name}-*/_settings", {QUERY: "one", RESULT: "marks"})
    await put(either_with_pipelines, f"/{i}/_settings", {QUERY: "two"})
    await put(
        either_with_pipelines,
        f"/{index_name}-alias/_settings",
        {"index.document.default_pipeline": "_none"},
    )
    for target in (
        f"/{i}/_settings",
        f"/{i}",
        f"/{index_name}-alias",
        f"/{index_name}-*/_settings",
    ):
        settings = (await either_with_pipelines.get(target)).data[i]["settings"]["index"]
        assert settings["query"] == nested("two"), target
        assert "result" not in settings
    both = (
        await either_with_pipelines.get(f"/{index_name}-*/_settings?include_defaults=true")
    ).data
    assert both[i]["settings"]["index"]["query"] == nested("two")
    assert both[i]["defaults"]["index"]["result"] == nested("marks")
    assert "default_pipeline" not in both[i]["defaults"]["index"].get("query", {})
    assert both[other]["defaults"]["index"]["query"]["default_pipeline"] == "one"
    assert "query" not in both[other]["settings"]["index"]
    flat = (
        await either_with_pipelines.get(f"/{other}?include_defaults=true&flat_settings=true")
    ).data[other]
    assert flat["defaults"][QUERY] == "one"
    assert QUERY not in flat["settings"]
    alias = (
        await either_with_pipelines.get(f"/{index_name}-alias/_settings?include_defaults=true")
    ).data
    assert alias[i]["defaults"]["index"]["document"] == nested("_none")
    named = await either_with_pipelines.get(
        f"/{index_name}-*/_settings/index.query.*?flat_settings"
    )
    assert named.data == {i: {"settings": {QUERY: "two"}}}
    everything = (await either_with_pipelines.get(f"/_all/_settings/{QUERY}?flat_settings")).data
    assert everything[i] == {"settings": {QUERY: "two"}}


async def test_copied_settings_are_those_of_the_index(
    either_with_pipelines: Client, index_name: str
) -> None:
    """What is read of one index can be written to a new one, as tools that copy indices do."""
    source, copy = f"{index_name}-source", f"{index_name}-copy"
    await indices(either_with_pipelines, source)
    await put(either_with_pipelines, f"/{index_name}-*/_settings", {QUERY: "one"})
    await put(either_with_pipelines, f"/{source}/_settings", {RESULT: "marks"})
    settings = (await either_with_pipelines.get(f"/{source}/_settings")).data[source]["settings"]
    for made in ("creation_date", "uuid", "version", "provided_name"):
        del settings["index"][made]
    await put(either_with_pipelines, f"/{copy}", {"settings": settings})
    shown = (await either_with_pipelines.get(f"/{copy}/_settings?flat_settings=true")).data[copy][
        "settings"
    ]
    assert shown[RESULT] == "marks"
    assert QUERY not in shown
    await put(either_with_pipelines, f"/{index_name}-*/_settings", {QUERY: None})
    assert (
        "query" not in (await either_with_pipelines.get(f"/{copy}")).data[copy]["settings"]["index"]
    )


async def test_an_index_is_shown_in_the_form_that_is_asked_for(
    either_with_pipelines: Client, index_name: str
) -> None:
    """`GET /{index}` too: filtered, indented, as YAML, by parts, and 404 as ever."""
    await indices(either_with_pipelines, index_name)
    await put(either_with_pipelines, f"/{index_name}/_settings", {QUERY: "one"})
    filtered = await either_with_pipelines.get(
        f"/{index_name}?filter_path=**.default_pipeline&pretty"
    )
    assert filtered.data == {index_name: {"settings": {"index": {"query": nested("one")}}}}
    assert filtered.body.startswith(b"{\n  ")
    in_yaml = await either_with_pipelines.get(f"/{index_name}?format=yaml")
    assert b'default_pipeline: "one"' in in_yaml.body
    assert (await either_with_pipelines.call("HEAD", f"/{index_name}")).status == 200
    assert (await either_with_pipelines.get(f"/{index_name}-none")).status == 404
    parts = await either_with_pipelines.get(f"/{index_name}?features=aliases")
    assert b"one" not in parts.body
    listed = (await either_with_pipelines.get(f"/{index_name},{index_name}*?flat_settings")).data
    assert listed[index_name]["settings"][QUERY] == "one"


async def test_null_removes_what_was_set_there(
    either_with_pipelines: Client, index_name: str
) -> None:
    """Of a pattern, a list, an alias: that, and no other's; `_all` is `*`, and no name too."""
    a, b, alias = f"{index_name}-a", f"{index_name}-b", f"{index_name}-alias"
    await indices(either_with_pipelines, a, b)
    await either_with_pipelines.put(f"/{a}/_alias/{alias}")
    for name, value in [(a, "one"), (b, "_none"), (alias, "two"), (f"{index_name}-*", "two")]:
        await put(either_with_pipelines, f"/{name}/_settings", {QUERY: value})
    for target in (
        "/*/_settings",
        f"/{index_name}-*/_settings",
        "/_all/_settings",
        "/_settings",
        "/*/_settings?expand_wildcards=all",
        "/_settings?expand_wildcards=open,hidden",
    ):
        await put(either_with_pipelines, target, {QUERY: "two"})
        await put(either_with_pipelines, target, {QUERY: None})
        assert [await found(either_with_pipelines, name) for name in (a, b, alias)] == [1, 5, 2], (
            target
        )
        shown = (await either_with_pipelines.get(f"/{a},{b}/_settings/{QUERY}?flat_settings")).data
        assert [shown[name]["settings"][QUERY] for name in (a, b)] == ["one", "_none"]
    await put(either_with_pipelines, "/_all/_settings", {QUERY: "two"})
    await put(either_with_pipelines, "/*/_settings", {QUERY: None})
    await put(either_with_pipelines, f"/{alias}/_settings", {QUERY: None})
    assert [await found(either_with_pipelines, name) for name in (a, b, alias)] == [1, 5, 1]
    await put(either_with_pipelines, f"/{a},{b}/_settings", {QUERY: None})
    assert [await found(either_with_pipelines, name) for name in (a, b, alias)] == [5, 5, 5]


@pytest.mark.parametrize(
    "cleared",
    [
        {"index.query.*": None},
        {"index.*": None},
        {"query.*": None},
        {"index": {"query": {"*": None}}},
        {"settings": {"index.q*": None}},
    ],
    ids=str,
)
async def test_patterns_with_null_take_off_what_they_match(
    either_with_pipelines: Client, index_name: str, cleared: dict[str, Any]
) -> None:
    """At that very name; what is of another one, or not matched, stays."""
    a, b = f"{index_name}-a", f"{index_name}-b"
    await indices(either_with_pipelines, a, b)
    for name in (a, b):
        await put(either_with_pipelines, f"/{name}/_settings", {QUERY: "one"})
    await put(
        either_with_pipelines,
        f"/{a}/_settings",
        {"index.result.*": None, "index.refresh_interval": "2s"},
    )
    assert await found(either_with_pipelines, a) == 1
    await put(either_with_pipelines, f"/{a}/_settings", cleared)
    assert [await found(either_with_pipelines, name) for name in (a, b)] == [5, 1]
    shown = (await either_with_pipelines.get(f"/{a}/_settings?flat_settings")).data
    assert QUERY not in shown[a]["settings"]


async def test_preserve_existing_keeps_what_is_attached(
    either_with_pipelines: Client, index_name: str
) -> None:
    """Each setting for itself, at each name for itself; `null` takes nothing away either."""
    a, b = f"{index_name}-a", f"{index_name}-b"
    await indices(either_with_pipelines, a, b)
    await put(either_with_pipelines, f"/{a}/_settings", {QUERY: "one"})
    keep = "_settings?preserve_existing=true"
    await put(either_with_pipelines, f"/{a},{b}/{keep}", {QUERY: "two", RESULT: "marks"})
    for name, hits in ((a, 1), (b, 2)):
        assert await found(either_with_pipelines, name) == hits
        assert (await either_with_pipelines.get(f"/{name}/_search")).data["marked"] is True
    await put(either_with_pipelines, f"/{a}/{keep}", {QUERY: None})
    assert await found(either_with_pipelines, a) == 1
    await put(either_with_pipelines, f"/{index_name}-*/{keep}", {QUERY: "two"})
    await put(either_with_pipelines, f"/{index_name}-*/{keep}", {QUERY: "one"})
    await indices(either_with_pipelines, f"{index_name}-c")
    assert [await found(either_with_pipelines, name) for name in (a, b, f"{index_name}-c")] == [
        1,
        2,
        2,
    ]
    mixed = {QUERY: "two", "index.max_result_window": 50}
    await put(either_with_pipelines, f"/{a}/{keep}", mixed)
    shown = (await either_with_pipelines.get(f"/{a}?flat_settings=true")).data[a]["settings"]
    assert (shown[QUERY], shown["index.max_result_window"]) == ("one", "50")
    await put(either_with_pipelines, f"/{a}/_settings?preserve_existing=false", {QUERY: "two"})
    assert await found(either_with_pipelines, a) == 2


async def test_a_final_pipeline_cannot_be_none(
    either_with_pipelines: Client, index_name: str
) -> None:
    """The response says what `_none` is for, and what detaches a final pipeline."""
    await indices(either_with_pipelines, index_name)
    response = await either_with_pipelines.put(f"/{index_name}/_settings", {FINAL: "_none"})
    assert response.status == 400
    said = f"{FINAL}: [_none] is for defaults; a final pipeline always runs, and null detaches it"
    assert response.error["reason"] == said


SPELLED: list[dict[str, Any]] = [
    {QUERY: "one"},
    {"query.default_pipeline": "one"},
    {"index": {"query": {"default_pipeline": "one"}}},
    {"query": {"default_pipeline": "one"}},
    {SEARCH: "one"},
    {"search": {"default_pipeline": "one"}},
    {"index": {FINAL.removeprefix("index."): "one"}},
    {"number_of_replicas": 0, "index.document": {"default_pipeline": "one"}},
]


@pytest.mark.parametrize("settings", SPELLED, ids=str)
async def test_templates_refuse_settings_of_ours(
    either_with_pipelines: Client, index_name: str, settings: dict[str, Any]
) -> None:
    """In each kind of template and each spelling, with where to put them; nothing is stored."""
    patterns = [f"{index_name}-*", "other-*"]
    template = {"index_patterns": patterns, "template": {"settings": settings}}
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", "_index_template/t", template),
        ("POST", "_index_template/t", template),
        ("POST", "_index_template/_simulate", template),
        ("POST", f"_index_template/_simulate_index/{index_name}-x", template),
        ("PUT", "_template/t", {"index_patterns": patterns, "settings": settings}),
        ("PUT", "_component_template/t", {"template": {"settings": settings}}),
        ("POST", f"{index_name}-alias/_rollover", {"settings": settings}),
        ("POST", f"{index_name}-alias/_rollover/{index_name}-2", {"settings": settings}),
        ("PUT", f"{index_name}/_clone/{index_name}-2", {"settings": settings}),
        ("PUT", f"{index_name}/_shrink/{index_name}-2", {"settings": settings}),
        ("POST", f"{index_name}/_split/{index_name}-2", {"settings": settings}),
        ("POST", "_snapshot/r/s/_restore", {"index_settings": settings}),
    ]
    for method, path, body in calls:
        response = await either_with_pipelines.call(method, f"/{path}", body)
        assert response.status == 400, (path, response.body)
        assert response.error["type"] == "illegal_argument_exception"
        reason = response.error["reason"]
        where = f"{index_name}-2" if path.endswith("-2") else "{index}"
        where = ",".join(patterns) if "index_patterns" in body else where
        if "rollover" in path and path.endswith("-2"):
            where = f"{index_name}-2"
        assert f"PUT /{where}/_settings" in reason, (path, reason)
    for path in ("_index_template/t", "_component_template/t", "_template/t"):
        assert (await either_with_pipelines.get(f"/{path}")).status == 404
    as_yaml = f'index_patterns: ["x-*"]\ntemplate: {{settings: {{"{QUERY}": one}}}}\n'.encode()
    headers = {"Content-Type": "application/yaml"}
    response = await either_with_pipelines.call(
        "PUT", "/_index_template/t?format=yaml", as_yaml, headers
    )
    assert (response.status, response.headers["Content-Type"]) == (400, "application/yaml")
    assert b"PUT /x-*/_settings" in response.body


async def test_templates_of_the_backends_own_pass(
    either_with_pipelines: Client, index_name: str
) -> None:
    """Whatever else they have, pipelines of the backend's own included."""
    template = {
        "index_patterns": [f"{index_name}-*"],
        "template": {
            "settings": {"index": {"number_of_replicas": 0, "default_pipeline": "_none"}},
            "mappings": {"properties": {"settings": {"properties": {QUERY: {"type": "text"}}}}},
        },
    }
    await put(either_with_pipelines, f"/_index_template/{index_name}", template)
    await put(either_with_pipelines, f"/{index_name}-*/_settings", {QUERY: "one"})
    await indices(either_with_pipelines, f"{index_name}-x")
    assert await found(either_with_pipelines, f"{index_name}-x") == 1
    assert (await either_with_pipelines.delete(f"/_index_template/{index_name}")).status == 200


async def test_a_rollover_keeps_what_patterns_and_aliases_attach(
    either_with_pipelines: Client, index_name: str
) -> None:
    """What was attached to the old index by its name stays with that."""
    alias, first = f"{index_name}-logs", f"{index_name}-logs-000001"
    await indices(either_with_pipelines, first)
    actions = [{"add": {"index": first, "alias": alias, "is_write_index": True}}]
    await either_with_pipelines.post("/_aliases", {"actions": actions})
    await put(either_with_pipelines, f"/{first}/_settings", {QUERY: "two"})
    await put(either_with_pipelines, f"/{alias}-*/_settings", {RESULT: "marks"})
    rolled = await either_with_pipelines.post(
        f"/{alias}/_rollover", {"settings": {"number_of_replicas": 0}}
    )
    assert rolled.data["rolled_over"] is True, rolled.body
    second = rolled.data["new_index"]
    await indices(either_with_pipelines, second)
    response = await either_with_pipelines.get(f"/{second}/_search")
    assert (len(response.ids), response.data["marked"]) == (5, True)
    assert await found(either_with_pipelines, first) == 2


async def test_attachments_go_with_indices_that_are_gone(
    either_with_pipelines: Client, index_name: str
) -> None:
    """And with no others, whatever the expression said."""
    names = [f"{index_name}-{word}" for word in ("a", "b", "keep-c", "keep-d")]

    async def attached() -> list[str]:
        left = []
        for name in names:
            await indices(either_with_pipelines, name)
            left += [name] if await found(either_with_pipelines, name) == 1 else []
        return left

    async def attach() -> None:
        await indices(either_with_pipelines, *names)
        for name in names:
            await put(either_with_pipelines, f"/{name}/_settings", {QUERY: "one"})

    a, b, c, d = names
    for target, left in [
        (f"/{index_name}-*,-{index_name}-keep-*", [c, d]),
        (f"/{index_name}-*?expand_wildcards=none", [a, b, c, d]),
        (f"/{index_name}-*?expand_wildcards=closed", [a, b, c, d]),
        (f"/{a},{index_name}-missing", [a, b, c, d]),
        (f"/{a},{index_name}-missing?ignore_unavailable=true", [b, c, d]),
        (f"/%3C{a}%3E", [b, c, d]),
        (f"/{index_name}-keep*", [a, b]),
    ]:
        await attach()
        await either_with_pipelines.put(
            "/_cluster/settings", {"persistent": {"action.destructive_requires_name": "false"}}
        )
        await either_with_pipelines.delete(target)
        assert await attached() == left, target
    await either_with_pipelines.put(
        "/_cluster/settings", {"persistent": {"action.destructive_requires_name": None}}
    )
    await attach()
    actions = [{"remove_index": {"index": a}}, {"add": {"index": b, "alias": f"{index_name}-x"}}]
    assert (await either_with_pipelines.post("/_aliases", {"actions": actions})).status == 200
    assert await attached() == [b, c, d]
    await either_with_pipelines.put(f"/{a}/_alias/{index_name}-alias")
    await put(either_with_pipelines, f"/{index_name}-alias/_settings", {QUERY: "two"})
    assert (await either_with_pipelines.delete(f"/{index_name}-alias")).status >= 400
    assert await found(either_with_pipelines, f"{index_name}-alias") == 2


async def test_date_math_attaches_to_what_it_comes_to(
    either_with_pipelines: Client, index_name: str
) -> None:
    """When settings are written, when an index is created, when one is deleted."""
    dated = f"%3C{index_name}-%7Bnow%2Fy%7Byyyy%7D%7D%3E"
    created = await either_with_pipelines.put(f"/{dated}", {"settings": {QUERY: "one"}})
    assert created.status == 200, created.body
    name = created.data["index"]
    await indices(either_with_pipelines, name)
    assert await found(either_with_pipelines, name) == 1
    await put(either_with_pipelines, f"/{dated}/_settings", {QUERY: "two"})
    assert await found(either_with_pipelines, name) == 2
    assert await found(either_with_pipelines, dated) == 2
    await either_with_pipelines.delete(f"/{dated}")
    await indices(either_with_pipelines, name)
    assert await found(either_with_pipelines, name) == 5


async def test_refusals_have_the_form_that_is_asked_for(
    either_with_pipelines: Client, index_name: str
) -> None:
    """YAML for YAML, whole in spite of `filter_path`; a response of ours is filtered as any."""
    await indices(either_with_pipelines, index_name)
    url = f"/{index_name}/_settings"
    refused = await either_with_pipelines.put(f"{url}?format=yaml", {QUERY: "nothing"})
    assert (refused.status, refused.headers["Content-Type"]) == (400, "application/yaml")
    assert b"pipeline [nothing] does not exist" in refused.body
    whole = await either_with_pipelines.put(f"{url}?filter_path=x&pretty", {QUERY: "nothing"})
    assert "does not exist" in whole.error["reason"]
    assert whole.body.startswith(b"{\n")
    assert (await either_with_pipelines.put(f"{url}?filter_path=-*", {QUERY: "one"})).data == {}
    as_yaml = await either_with_pipelines.put(f"{url}?format=yaml", {QUERY: "one"})
    assert as_yaml.body == b"---\nacknowledged: true\n"
    body = b'index.query.default_pipeline: "two"\n'
    response = await either_with_pipelines.call(
        "PUT", url, body, {"Content-Type": "application/yaml"}
    )
    assert (response.status, await found(either_with_pipelines, index_name)) == (200, 2)
    less = await either_with_pipelines.put(
        f"/{index_name}*,-{index_name}-x/_settings", {QUERY: "one"}
    )
    assert less.status == 400
    assert "less some names" in less.error["reason"]


async def test_a_body_that_cannot_be_read_attaches_nothing(
    either_with_pipelines: Client, index_name: str
) -> None:
    """What names a pipeline of ours is refused; any other is the backend's to judge."""
    await indices(either_with_pipelines, index_name)
    url = f"/{index_name}/_settings"
    smile = b":)\n\x01\xfa\x9bindex.search.default_pipeline\x42%b\xfb"
    headers = {"Content-Type": "application/smile"}
    refused = await either_with_pipelines.call("PUT", url, smile % b"one", headers)
    assert refused.status == 406, refused.body
    assert b"one" not in (await either_with_pipelines.get(url)).body
    broken = await either_with_pipelines.put(url, b'{"index.max_result_window":')
    assert (broken.status, "querymill" in broken.body.decode().lower()) == (400, False)


async def test_settings_with_comments_are_read_as_the_backend_reads_them(
    either_with_pipelines: Client, index_name: str
) -> None:
    """They attach in an index's settings, and are refused in a template's."""
    await indices(either_with_pipelines, index_name)
    commented = b'{"index.search.default_pipeline":"one"/**/}'
    assert (await either_with_pipelines.put(f"/{index_name}/_settings", commented)).status == 200
    assert await found(either_with_pipelines, index_name) == 1
    template = b'{"index_patterns":["x"],"template":{"settings":%b}}' % commented
    assert (
        await either_with_pipelines.put(f"/_index_template/{index_name}", template)
    ).status == 400
    assert (await either_with_pipelines.get(f"/_index_template/{index_name}")).status == 404


async def test_names_that_are_not_there(either_with_pipelines: Client, index_name: str) -> None:
    """404, and nothing is attached; left out where the client wants them ignored."""
    await indices(either_with_pipelines, index_name)
    both = f"/{index_name},{index_name}-none/_settings"
    assert (await either_with_pipelines.put(both, {QUERY: "one"})).status == 404
    assert await found(either_with_pipelines, index_name) == 5
    await put(either_with_pipelines, f"{both}?ignore_unavailable=true", {QUERY: "one"})
    assert await found(either_with_pipelines, index_name) == 1
    await indices(either_with_pipelines, f"{index_name}-none")
    assert await found(either_with_pipelines, f"{index_name}-none") == 5


@pytest.mark.parametrize(
    "parameter",
    [
        "preserve_exisiting=true",
        "preserve_existing=maybe",
        "dry_run=true",
        "expand_wildcards=closd",
        "ignore_unavailable=1",
        "preserve_existing=true&preserve_existing=false",
    ],
)
async def test_parameters_nobody_knows(
    either_with_pipelines: Client, index_name: str, parameter: str
) -> None:
    """They are refused, and nothing is attached, also where all settings are ours."""
    await indices(either_with_pipelines, index_name)
    for name in (index_name, f"{index_name}*"):
        await put(either_with_pipelines, f"/{name}/_settings", {QUERY: "one"})
        response = await either_with_pipelines.put(f"/{name}/_settings?{parameter}", {QUERY: "two"})
        assert response.status == 400
        assert parameter.partition("=")[0] in response.error["reason"]
        await put(either_with_pipelines, f"/{name}/_settings", {QUERY: None})


async def test_parameters_of_the_backends_own(
    either_with_pipelines: Client, index_name: str
) -> None:
    """What clients send with settings holds with ours alone as well."""
    await indices(either_with_pipelines, index_name)
    sent = (
        "timeout=9s&master_timeout=9s&expand_wildcards=open,hidden&allow_no_indices=false"
        "&ignore_unavailable&flat_settings=true&pretty&human=false&error_trace=true&filter_path=*"
    )
    await put(either_with_pipelines, f"/{index_name}/_settings?{sent}", {QUERY: "one"})
    assert await found(either_with_pipelines, index_name) == 1


@pytest.mark.parametrize(
    "names", ["absent-*", "absent-*,gone-*", "*-absent?ignore_unavailable=true"]
)
async def test_patterns_that_have_to_mean_something(
    either_with_pipelines: Client, direct: Client, index_name: str, names: str
) -> None:
    """With `allow_no_indices=false` what means nothing is answered as by the backend."""
    await either_with_pipelines.define("same", "query", "def query(r, c):\n    return r\n")
    expression, mark, more = names.partition("?")
    url = f"/{expression}/_settings?allow_no_indices=false{'&' if mark else ''}{more}"
    wanted = await direct.put(url, {"index.number_of_replicas": 0})
    got = await either_with_pipelines.put(url, {"index.query.default_pipeline": "same"})
    assert (got.status, got.data) == (wanted.status, wanted.data)
    assert wanted.status == 404
    await either_with_pipelines.put(f"/{index_name}")
    url = f"/{index_name[:-1]}*/_settings?allow_no_indices=false"
    assert (
        await either_with_pipelines.put(url, {"index.query.default_pipeline": "same"})
    ).status == 200
