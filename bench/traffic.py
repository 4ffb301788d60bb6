"""Searches direct and through proxies, interleaved round by round."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench import material
from bench.child import Child
from bench.figures import Case, Sample, percentile
from bench.plan import Plan
from bench.server import Server, ServerError

DIRECT: Final = "direct"
REWRITTEN: Final = "direct, the rewritten query"
PASS: Final = "proxy, no pipeline"
QUERY: Final = "proxy, query pipeline"
BOTH: Final = "proxy, query + result pipeline"
STATIC: Final = "static backend, direct"
STATIC_PASS: Final = "static backend, proxy"

SEARCH_CASES: Final = (
    Case(name=DIRECT, baseline=DIRECT, same_work=DIRECT),
    Case(name=REWRITTEN, baseline=DIRECT, same_work=REWRITTEN),
    Case(name=PASS, baseline=DIRECT, same_work=DIRECT),
    Case(name=QUERY, baseline=DIRECT, same_work=REWRITTEN),
    Case(name=BOTH, baseline=DIRECT, same_work=REWRITTEN),
)
STATIC_CASES: Final = (
    Case(name=STATIC, baseline=STATIC, same_work=STATIC),
    Case(name=STATIC_PASS, baseline=STATIC, same_work=STATIC),
)

QUERY_EXAMPLE: Final = "synonym-expansion"
RESULT_EXAMPLE: Final = "ml-reranking"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where the requests of a case go.

    proxy: the process on the way whose CPU is counted. runs: how many pipelines an answer names.
    """

    case: str
    address: str
    index: str
    requests: Sequence[dict[str, Any]]
    proxy: Child | None = None
    runs: int = 0


def search_routes(backend: Server, proxy: Child) -> list[Route]:
    """Fill the backend, upload the pipelines, and tell the five ways to search.

    Raises ServerError, ChildError.
    """
    front = Server(proxy.address)
    query, result = material.example(QUERY_EXAMPLE), material.example(RESULT_EXAMPLE)
    for index in (material.INDEX, material.QUERY_INDEX, material.BOTH_INDEX):
        backend.fill(index, material.index_body(), material.products())
    front.upload(query)
    front.upload(result)
    front.attach(material.QUERY_INDEX, query)
    front.attach(material.BOTH_INDEX, query, result)
    asked = material.searches()
    rewritten = [front.rewritten(query, request) for request in asked]
    there, through, plain = backend.address, front.address, material.INDEX
    return [
        Route(case=DIRECT, address=there, index=plain, requests=asked),
        Route(case=REWRITTEN, address=there, index=plain, requests=rewritten),
        Route(case=PASS, address=through, index=plain, requests=asked, proxy=proxy),
        Route(
            case=QUERY,
            address=through,
            index=material.QUERY_INDEX,
            requests=asked,
            proxy=proxy,
            runs=1,
        ),
        Route(
            case=BOTH,
            address=through,
            index=material.BOTH_INDEX,
            requests=asked,
            proxy=proxy,
            runs=2,
        ),
    ]


def static_routes(static: Child, proxy: Child) -> list[Route]:
    """The two ways to the static backend. Raises ChildError."""
    asked = material.searches()
    return [
        Route(case=STATIC, address=static.address, index=material.INDEX, requests=asked),
        Route(
            case=STATIC_PASS,
            address=proxy.address,
            index=material.INDEX,
            requests=asked,
            proxy=proxy,
        ),
    ]


def measure(load: Child, routes: Sequence[Route], plan: Plan, tell: Tell) -> list[Sample]:
    """All rounds; each begins with another case, and those that warm up are thrown away.

    `tell` is given a line for each round. Raises ServerError, ChildError.
    """
    samples: list[Sample] = []
    for number in range(1 - plan.warm_up, plan.rounds + 1):
        tell(f"round {number} of {plan.rounds}" if number > 0 else "warming up")
        shift = number % len(routes)
        for connections in plan.connections:
            for route in (*routes[shift:], *routes[:shift]):
                sample = _sample(load, route, plan, connections, number)
                if number > 0:
                    samples.append(sample)
    return samples


def _sample(load: Child, route: Route, plan: Plan, connections: int, number: int) -> Sample:
    host, _, port = route.address.rpartition(":")
    job = {
        "host": host,
        "port": int(port),
        "case": route.case,
        "path": f"/{route.index}/_search",
        "bodies": [json.dumps(request) for request in route.requests],
        "connections": connections,
        "requests": plan.requests,
        "seconds": plan.seconds,
    }
    before = route.proxy.cpu_seconds() if route.proxy else 0.0
    answer = load.ask(job)
    used = route.proxy.cpu_seconds() - before if route.proxy else None
    _check(route, answer)
    latencies = sorted(answer["latencies_ns"])
    requests = sum(answer["statuses"].values())
    return Sample(
        case=route.case,
        connections=connections,
        round=number,
        requests=requests,
        seconds=answer["seconds"],
        p50_us=percentile(latencies, 0.50) / 1000,
        p99_us=percentile(latencies, 0.99) / 1000,
        cpu_us=None if used is None else used * 1e6 / requests,
        degraded=answer["warnings"],
    )


def _check(route: Route, answer: dict[str, Any]) -> None:
    """An answer that is no answer, or that no pipeline ran for, must not pass for a fast one."""
    if set(answer["statuses"]) != {"200"}:
        raise ServerError(f"[{route.case}] was answered with the statuses {answer['statuses']}")
    named = [name for name in answer["pipelines"].split(",") if name]
    if len(named) != route.runs:
        raise ServerError(f"[{route.case}] ran {named}, not {route.runs} pipelines")
