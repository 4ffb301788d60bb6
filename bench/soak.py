"""Half load for minutes: whether memory, open files or tasks grow."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench import material, passing
from bench.child import Child
from bench.figures import Case, Reading
from bench.server import Server
from bench.setting import Setting
from bench.traffic import NO_LIMIT, Route, job, searches

SOAK_SECTION: Final = "Half load"
GROWTH: Final = "memory at the end, less that of the second tenth (PSS)"
FILES: Final = "open files at the end, less those of the second tenth"
TASKS: Final = "tasks at the end, less those of the second tenth"

# Memory differs by this much from one look to the next without growing.
NOISE_MIB: Final = 8.0

_CONNECTIONS: Final = 32
# Connections to the backend are opened and closed as requests come together, and each is a file.
NOISE_FILES: Final = float(_CONNECTIONS)

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
        looks: list[_Look] = []
        errors = 0
        for part in range(1, _PARTS + 1):
            question = job(route, _CONNECTIONS, NO_LIMIT, seconds / _PARTS) | {"rate": rate}
            response = setting.load.ask(question)
            errors += sum(response["statuses"].values()) - response["statuses"].get("200", 0)
            looks.append(_look(front))
            what = f"memory after part {part} of {_PARTS} (PSS)"
            yield _reading(what, "MiB", looks[-1].mib)
    yield _reading("requests a second", "1/s", rate)
    yield _reading("errors", "", float(errors))
    early, late = looks[2:4], looks[-2:]
    for what, unit, name in ((GROWTH, "MiB", "mib"), (FILES, "", "files"), (TASKS, "", "tasks")):
        grown = _mean(late, name) - _mean(early, name)
        yield _reading(what, unit, grown)


@dataclass(frozen=True, slots=True)
class _Look:
    """What the proxy holds between two parts of the load, when no request is on."""

    mib: float
    files: int
    tasks: int


def _look(front: Child) -> _Look:
    text = Server(front.address).text("/_querymill/metrics")
    tasks = next(line for line in text.splitlines() if line.startswith("querymill_tasks "))
    return _Look(front.pss_bytes() / 2**20, front.open_files(), int(float(tasks.split()[1])))


def _mean(looks: Sequence[_Look], name: str) -> float:
    return float(statistics.mean(getattr(look, name) for look in looks))


def _reading(what: str, unit: str, value: float) -> Reading:
    return Reading(section=SOAK_SECTION, what=what, unit=unit, round=1, value=value)
