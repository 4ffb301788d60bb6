"""Index settings attach pipelines, and are shown with those of the backend."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import Client
from tests.flows.attaching import QUERY, RESULT, found, indices, put


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
