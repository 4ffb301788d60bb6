"""Templates, rollovers and deletions: what becomes of attachments."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client import Client
from tests.flows.attaching import FINAL, QUERY, RESULT, found, indices, put

SEARCH = "index.search.default_pipeline"
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
    assert (await either_with_pipelines.delete(f"/{index_name}-alias")).status == 400
    assert await found(either_with_pipelines, f"{index_name}-alias") == 2
