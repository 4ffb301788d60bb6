"""Half load for minutes: whether memory grows."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Final

from bench import material, passing
from bench.figures import Case, Reading
from bench.server import Server
from bench.setting import Setting
from bench.traffic import NO_LIMIT, Route, job, searches

SOAK_SECTION: Final = "Half load"
GROWTH: Final = "memory at the end, less that of the second tenth (PSS)"

# Memory differs by this much from one look to the next without growing.
NOISE_MIB: Final = 8.0

_CONNECTIONS: Final = 32
_PARTS: Final = 20


def readings(setting: Setting) -> Iterator[Reading]:
    """Measure it, if the plan has time for it. Raises ServerError, ChildError."""
    seconds = setting.plan.soak_seconds
    if not seconds:
        return
    setting.tell(f"{SOAK_SECTION}, {seconds:g} s")
    with setting.proxies() as front:
        passing.prepare(Server(front.address))
        asks = searches(material.static_index(10, "both"), material.searches())
        case = Case(name=SOAK_SECTION, baseline=SOAK_SECTION, same_work=SOAK_SECTION)
        route = Route(case=case, address=front.address, asks=asks)
        full = setting.load.ask(job(route, _CONNECTIONS, NO_LIMIT, 5.0))
        rate = len(full["latencies_ns"]) / full["seconds"] / 2
        sizes: list[float] = []
        errors = 0
        for part in range(1, _PARTS + 1):
            question = job(route, _CONNECTIONS, NO_LIMIT, seconds / _PARTS) | {"rate": rate}
            answer = setting.load.ask(question)
            errors += sum(answer["statuses"].values()) - answer["statuses"].get("200", 0)
            sizes.append(front.pss_bytes() / 2**20)
            yield _reading(f"memory after part {part} of {_PARTS} (PSS)", "MiB", sizes[-1])
    yield _reading("requests a second", "1/s", rate)
    yield _reading("errors", "", float(errors))
    early, late = statistics.mean(sizes[2:4]), statistics.mean(sizes[-2:])
    yield _reading(GROWTH, "MiB", late - early)


def _reading(what: str, unit: str, value: float) -> Reading:
    return Reading(section=SOAK_SECTION, what=what, unit=unit, round=1, value=value)
