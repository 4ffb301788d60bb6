"""Index settings that are refused: the reason, its form, and nothing attached."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.flows.attaching import FINAL, QUERY, found, indices, put


async def test_a_final_pipeline_cannot_be_none(
    either_with_pipelines: Client, index_name: str
) -> None:
    """The response says what `_none` is for, and what detaches a final pipeline."""
    await indices(either_with_pipelines, index_name)
    response = await either_with_pipelines.put(f"/{index_name}/_settings", {FINAL: "_none"})
    assert response.status == 400
    said = f"{FINAL}: [_none] is for defaults; a final pipeline always runs, and null detaches it"
    assert response.error["reason"] == said


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
