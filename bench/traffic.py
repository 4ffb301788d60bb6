"""The same requests by different ways, interleaved round by round."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.child import Child
from bench.figures import Case, Sample, percentile
from bench.plan import Plan
from bench.server import ServerError

Tell = Callable[[str], None]

Ask = tuple[str, str, str]
"""Method, path and body of a request."""

# So many requests are more than any job has the time for.
NO_LIMIT: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where the requests of a case go.

    proxy: the process on the way whose CPU is counted. runs: how many pipelines a response names.
    connections: at which numbers it is measured; empty: at all of the plan.
    rate: requests a second; 0 sends each as soon as the one before is answered.
    refuse: a text that makes a response with the status 200 a wrong one all the same.
    before: done ahead of each measurement.
    """

    case: Case
    address: str
    asks: Sequence[Ask]
    proxy: Child | None = None
    runs: int = 0
    connections: tuple[int, ...] = ()
    rate: float = 0
    refuse: str = ""
    before: Callable[[], None] | None = None


def searches(index: str, requests: Sequence[dict[str, Any]]) -> list[Ask]:
    """Searches of an index."""
    return [("POST", f"/{index}/_search", json.dumps(request)) for request in requests]


def measure(load: Child, routes: Sequence[Route], plan: Plan, tell: Tell) -> list[Sample]:
    """All rounds; each begins with another case, and those that warm up are thrown away.

    `tell` is given a line for each round. Raises ServerError, ChildError.
    """
    samples: list[Sample] = []
    for number in range(1 - plan.warm_up, plan.rounds + 1):
        tell(f"  round {number} of {plan.rounds}" if number > 0 else "  warming up")
        shift = number % len(routes)
        for connections in plan.connections:
            for route in (*routes[shift:], *routes[:shift]):
                if route.connections and connections not in route.connections:
                    continue
                sample = sampled(load, route, plan, connections, number)
                if number > 0:
                    samples.append(sample)
    return samples


def sampled(load: Child, route: Route, plan: Plan, connections: int, number: int) -> Sample:
    """One case in one round. Raises ServerError, ChildError."""
    if route.before is not None:
        route.before()
    before = route.proxy.cpu_seconds() if route.proxy else 0.0
    response = load.ask(job(route, connections, plan.requests, plan.seconds))
    used = route.proxy.cpu_seconds() - before if route.proxy else None
    _check(route, response)
    return sample_of(route, connections, number, response, used)


def job(route: Route, connections: int, requests: int, seconds: float) -> dict[str, Any]:
    """What the load generator is asked to do."""
    host, _, port = route.address.rpartition(":")
    return {
        "host": host,
        "port": int(port),
        "case": route.case.name,
        "asks": route.asks,
        "connections": connections,
        "requests": requests,
        "seconds": seconds,
        "rate": route.rate,
        "refuse": route.refuse,
    }


def sample_of(
    route: Route, connections: int, number: int, response: dict[str, Any], used: float | None
) -> Sample:
    """The load generator's response summed up; `used` is the CPU seconds of the proxy.

    Raises ServerError when there is nothing to sum up.
    """
    latencies = sorted(response["latencies_ns"])
    if not latencies:
        name = route.case.name
        raise ServerError(f"[{name}] was answered once or less a connection: give it more time")
    requests = sum(response["statuses"].values())
    return Sample(
        case=route.case.name,
        connections=connections,
        round=number,
        requests=requests,
        seconds=response["seconds"],
        p50_us=percentile(latencies, 0.50) / 1000,
        p99_us=percentile(latencies, 0.99) / 1000,
        cpu_us=None if used is None else used * 1e6 / requests,
        degraded=response["warnings"],
        errors=requests - response["statuses"].get("200", 0),
    )


def _check(route: Route, response: dict[str, Any]) -> None:
    """A response that failed, or that no pipeline ran for, must not pass for a fast one."""
    name = route.case.name
    if set(response["statuses"]) != {"200"}:
        raise ServerError(f"[{name}] was answered with the statuses {response['statuses']}")
    if response["refused"]:
        raise ServerError(f"[{name}] has {response['refused']} answers with {route.refuse}")
    named = [each for each in response["pipelines"].split(",") if each]
    if len(named) != route.runs:
        raise ServerError(f"[{name}] ran {named}, not {route.runs} pipelines")
