"""Suites in front of the static backend: the way itself, and what stages add to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from bench import material, prose, udfs
from bench.child import Child
from bench.figures import Case, Suite
from bench.peers import if_there
from bench.server import Server
from bench.setting import Setting
from bench.traffic import NO_LIMIT, Ask, Route, searches

PASS_TITLE: Final = "Pass-through"
REWRITE_TITLE: Final = "Rewriting"
COST_TITLE: Final = "Hits and stages"
PACED_TITLE: Final = "Paced"

DIRECT: Final = "direct"
QUERYMILL: Final = "querymill"
NGINX: Final = "nginx"
NJS: Final = "nginx + njs, query + result"
QUERY: Final = "querymill, query stage"
BOTH: Final = "querymill, query + result stage"
BOTH_DECLARED: Final = "querymill, query + result stage, declared fields"
PASS_10: Final = "10 hits, no pipeline"
PASS_100: Final = "100 hits, no pipeline"
WHOLE_100: Final = "100 hits, whole response"
DECLARED_100: Final = "100 hits, declared fields"
PACED_PASS: Final = "no pipeline"
PACED_FRESH: Final = "query stage in request isolation"

STAGES: Final = (1, 2, 5, 10)
PACED_RATE: Final = 100
PACED_CONNECTIONS: Final = 4

# Variants of a pass-through: what a case is called after its proxy, hits, and method.
_VARIANTS: Final = (("", 10, "POST"), (", GET", 10, "GET"), (", 600 KB", 1000, "POST"))


def prepare(server: Server) -> None:
    """Store the functions, pipelines and indices of these suites. Raises ServerError."""
    server.store_udf("bench-identity", udfs.IDENTITY)
    server.store_udf("bench-rewrite", udfs.REWRITE)
    server.store_udf("bench-rerank", udfs.RERANK)
    rewrite = {"udf_name": "bench-rewrite"}
    server.store("bench-query", "query", rewrite)
    server.store("bench-result", "result", rewrite)
    server.store("bench-fresh", "query", rewrite | {"isolation": "request"})
    declared = {"udf_name": "bench-rerank", "input": udfs.RERANK_INPUT}
    server.store("bench-declared", "result", declared)
    for count in STAGES:
        # equal stages would share sandboxes; these do as different UDFs would
        stages = [{"udf_name": "bench-identity", "parameters": {"n": n}} for n in range(count)]
        server.store(f"bench-stages-{count}", "query", *stages)
    for hits in material.STATIC_HITS:
        for what, names in _attachments(hits):
            server.make(material.static_index(hits, what), names)


def suites(setting: Setting) -> Iterator[Suite]:
    """Measure them, with a proxy of one worker. Raises ServerError, ChildError."""
    with setting.proxies() as front:
        prepare(Server(front.address))
        static = setting.static.address
        nginx = if_there(setting.peers.nginx, static)
        haproxy = if_there(setting.peers.haproxy, static)
        njs = if_there(setting.peers.njs, static)
        peers = [*nginx, *haproxy, *njs]
        try:
            plan = setting.plan
            with setting.apart([front, *peers]):
                routes = list(_passing(setting, front, [*nginx, *haproxy]))
                yield setting.suite(PASS_TITLE, prose.PASS_NOTE, routes, plan)
                routes = list(_rewriting(setting, front, njs))
                yield setting.suite(REWRITE_TITLE, prose.REWRITE_NOTE, routes, plan)
                single = replace(plan, connections=(1,))
                routes = list(_costs(setting, front))
                yield setting.suite(COST_TITLE, prose.COST_NOTE, routes, single)
            longer = replace(
                plan,
                rounds=min(plan.rounds, 3),
                connections=(PACED_CONNECTIONS,),
                requests=NO_LIMIT,
                seconds=max(2 * plan.seconds, 1.0),
            )
            yield setting.suite(PACED_TITLE, prose.PACED_NOTE, list(_paced(front)), longer)
        finally:
            for peer in peers:
                peer.stop()


def _attachments(hits: int) -> Iterator[tuple[str, dict[str, str]]]:
    yield "", {}
    yield "whole", {"result": "bench-result"}
    yield "declared", {"result": "bench-declared"}
    if hits == 10:
        yield "query", {"query": "bench-query"}
        yield "both", {"query": "bench-query", "result": "bench-result"}
        yield "both-declared", {"query": "bench-query", "result": "bench-declared"}
        yield "fresh", {"query": "bench-fresh"}
        for count in STAGES:
            yield f"stages-{count}", {"query": f"bench-stages-{count}"}


def _passing(setting: Setting, front: Child, peers: Sequence[Child]) -> Iterator[Route]:
    for label, hits, method in _VARIANTS:
        asks = _asks(hits, method)
        case = _case(DIRECT + label)
        yield Route(case=case, address=setting.static.address, asks=asks, proxy=setting.static)
        for name, child in [*((peer.name, peer) for peer in peers), (QUERYMILL, front)]:
            case = _case(name + label, DIRECT + label)
            yield Route(case=case, address=child.address, asks=asks, proxy=child)


def _rewriting(setting: Setting, front: Child, njs: Sequence[Child]) -> Iterator[Route]:
    static, through = setting.static.address, front.address
    yield Route(case=_case(DIRECT), address=static, asks=_asks(10))
    yield Route(case=_case(QUERYMILL, DIRECT), address=through, asks=_asks(10), proxy=front)
    ways = ((QUERY, "query", 1), (BOTH, "both", 2), (BOTH_DECLARED, "both-declared", 2))
    for name, what, runs in ways:
        case = Case(name=name, baseline=DIRECT, same_work=QUERYMILL)
        asks = _asks(10, what=what)
        yield Route(case=case, address=through, asks=asks, proxy=front, runs=runs)
    for child in njs:
        case = _case(NJS, DIRECT)
        yield Route(case=case, address=child.address, asks=_asks(10), proxy=child)


def _costs(setting: Setting, front: Child) -> Iterator[Route]:
    address = front.address
    for hits in material.STATIC_HITS:
        base = f"{hits} hits, no pipeline"
        yield Route(case=_case(base), address=address, asks=_asks(hits), proxy=front)
        for name, what in (("whole response", "whole"), ("declared fields", "declared")):
            case = _case(f"{hits} hits, {name}", base)
            asks = _asks(hits, what=what)
            yield Route(case=case, address=address, asks=asks, proxy=front, runs=1)
    for count in STAGES:
        case = _case(f"{count} query stages" if count > 1 else "1 query stage", PASS_10)
        asks = _asks(10, what=f"stages-{count}")
        yield Route(case=case, address=address, asks=asks, proxy=front, runs=1)


def _paced(front: Child) -> Iterator[Route]:
    for case, what, runs in (
        (_case(PACED_PASS), "", 0),
        (_case("query stage in pooled isolation", PACED_PASS), "query", 1),
        (_case(PACED_FRESH, PACED_PASS), "fresh", 1),
    ):
        asks = _asks(10, what=what)
        address = front.address
        yield Route(case=case, address=address, asks=asks, proxy=front, runs=runs, rate=PACED_RATE)


def _case(name: str, baseline: str = "") -> Case:
    return Case(name=name, baseline=baseline or name, same_work=baseline or name)


def _asks(hits: int, method: str = "POST", what: str = "") -> list[Ask]:
    index = material.static_index(hits, what)
    if method == "GET":
        return [("GET", f"/{index}/_search?q=title:laptop&size={hits}", "")]
    return searches(index, material.searches())
