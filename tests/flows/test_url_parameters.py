"""Every parameter of a search combines with its body as it does on the backend, direct."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client, Response
from tests.conftest import StartOn, connect

INDEX = "test-parameters"
DOCUMENTS = {
    "1": {"price": 3, "brand": "b", "title": "red shoe"},
    "2": {"price": 1, "brand": "a", "title": "blue shoe"},
    "3": {"price": 2, "brand": "a", "title": "red hat"},
    "4": {"price": 2, "brand": "b", "title": "green hat"},
}
MAPPING = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {
        "properties": {
            "price": {"type": "integer"},
            "brand": {"type": "keyword", "store": True},
            "title": {"type": "text", "store": True},
        }
    },
}
# Changes the request, and nothing about what it finds.
TOUCH = "def query(request, context):\n    return {**request, 'profile': False}\n"
TOUCH_QUERY = (
    "def query(request, context):\n"
    "    own = request.get('query') or {'match_all': {}}\n"
    "    return {**request, 'query': {'bool': {'must': [own]}}}\n"
)
RED: dict[str, Any] = {"query": {"match": {"title": "red"}}}

CASES: list[tuple[str, Any]] = [
    ("sort=price:desc", {"sort": ["brand"]}),
    ("sort=price:desc", {"sort": "brand"}),
    ("sort=price:desc", {"sort": {"brand": "desc"}}),
    ("sort=price:desc", {"sort": {"brand": "desc", "price": "asc"}}),
    ("sort=price:desc", {"sort": [{"brand": {"order": "desc"}}, "_doc"]}),
    ("sort=brand,price:asc", {"sort": []}),
    ("sort=price:desc", {"sort": None}),
    ("sort=price:desc", {"sort": 7}),
    ("sort=price:desc", {}),
    ("sort=price:upwards", {}),
    ("sort=price:upwards,brand", {"sort": ["price"]}),
    ("sort=price:", {}),
    ("sort=:desc", {}),
    ("sort=price:DESC", {}),
    ("sort=", {"sort": ["price"]}),
    ("sort=brand,,price", {}),
    ("sort=_score", RED),
    ("sort=_score:asc", RED),
    ("sort=missing", {}),
    ("docvalue_fields=price", {"docvalue_fields": ["brand"]}),
    ("docvalue_fields=price", {"docvalue_fields": [{"field": "brand"}]}),
    ("docvalue_fields=price,brand", {}),
    ("docvalue_fields=", {"docvalue_fields": ["brand"]}),
    ("docvalue_fields=brand", {"docvalue_fields": ["brand"]}),
    ("docvalue_fields=brand", {"docvalue_fields": "price"}),
    ("stored_fields=brand", {"stored_fields": ["title"]}),
    ("stored_fields=brand,title", {}),
    ("stored_fields=_none_", {"stored_fields": ["title"]}),
    ("stored_fields=_none_,brand", {}),
    ("stored_fields=", {"stored_fields": ["title"]}),
    ("stored_fields=brand", {"_source": True}),
    ("stored_fields=_source,brand", {}),
    ("_source=price", {"_source": ["brand"]}),
    ("_source=false", {"_source": ["brand"]}),
    ("_source=true", {"_source": False}),
    ("_source=", {"_source": ["brand"]}),
    ("_source=pr*,brand", {}),
    ("_source_includes=price", {"_source": ["brand"]}),
    ("_source_excludes=price", {"_source": ["brand"]}),
    ("_source_includes=price,brand&_source_excludes=br*", {}),
    ("_source=brand&_source_includes=price", {}),
    ("_source=brand&_source_excludes=brand", {}),
    ("_source=false&_source_includes=price", {}),
    ("_source=false&_source_excludes=price", {}),
    ("_source=true&_source_includes=price", {}),
    ("_source_includes=", {"_source": ["brand"]}),
    ("_source_excludes=", {"_source": ["brand"]}),
    ("_source_exclude_vectors=false", {"_source": ["brand"]}),
    ("_source_exclude_vectors=false&_source_includes=price", {}),
    ("_source_exclude_vectors=x", {}),
    ("q=red", {}),
    ("q=title:red", {"query": {"match": {"title": "hat"}}}),
    ("q=red%20hat&df=title&default_operator=and", {}),
    ("q=red%20hat&df=title&default_operator=AND", {}),
    ("q=red%20hat&df=title&default_operator=nor", {}),
    ("q=re*&df=title&analyze_wildcard=true&lenient=true&analyzer=simple", {}),
    ("q=re*&df=title&analyze_wildcard&lenient", {}),
    ("q=price:x&lenient", {}),
    ("q=price:x&lenient=true", {}),
    ("q=price:x&lenient=maybe", {}),
    ("q=", {}),
    ("q=title:red&df=", {}),
    ("q=((", {}),
    ("df=title", RED),
    ("lenient=true", RED),
    ("from=1&size=2", {"from": 3, "size": 1}),
    ("size=1", {"size": 3}),
    ("size=0", {}),
    ("size=%2B2", {}),
    ("size=-1", {}),
    ("size=", {"size": 1}),
    ("size=1.0", {}),
    ("size=99999999999", {}),
    ("from=-1", {}),
    ("from=x", {}),
    ("explain=true", {"explain": False, "size": 1}),
    ("explain=false", {"explain": True, "size": 1}),
    ("explain", {"size": 1}),
    ("explain=", {"explain": True, "size": 1}),
    ("explain=maybe", {}),
    ("version=true", {}),
    ("version", {"version": True}),
    ("version", {}),
    ("seq_no_primary_term=true", {}),
    ("seq_no_primary_term", {"seq_no_primary_term": True}),
    ("seq_no_primary_term", {}),
    ("track_scores=true&sort=price", RED),
    ("track_scores&sort=price", RED),
    ("track_scores=&sort=price", {**RED, "track_scores": False}),
    ("track_scores=false", {**RED, "track_scores": True, "sort": ["price"]}),
    ("track_total_hits=false", {"track_total_hits": True}),
    ("track_total_hits=true", {"track_total_hits": False}),
    ("track_total_hits=2", {"track_total_hits": True}),
    ("track_total_hits", {"track_total_hits": False}),
    ("track_total_hits=", {"track_total_hits": False}),
    ("track_total_hits=x", {}),
    ("track_total_hits=-1", {}),
    ("track_total_hits=-2", {}),
    ("rest_total_hits_as_int=true", {"track_total_hits": 2}),
    ("rest_total_hits_as_int=true&track_total_hits=2", {}),
    ("rest_total_hits_as_int=true", {}),
    ("timeout=1s", {"timeout": "2s"}),
    ("timeout=", {}),
    ("timeout=1", {}),
    ("timeout=-1", {}),
    ("terminate_after=1", {"terminate_after": 3}),
    ("terminate_after=-1", {}),
    ("terminate_after=0", {"terminate_after": 1}),
    ("stats=a,b", {"stats": ["c"]}),
    ("stats=", {}),
    ("suggest_field=title&suggest_text=rad", {}),
    (
        "suggest_field=title&suggest_text=rad",
        {"suggest": {"x": {"text": "rad", "term": {"field": "title"}}}},
    ),
    ("suggest_field=title&suggest_text=rad&suggest_mode=always&suggest_size=1", {}),
    ("suggest_field=title&suggest_text=rad&suggest_mode=ALWAYS", {}),
    ("suggest_field=title&suggest_text=rad&suggest_mode=x", {}),
    ("suggest_field=title&suggest_text=rad&suggest_mode=", {}),
    ("suggest_field=title&q=rad", {}),
    ("suggest_field=title", {}),
    ("suggest_text=rad", {}),
    ("request_cache=true&size=0", {}),
    ("search_type=dfs_query_then_fetch", RED),
    ("preference=_local&routing=1", RED),
    ("typed_keys=true&batched_reduce_size=3", RED),
    ("nonsense=1", RED),
    ("min_score=1", RED),
]
QUERY_CASES: list[tuple[str, str, Any]] = [
    (verb, url, body)
    for verb in ("_count", "_validate/query", "_explain/1")
    for url, body in (
        ("q=title:red", None),
        ("q=title:red", {"query": {"match": {"title": "hat"}}}),
        ("q=red&df=title&default_operator=AND&analyzer=simple&lenient", None),
        ("q=price:x&lenient=true", None),
        ("q=((", None),
        ("", {"query": {"match": {"title": "hat"}}}),
    )
] + [
    ("_count", "q=title:red&min_score=0.1", None),
    ("_count", "terminate_after=1", None),
    ("_explain/1", "q=title:red&_source_includes=price", None),
    ("_explain/1", "q=title:red&stored_fields=brand", None),
    ("_validate/query", "q=title:red&explain=true&rewrite=true", None),
]
TEMPLATE_CASES = [
    "size=1",
    "from=1",
    "q=title:red",
    "sort=price:desc",
    "_source=price",
    "track_total_hits=false",
    "explain=true",
    "version=true",
    "docvalue_fields=price",
    "stored_fields=brand",
    "suggest_field=title&suggest_text=rad",
    "terminate_after=1&timeout=1s&stats=a",
    "rest_total_hits_as_int=true",
    "typed_keys=true",
    "preference=_local&routing=1",
    "nonsense=1",
    "size=x",
    "df=title",
]


@pytest.fixture(scope="module")
def made() -> set[str]:
    """The backends that have the index."""
    return set()


@pytest.fixture
async def changed_sides(
    each_backend: EmbeddedCluster, start_on: StartOn
) -> AsyncIterator[tuple[Client, Client]]:
    """A backend with an index, direct and through a proxy whose pipelines change each request."""
    server = await start_on(each_backend)
    async with aiohttp.ClientSession(each_backend.url) as session, connect(server) as proxy:
        direct = Client(session)
        await direct.put(f"/{INDEX}", MAPPING)
        for doc_id, document in DOCUMENTS.items():
            await direct.put(f"/{INDEX}/_doc/{doc_id}", document)
        await direct.post(f"/{INDEX}/_refresh")
        await proxy.define("touch", "query", TOUCH)
        await proxy.define("touch-query", "query", TOUCH_QUERY)
        yield direct, proxy
        await direct.delete(f"/{INDEX}")


def steady(response: Response) -> Any:
    """A response without what differs from one time to the next."""
    data = response.data
    if response.status != 200:
        error = data["error"]
        return response.status, error["type"] if isinstance(error, dict) else error
    for name in ("took", "_shards"):
        data.pop(name, None)
    return response.status, data


def differing(reported: list[tuple[Any, Any, Any]]) -> list[tuple[Any, Any, Any]]:
    return [each for each in reported if each[1] != each[2]]


async def test_searches(changed_sides: tuple[Client, Client]) -> None:
    """What adds up, what replaces, what is refused, and what an empty value means."""
    direct, proxy = changed_sides
    reported = []
    for url, body in CASES:
        target = f"/{INDEX}/_search?{url}"
        expected = steady(await direct.post(target, body))
        response = await proxy.post(f"{target}&pipeline=touch", body)
        reported.append(((url, body), expected, steady(response)))
        if response.status == 200:
            assert "Warning" not in response.headers, (url, body)
    assert differing(reported) == []


async def test_endpoints_of_a_query(changed_sides: tuple[Client, Client]) -> None:
    """They take a query from the URL only where there is no body."""
    direct, proxy = changed_sides
    reported = []
    for verb, url, body in QUERY_CASES:
        target = f"/{INDEX}/{verb}?{url}"
        expected = steady(await direct.post(target, body))
        response = await proxy.post(f"{target}&pipeline=touch-query", body)
        seen = steady(response)
        for side in (expected[1], seen[1]):
            # Tells the query that ran, which is the pipeline's.
            if isinstance(side, dict):
                side.pop("explanation", None)
                side.pop("explanations", None)
        reported.append(((verb, url, body), expected, seen))
    assert differing(reported) == []


async def test_templates(opensearch: EmbeddedCluster, start_on: StartOn, index_name: str) -> None:
    """What the template says counts, whatever of a search stands in the URL."""
    async with (
        aiohttp.ClientSession(opensearch.url) as session,
        connect(await start_on(opensearch)) as proxy,
    ):
        direct = Client(session)
        await proxy.index(index_name, DOCUMENTS)
        await proxy.define("touch", "query", TOUCH)
        body = {"source": {"size": 3, "sort": ["price", "_doc"]}}
        reported = []
        for url in TEMPLATE_CASES:
            target = f"/{index_name}/_search/template?{url}"
            expected = steady(await direct.post(target, body))
            seen = steady(await proxy.post(f"{target}&pipeline=touch", body))
            reported.append((url, expected, seen))
        assert differing(reported) == []


@pytest.mark.parametrize("url", ["q=title:red", "sort=price:desc", "size=1", "_source=false"])
async def test_a_pipeline_sees_what_the_backend_would(
    changed_sides: tuple[Client, Client], url: str
) -> None:
    """The parameter stands in the request, and not in the URL any more."""
    _, proxy = changed_sides
    shows = "def result(r, c):\n    return {**r, 'request': c.request}\n"
    await proxy.define("shows", "result", shows)
    name = quote(url.partition("=")[0])
    target = f"/{INDEX}/_search?{url}&pipeline=touch,shows"
    seen = (await proxy.post(target, {"sort": ["brand"]})).data["request"]
    assert ("query" if name == "q" else name) in seen
    assert seen["sort"][0] == "brand"
