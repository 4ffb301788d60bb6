"""One worker and two, for UDFs that compute for some milliseconds; and what two processes do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from bench import material, udfs
from bench.child import Child, module
from bench.figures import Case, Reading
from bench.server import Server
from bench.setting import Setting
from bench.traffic import NO_LIMIT, Route, job, searches

WORKERS_SECTION: Final = "Workers"

TWO_TIMES_ONE: Final = "{kind} UDF: two workers, times one"
PROCESSES: Final = "computing without a proxy: two processes, times one"
SHORT: Final = "shorter"
LONG: Final = "longer"

_WORK: Final = {SHORT: udfs.SHORTER_WORK, LONG: udfs.LONGER_WORK}
_WORKERS: Final = (1, 2)
_BUSY: Final = 32
_CASE: Final = Case(name="workers", baseline="workers", same_work="workers")


def readings(setting: Setting) -> Iterator[Reading]:
    """Measure them. Raises ServerError, ChildError."""
    setting.tell(WORKERS_SECTION)
    plan = setting.plan
    with ExitStack() as stack:
        fronts = {count: stack.enter_context(setting.proxies(workers=count)) for count in _WORKERS}
        natives = [stack.enter_context(module("bench.native")) for _ in _WORKERS]
        server = Server(fronts[1].address)
        for kind, source in _WORK.items():
            server.make_with(_index(kind), f"bench-{kind}", source)
        for number in range(1 - plan.warm_up, plan.rounds + 1):
            figures = [each for kind in _WORK for each in _round(setting, fronts, kind)]
            figures.append((PROCESSES, "x", _processes(natives, plan.long_seconds / 4)))
            if number > 0:
                for what, unit, value in figures:
                    yield Reading(
                        section=WORKERS_SECTION, what=what, unit=unit, round=number, value=value
                    )


def _round(
    setting: Setting, fronts: dict[int, Child], kind: str
) -> Iterator[tuple[str, str, float]]:
    asks = searches(_index(kind), material.searches())
    rates = {}
    for count, front in fronts.items():
        route = Route(case=_CASE, address=front.address, asks=asks)
        used = front.cpu_seconds()
        response = setting.load.ask(job(route, _BUSY, NO_LIMIT, setting.plan.long_seconds / 2))
        used = front.cpu_seconds() - used
        served = response["statuses"].get("200", 0)
        rates[count] = served / response["seconds"]
        prefix = f"{kind} UDF, {count} worker" + ("s: " if count > 1 else ": ")
        yield prefix + "requests a second", "1/s", rates[count]
        yield prefix + "CPU a request", "ms", used * 1000 / served
        yield prefix + "cores busy", "cores", used / response["seconds"]
    yield TWO_TIMES_ONE.format(kind=kind), "x", rates[2] / rates[1]


def _processes(natives: list[Child], seconds: float) -> float:
    """How often the same computing is done by two processes that share nothing, times one."""
    call = {"phase": "query", "limit": 10_000, "context": {}, "request": None, "payload": {}}
    work = {
        "source": udfs.SHORTER_WORK,
        "setup": {"name": "work", "params": {}, "files": {}},
        "call": json.dumps(call | {"declared": False}),
        "runs": NO_LIMIT,
        "seconds": seconds,
    }
    alone = len(natives[0].ask(work)["ns"])
    for native in natives:
        native.send(work)
    return sum(len(native.receive()["ns"]) for native in natives) / alone


def _index(kind: str) -> str:
    return material.static_index(10, kind)
