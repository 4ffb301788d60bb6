"""An endless loop beside others, and many pipelines at once."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from bench import material, udfs
from bench.child import Child, module
from bench.figures import Case, Reading, percentile
from bench.server import Server, ServerError
from bench.setting import Setting
from bench.traffic import NO_LIMIT, Route, job, sample_of, searches

LOOP_SECTION: Final = "An endless loop in one pipeline"
MANY_SECTION: Final = "Many pipelines"

LOOP_TIMES: Final = "p99 of the others, a loop, times alone"
ERRORS: Final = "{count} pipelines, {workers} workers: errors"
MEMORY: Final = "{count} pipelines, {workers} workers: memory of all workers (PSS)"
SLOWEST: Final = "{count} pipelines, {workers} workers: slowest pipeline's p99, times the median's"

_WORKERS: Final = (1, 2)
# Of the others beside a loop: well below what one worker answers.
_OTHERS_RATE: Final = 200
_OTHERS_CONNECTIONS: Final = 8
_LOOPS: Final = 2
# What is beside the others, and the index its clients ask.
_BESIDE: Final = {
    "a loop": "loop",
    "the same loop again": "loop",
    "a UDF that hangs at random while it is loaded": "loading",
    "a UDF that ends": "ending",
}
# Of an upload, which loads the UDF as well.
_UPLOADS: Final = 20
# Calls at once that make indices.
_MAKERS: Final = 4
# The proxy's definitions, in the backend.
_STORE: Final = ".querymill"
_CASE: Final = Case(name="scale", baseline="scale", same_work="scale")


def readings(setting: Setting) -> Iterator[Reading]:
    """Measure them. Raises ServerError, ChildError."""
    yield from _endless_loop(setting)
    yield from _many_pipelines(setting)


def _endless_loop(setting: Setting) -> Iterator[Reading]:
    """The others send at a fixed rate; the loop's clients send as soon as they are answered.

    Once the loop is turned off these are a load like any other, so that the same clients of a UDF
    that ends are measured beside. All but the proxy has a core of its own: a thread of the lowest
    priority gives way to others of its process, not to those of another session or container.
    """
    setting.tell(LOOP_SECTION)
    udf_of = {"others": udfs.REWRITE, "loop": udfs.ENDLESS, "ending": udfs.IDENTITY}
    index_of = {name: material.static_index(10, name) for name in udf_of}
    plan = setting.plan
    with setting.proxies() as front, module("bench.load") as clients:
        server = Server(front.address)
        for name, source in udf_of.items():
            server.make_with(index_of[name], f"bench-{name}", source)
        index_of["loading"] = _made_with_hanging_loads(server)
        asks = searches(index_of["others"], material.searches())
        measured = Route(case=_CASE, address=front.address, asks=asks, rate=_OTHERS_RATE)
        with setting.apart([front], [clients]):
            for number in range(1 - plan.warm_up, plan.loop_rounds + 1):
                alone = setting.p99_ms(measured, _OTHERS_CONNECTIONS, plan.long_seconds)
                # another UDF in each round, of which the proxy knows nothing yet
                server.store_udf(f"bench-loop-{number}", f"{udfs.ENDLESS}# {number}\n")
                beside = {}
                for name, index in _BESIDE.items():
                    # a new revision is turned on, whatever became of the one before
                    server.call("PUT", "/_pipeline/bench-loop", _loop_pipeline(number, name))
                    asks = searches(index_of[index], [{"size": 1}])
                    busy = Route(case=_CASE, address=front.address, asks=asks)
                    clients.send(job(busy, _LOOPS, NO_LIMIT, plan.long_seconds))
                    beside[name] = setting.p99_ms(measured, _OTHERS_CONNECTIONS, plan.long_seconds)
                    clients.receive()
                if number > 0:
                    what = "p99 of the others, "
                    yield _reading(LOOP_SECTION, f"{what}alone", "ms", number, alone)
                    for name, value in beside.items():
                        yield _reading(LOOP_SECTION, what + name, "ms", number, value)
                        times = f"{what}{name}, times alone"
                        yield _reading(LOOP_SECTION, times, "x", number, value / alone)


def _loop_pipeline(number: int, revision: str) -> dict[str, Any]:
    """With the default deadlines."""
    stage = {"name": "loop", "type": "python", "config": {"udf_name": f"bench-loop-{number}"}}
    return {"type": "query", "description": revision, "stages": [stage]}


def _made_with_hanging_loads(server: Server) -> str:
    """An index whose searches run a UDF in new sandboxes, some of which it is never loaded in."""
    index, name = material.static_index(10, "loading"), "bench-loading"
    _uploaded(partial(server.store_udf, name, udfs.HANGS_LOADING))
    config = {"udf_name": name, "isolation": "request"}
    stage = {"name": "loading", "type": "python", "config": config}
    definition = {"type": "query", "stages": [stage]}
    _uploaded(partial(server.call, "PUT", f"/_pipeline/{name}", definition))
    server.make(index, {"query": name})
    return index


def _uploaded(upload: Callable[[], object]) -> None:
    """Raises ServerError where it does not succeed in so many tries."""
    for _ in range(_UPLOADS):
        try:
            upload()
        except ServerError as error:
            refused = error
        else:
            return
    raise refused


def _many_pipelines(setting: Setting) -> Iterator[Reading]:
    """Each pipeline has a function and an index of its own; one client after the other asks."""
    setting.tell(MANY_SECTION)
    plan = setting.plan
    highest = max(plan.pipelines)
    setting.backend.call(
        "PUT",
        "/_cluster/settings",
        {"persistent": {"cluster.max_shards_per_node": str(highest + 1000)}},
    )
    room = ("--sandbox-max-live", str(min(highest + 64, 4096)))
    with setting.proxies() as front:
        server = Server(front.address)
        server.store_udf("bench-many", udfs.REWRITE)
        stage = {"udf_name": "bench-many", "parameters": {"name": _name(0)}}
        server.store(_name(0), "query", stage)
        server.make(_index(0), {"query": _name(0)})
    made = 1
    for count in sorted(plan.pipelines):
        setting.tell(f"  {count:,} pipelines")
        _copy_first(setting.backend, made, count)
        made = max(count, made)
        for workers in _WORKERS if count == highest else _WORKERS[-1:]:
            with setting.proxies(*room, workers=workers) as front:
                yield from _loaded(setting, front, count, workers)


def _copy_first(backend: Server, begin: int, end: int) -> None:
    """More pipelines like the first, by copies of its records in the store under other names.

    The proxy's own calls load a function and read all definitions again for each write.
    Each has a name in its parameters, and so has sandboxes of its own.
    """
    everything = {"size": 1000, "query": {"match_all": {}}}
    hits = backend.call("POST", f"/{_STORE}/_search", everything)["hits"]["hits"]
    texts = [json.dumps([hit["_id"], hit["_source"]]) for hit in hits]
    firsts = [text for text in texts if _token(0) in text]
    lines = []
    for number in range(begin, end):
        for text in firsts:
            name, source = json.loads(text.replace(_token(0), _token(number)))
            lines += [json.dumps({"index": {"_id": name}}), json.dumps(source)]
    if lines:
        backend.call("POST", f"/{_STORE}/_bulk?refresh=true", "\n".join([*lines, ""]))
    with ThreadPoolExecutor(_MAKERS) as pool:
        list(pool.map(backend.make, map(_index, range(begin, end))))


def _loaded(setting: Setting, front: Child, count: int, workers: int) -> Iterator[Reading]:
    body = json.dumps(material.searches()[0])
    asks = [("POST", f"/{_index(number)}/_search", body) for number in range(count)]
    route = Route(case=_CASE, address=front.address, asks=asks)
    seconds = setting.plan.long_seconds
    clients = setting.plan.clients
    # every worker makes its sandboxes before that counts: some two dozen requests a pipeline
    setting.load.ask(job(route, clients, NO_LIMIT, seconds * 3))
    response = setting.load.ask(job(route, clients, NO_LIMIT, seconds * 2) | {"by_ask": True})
    ran = len([name for name in response["pipelines"].split(",") if name])
    if ran != 1:
        raise ServerError(f"of {count} pipelines, {ran} ran on an answer where 1 should")
    by_pipeline: dict[int, list[int]] = {}
    for number, latency in zip(response["numbers"], response["latencies_ns"], strict=True):
        by_pipeline.setdefault(number, []).append(latency)
    p99s = [percentile(sorted(each), 0.99) for each in by_pipeline.values()]
    sample = sample_of(route, clients, 1, response, None)
    prefix = f"{count} pipelines, {workers} workers: "
    figures = {
        "requests a second": ("1/s", sample.requests / sample.seconds),
        "p50": ("ms", sample.p50_us / 1000),
        "p99": ("ms", sample.p99_us / 1000),
        "degraded": ("", float(sample.degraded)),
    }
    for what, (unit, value) in figures.items():
        yield _reading(MANY_SECTION, prefix + what, unit, 1, value)
    names = {"count": count, "workers": workers}
    slowest = max(p99s) / statistics.median(p99s)
    yield _reading(MANY_SECTION, ERRORS.format(**names), "", 1, float(sample.errors))
    yield _reading(MANY_SECTION, MEMORY.format(**names), "MiB", 1, front.pss_bytes() / 2**20)
    yield _reading(MANY_SECTION, SLOWEST.format(**names), "x", 1, slowest)


def _token(number: int) -> str:
    return f"many-{number:04}"


def _name(number: int) -> str:
    return f"bench-{_token(number)}"


def _index(number: int) -> str:
    return material.static_index(10, _token(number))


def _reading(section: str, what: str, unit: str, number: int, value: float) -> Reading:
    return Reading(section=section, what=what, unit=unit, round=number, value=value)
