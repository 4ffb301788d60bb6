"""Suites on a real OpenSearch: searches by all ways, and OpenSearch's own search pipelines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from bench import material, prose, udfs
from bench.child import Child
from bench.figures import Case, Suite
from bench.server import Server
from bench.setting import Setting
from bench.traffic import Route, searches

SEARCH_TITLE: Final = "Searches on OpenSearch"
SLOW_TITLE: Final = "A slow search on OpenSearch"

DIRECT: Final = "direct"
REWRITTEN: Final = "direct, the rewritten query"
PASS: Final = "proxy, no pipeline"
QUERY: Final = "proxy, query pipeline"
BOTH: Final = "proxy, query + result pipeline"
OWN_QUERY: Final = "OpenSearch's own request processor (script)"
OWN_BOTH: Final = "OpenSearch's own request + response processor"
SLOW: Final = "slow search, direct"
SLOW_BOTH: Final = "slow search, query + result pipeline"

QUERY_EXAMPLE: Final = "synonym-expansion"
RESULT_EXAMPLE: Final = "ml-reranking"

_SLOW_INDEX: Final = "bench-slow"
_SLOW_BOTH_INDEX: Final = "bench-slow-both"
_SLOW_COPIES: Final = 10
# Nothing an inverted index answers quickly: every document is looked at by a script.
_SLOW_SCRIPT: Final = (
    "double sum = 0; for (int i = 0; i < params.turns; ++i)"
    " { sum += Math.sqrt(i + doc['popularity'].value); } return sum;"
)
_SLOW_TURNS: Final = 60


def suites(setting: Setting) -> Iterator[Suite]:
    """Measure them, with a proxy of one worker. Raises ServerError, ChildError."""
    with setting.proxies(through=setting.backend.address) as front:
        routes = list(_searches(setting.backend, front))
        yield setting.suite(SEARCH_TITLE, prose.SEARCH_NOTE, routes, setting.plan)
        routes = list(_slow(setting.backend, front))
        plan = replace(setting.plan, connections=(1,), seconds=setting.plan.seconds * 6)
        yield setting.suite(SLOW_TITLE, prose.SLOW_NOTE, routes, plan)


def _searches(backend: Server, proxy: Child) -> Iterator[Route]:
    front = Server(proxy.address)
    query, result = material.example(QUERY_EXAMPLE), material.example(RESULT_EXAMPLE)
    indices = (material.INDEX, material.QUERY_INDEX, material.BOTH_INDEX)
    for index in indices:
        backend.fill(index, material.index_body(), material.products())
    front.upload(query)
    front.upload(result)
    front.attach(material.QUERY_INDEX, query)
    front.attach(material.BOTH_INDEX, query, result)
    asked = material.searches()
    rewritten = [front.rewritten(query, request) for request in asked]

    def direct(name: str, requests: Sequence[dict[str, Any]], same_work: str) -> Route:
        case = Case(name=name, baseline=DIRECT, same_work=same_work)
        asks = searches(material.INDEX, requests)
        return Route(case=case, address=backend.address, asks=asks)

    yield direct(DIRECT, asked, DIRECT)
    yield direct(REWRITTEN, rewritten, REWRITTEN)
    ways = zip((PASS, QUERY, BOTH), indices, (DIRECT, REWRITTEN, REWRITTEN), strict=True)
    for runs, (name, index, same_work) in enumerate(ways):
        case = Case(name=name, baseline=DIRECT, same_work=same_work)
        asks = searches(index, asked)
        yield Route(case=case, address=proxy.address, asks=asks, proxy=proxy, runs=runs)
    for name, processors in (
        (OWN_QUERY, {"request_processors": [_SCRIPT]}),
        (OWN_BOTH, {"request_processors": [_SCRIPT], "response_processors": [_RENAME]}),
    ):
        pipeline = "bench-request" if name == OWN_QUERY else "bench-request-response"
        backend.call("PUT", f"/_search/pipeline/{pipeline}", processors)
        named = [request | {"search_pipeline": pipeline} for request in asked]
        yield direct(name, named, DIRECT)


def _slow(backend: Server, proxy: Child) -> Iterator[Route]:
    front = Server(proxy.address)
    front.store_udf("bench-slow", _IDENTITIES)
    for phase in ("query", "result"):
        stage = {"udf_name": "bench-slow"}
        front.store(f"bench-slow-{phase}", phase, stage)
    for index in (_SLOW_INDEX, _SLOW_BOTH_INDEX):
        backend.fill(index, material.index_body(), material.products() * _SLOW_COPIES)
    names = {"query": "bench-slow-query", "result": "bench-slow-result"}
    front.attach_names(_SLOW_BOTH_INDEX, names)
    script = {"source": _SLOW_SCRIPT, "params": {"turns": _SLOW_TURNS}}
    query = {"script_score": {"query": {"match_all": {}}, "script": script}}
    asked = [{"query": query, "size": 10, "track_total_hits": True}]
    case = Case(name=SLOW, baseline=SLOW, same_work=SLOW)
    yield Route(case=case, address=backend.address, asks=searches(_SLOW_INDEX, asked))
    case = Case(name=SLOW_BOTH, baseline=SLOW, same_work=SLOW)
    asks = searches(_SLOW_BOTH_INDEX, asked)
    yield Route(case=case, address=proxy.address, asks=asks, proxy=proxy, runs=2)


_SCRIPT: Final = {"script": {"lang": "painless", "source": "ctx._source['size'] = 10;"}}
_RENAME: Final = {"rename_field": {"field": "title", "target_field": "name"}}

# The backend is to have the same work as without them; the result stage sorts all the same.
_IDENTITIES: Final = udfs.IDENTITY + udfs.REWRITE[udfs.REWRITE.index("def popularity") :]
