"""Search templates with pipelines on the real OpenSearch: answered as the backend answers them."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest

from tests.client import Client

SAME = {
    "query": "def query(request, context):\n    return request\n",
    "result": "def result(response, context):\n    return response\n",
}
SOURCE = '{"query": {"match": {"title": "{{word}}"}}, "explain": true}'


FLAGS: tuple[dict[str, Any], ...] = (
    {},
    {"explain": True},
    {"explain": False},
    {"profile": True},
    {"explain": "true"},
)


@pytest.mark.parametrize("phase", ["query", "result"])
async def test_a_response_has_what_it_has_without_pipelines(
    proxy: Client, direct: Client, index_name: str, phase: str
) -> None:
    """Its status among its members, and what is asked for beside the template, in every format."""
    await proxy.index(index_name, {"1": {"title": "shoe"}, "2": {"title": "boot"}})
    await proxy.define("same", phase, SAME[phase])
    await proxy.attach(index_name, **{phase: "same"})
    url = f"/{index_name}/_search/template"
    forms = ("", "?filter_path=status,hits.hits", "?filter_path=hits&pretty")
    for parameters, flags in itertools.product(forms, FLAGS):
        body = {"source": SOURCE, "params": {"word": "shoe"}, **flags}
        own = await direct.post(url + parameters, body)
        passed = await proxy.post(url + parameters, body)
        assert "Querymill-Pipelines" in passed.headers
        assert passed.status == own.status == 200
        assert _timeless(passed.data) == _timeless(own.data)


async def test_a_template_that_comes_to_no_search_is_refused(
    proxy: Client, index_name: str
) -> None:
    """A list is none, with a flag beside it or without."""
    await proxy.index(index_name, {"1": {}})
    await proxy.define("same", "query", SAME["query"])
    for flags in FLAGS[:2]:
        url = f"/{index_name}/_search/template?pipeline=same"
        refused = await proxy.post(url, {"source": "[1, 2]", **flags})
        assert refused.status == 400, refused.body


@pytest.mark.parametrize("phase", ["query", "result"])
async def test_a_template_that_comes_to_a_bad_search_fails_alone(
    proxy: Client, direct: Client, index_name: str, phase: str
) -> None:
    """Among several, as without pipelines; where all are bad, the whole request is."""
    await proxy.index(index_name, {"1": {"title": "shoe"}})
    await proxy.define("same", phase, SAME[phase])
    await proxy.attach(index_name, **{phase: "same"})
    good = {"source": '{"query": {"match": {"title": "{{word}}"}}}', "params": {"word": "shoe"}}
    bad = {"source": '{"query": {"no_such_clause": {"title": "{{word}}"}}}', "params": {}}
    url = f"/{index_name}/_msearch/template"
    for templates in ([good, bad, good], [bad, good], [bad, bad]):
        lines = [orjson.dumps(line) for template in templates for line in ({}, template)]
        body = b"\n".join([*lines, b""])
        own, passed = await direct.post(url, body), await proxy.post(url, body)
        assert passed.status == own.status
        kinds = [
            [(part.get("status"), "error" in part, "hits" in part) for part in parts]
            for parts in (own.data.get("responses", ()), passed.data.get("responses", ()))
        ]
        assert kinds[1] == kinds[0]


def _timeless(response: dict[str, object]) -> bytes:
    kept = {name: value for name, value in response.items() if name not in ("took", "profile")}
    return orjson.dumps({**kept, "profiled": "profile" in response}, option=orjson.OPT_SORT_KEYS)
