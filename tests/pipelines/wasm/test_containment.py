"""A UDF that goes around the library to what the host lends it gains neither time nor room."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from wasmtime import WasmtimeError

from pipelines.wasm import Limits
from pipelines.wasm.host_functions import LINE_BYTES, OVER_TIME, Line, grants
from pipelines.wasm.log import RunLog
from tests.pipelines.wasm.udfs import Runner

PLENTY = Limits(timeout_ms=5000)
RAW_LOG = "from wit_world.imports import host\ndef query(r, c):\n    {}\n    return r"

CALLS = {
    "querymill:udf/host.log": "host.log('y' * 60_000)",
    "querymill:udf/host.seed": "host.seed()",
    "wasi:clocks/wall-clock.now": "time.time()",
    "wasi:clocks/monotonic-clock.now": "time.monotonic()",
    "wasi:random/random.get-random-bytes": "os.urandom(256)",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_calling_the_host_over_and_over(runner: Runner, call: str) -> None:
    """A run that is mostly in the host's functions ends at its deadline as any other."""
    source = (
        "import os, time\nfrom wit_world.imports import host\n"
        f"def query(r, c):\n    while True: {call}"
    )
    error = await runner.fails(source, limits=Limits(timeout_ms=100))
    assert (error.kind, error.overran) == ("timeout", True)


def test_every_host_function_has_the_deadline() -> None:
    """None of them serves a run that is over its time, and each serves one that is not."""
    line = Line()
    functions = [
        (function, (16,) if name == "get-random-bytes" else ("x",) if name == "log" else ())
        for named in grants(line).values()
        for name, function in named.items()
    ]
    line.deadline = time.monotonic() + 60
    for function, arguments in functions:
        function(None, *arguments)
    line.deadline = time.monotonic() - 0.001
    for function, arguments in functions:
        with pytest.raises(WasmtimeError, match=OVER_TIME):
            function(None, *arguments)


@pytest.mark.parametrize("size", [LINE_BYTES - 1, LINE_BYTES])
async def test_length_of_a_line_obeyed(runner: Runner, size: int) -> None:
    """A line up to what the library itself sends at most is taken."""
    source = RAW_LOG.format(f"host.log('y' * {size})")
    reply = await runner.run(source, limits=replace(PLENTY, log_bytes=1024 * 1024))
    assert [len(line) for line in reply.log] == [size]


@pytest.mark.parametrize("size", [LINE_BYTES + 1, 5_000_000])
async def test_length_of_a_line_violated(runner: Runner, size: int) -> None:
    """A longer one ends the run at once: reading it takes the host's time."""
    source = RAW_LOG.format(f"while True: host.log('y' * {size})")
    error = await runner.fails(source, limits=PLENTY)
    assert (error.kind, error.overran) == ("trap", False)
    assert f"a log line of {size} characters" in error.reason


async def test_a_full_log_costs_nothing() -> None:
    """What there is no room for is not looked at."""
    log = RunLog(10)
    log.write("x" * 11)
    log.write("x")
    assert log.lines == ["[the log is full: its limit is 10 bytes a run]"]


@pytest.mark.parametrize(("size", "kind"), [(10_000_000, "invalid_result"), (12_000_000, "output")])
async def test_a_response_of_its_own_making(runner: Runner, size: int, kind: str) -> None:
    """A response beyond what its limits leave is not even taken over."""
    source = (
        "import app\n"
        f"app.WitWorld.run = lambda self, call: '{{}}\\n' + 'x' * {size}\n"
        "def query(r, c): return r"
    )
    error = await runner.fails(source, limits=replace(PLENTY, memory_mb=128))
    assert error.kind.startswith(kind)
    if kind == "output":
        assert f"its response has {size + 3} bytes" in error.reason
