"""How long the proxy takes to be ready, and the memory of it and of a sandbox."""

from __future__ import annotations

import http.client
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from bench import udfs
from bench.child import Child, ChildError, free_address, module
from bench.figures import Reading
from bench.server import Server
from bench.setting import Setting

START_SECTION: Final = "Start and memory"
WARM_START: Final = "start with a warm cache, to ready"
COLD_START: Final = "start without a cache, to ready"
SANDBOX_MEMORY: Final = "memory of one sandbox more (PSS)"

_SANDBOXES: Final = 32
_READY_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.002
_INDEX: Final = "bench-static-10-memory"


def readings(setting: Setting) -> Iterator[Reading]:
    """Measure them. Raises ServerError, ChildError."""
    setting.tell(START_SECTION)
    for number in range(1, setting.plan.starts + 1):
        yield _reading(WARM_START, "s", number, _start_seconds(setting))
    if setting.plan.cold:
        with tempfile.TemporaryDirectory(prefix="querymill-bench-") as folder:
            seconds = _start_seconds(setting, "--cache-dir", folder)
        yield _reading(COLD_START, "s", 1, seconds)
    yield from _memory(setting)


def _start_seconds(setting: Setting, *options: str) -> float:
    address = free_address()
    given = ("--backend", f"http://{setting.static.address}", "--listen", address)
    began = time.monotonic()
    with module("proxy", "serve", *given, "--workers", "1", "--log-level", "error", *options):
        while time.monotonic() < began + _READY_SECONDS:
            if _ready(address):
                return time.monotonic() - began
            time.sleep(_POLL_SECONDS)
    raise ChildError(f"the proxy is not ready after {_READY_SECONDS:g} s: run it by itself to see")


def _ready(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/_querymill/readyz")
        return connection.getresponse().status == 200
    return False


def _memory(setting: Setting) -> Iterator[Reading]:
    """A stage for each of many sandboxes, run through one after the other in one request."""
    with setting.proxies() as proxy:
        front = Server(proxy.address)
        yield _reading("memory of the proxy with one worker (PSS)", "MiB", 1, _mib(proxy))
        front.store_udf("bench-memory", udfs.IDENTITY)
        one = [{"udf_name": "bench-memory", "parameters": {"n": 0}}]
        many = [{"udf_name": "bench-memory", "parameters": {"n": n}} for n in range(_SANDBOXES + 1)]
        sizes = []
        front.make(_INDEX)
        for name, stages in (("bench-memory-1", one), ("bench-memory-n", many)):
            front.store(name, "query", *stages)
            front.attach_names(_INDEX, {"query": name})
            front.call("POST", f"/{_INDEX}/_search", {"query": {"match_all": {}}})
            sizes.append(_mib(proxy))
        more = (sizes[1] - sizes[0]) / _SANDBOXES
        yield _reading(SANDBOX_MEMORY, "MiB", 1, more)


def _mib(proxy: Child) -> float:
    return proxy.pss_bytes() / 2**20


def _reading(what: str, unit: str, number: int, value: float) -> Reading:
    return Reading(section=START_SECTION, what=what, unit=unit, round=number, value=value)
