"""More requests than a pipeline can run: how soon the others are refused, and what else feels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bench import material, udfs
from bench.child import Child, module
from bench.figures import Case, Reading, percentile
from bench.server import Server, ServerError
from bench.setting import Setting
from bench.traffic import NO_LIMIT, Route, job, searches

OVERLOAD_SECTION: Final = "Overload"
REFUSED_P99: Final = "429s, p99"

# Of one index at once, with as many waiting.
_PLACES: Final = 8
_OFFERED: Final = 1000
_CONNECTIONS: Final = 64
# What is well below the worker's own limits.
_OTHERS: Final = 200
_OTHERS_CONNECTIONS: Final = 8
_CASE: Final = Case(name="overload", baseline="overload", same_work="overload")


def readings(setting: Setting) -> Iterator[Reading]:
    """Measure it. Raises ServerError, ChildError."""
    setting.tell(OVERLOAD_SECTION)
    plan = setting.plan
    work = {"busy": udfs.LONGER_WORK, "calm": udfs.REWRITE}
    seconds = plan.long_seconds * 0.8
    with (
        setting.proxies("--index-max-in-flight", str(_PLACES)) as front,
        module("bench.load") as clients,
    ):
        server = Server(front.address)
        for name, source in work.items():
            server.make_with(_index(name), f"bench-{name}", source)
        busy = _route(front, "busy", _OFFERED)
        calm = _route(front, "calm", _OTHERS)
        for number in range(1 - plan.warm_up, plan.rounds + 1):
            alone = setting.p99_ms(calm, _OTHERS_CONNECTIONS, seconds)
            offer = job(busy, _CONNECTIONS, NO_LIMIT, plan.long_seconds) | {"by_status": True}
            clients.send(offer)
            beside = setting.p99_ms(calm, _OTHERS_CONNECTIONS, seconds)
            response = clients.receive()
            if number > 0:
                for what, unit, value in (
                    *_told(response),
                    ("p99 of the other index, alone", "ms", alone),
                    ("p99 of the other index, beside", "ms", beside),
                ):
                    yield Reading(
                        section=OVERLOAD_SECTION, what=what, unit=unit, round=number, value=value
                    )


def _told(response: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Of the overloaded index."""
    by_status: dict[int, list[int]] = {}
    for code, latency in zip(response["codes"], response["latencies_ns"], strict=True):
        by_status.setdefault(code, []).append(latency)
    if by_status.keys() != {200, 429}:
        raise ServerError(f"an overloaded index was answered with {sorted(by_status)}")
    done, refused = (sorted(by_status[code]) for code in (200, 429))
    yield "requests a second, sent", "1/s", len(response["codes"]) / response["seconds"]
    yield "requests a second, done", "1/s", len(done) / response["seconds"]
    yield "requests a second, refused with a 429", "1/s", len(refused) / response["seconds"]
    yield "done, p50", "ms", percentile(done, 0.50) / 1e6
    yield "429s, p50", "ms", percentile(refused, 0.50) / 1e6
    yield REFUSED_P99, "ms", percentile(refused, 0.99) / 1e6


def _route(front: Child, name: str, rate: float) -> Route:
    asks = searches(_index(name), material.searches())
    return Route(case=_CASE, address=front.address, asks=asks, rate=rate)


def _index(name: str) -> str:
    return material.static_index(10, name)
