"""UDFs that misbehave, by accident or on purpose: each ends in an error of its own, in time, and
no other UDF's sandbox notices.
"""

from __future__ import annotations

import time

import pytest

from pipelines.wasm import Limits
from tests.pipelines.wasm.udfs import Runner, udf

NEIGHBOUR = udf(
    """
    runs = 0
    def query(request, context):
        global runs
        runs += 1
        return {"runs": runs}
    """,
    name="neighbour",
)
DEADLINE_MS = 250
# far above the promised 50 ms: the machine that runs the tests may be doing something else
GRACE_MS = 2_000

# name: (source, kind of error, part of its text)
HOSTILE = {
    "endless loop": ("def query(r, c):\n    while True: pass", "timeout", "longer than its 250 ms"),
    "endless loop at load": ("while True: pass", "load", "longer than its 1000 ms"),
    "catastrophic regex": (
        "import re\ndef query(r, c): re.match(r'(a+)+$', 'a' * 60 + 'b')",
        "timeout",
        "raise the stage's timeout_ms",
    ),
    "big integer": ("def query(r, c): return {'a': str(7 ** 10**7)}", "timeout", "250 ms"),
    "long integer": ("def query(r, c): return {'a': str(10**5000)}", "udf_exception", "4300"),
    "endless allocation": (
        "def query(r, c):\n    x = []\n    while True: x.append('a' * 100_000)",
        "memory",
        "its limit is 64 MB",
    ),
    "endless allocation at load": ("x = bytearray(10**9)", "load", "its limit is 64 MB"),
    "deep nesting": (
        "def query(r, c):\n    x = []\n    for _ in range(200_000): x = [x]\n    return {'a': x}",
        "trap",
        "nested too deeply",
    ),
    "deep recursion": ("def query(r, c): return query(r, c)", "udf_exception", "RecursionError"),
    "huge output": (
        "def query(r, c): return {'a': 'x' * 11_000_000}",
        "output_too_large",
        "its limit is 10485760",
    ),
    "not a number": ("def query(r, c): return {'a': float('nan')}", "invalid_result", "nan"),
    "lone surrogate": ("def query(r, c): return {'a': '\\ud800'}", "invalid_result", "U+D800"),
    "sys.exit": ("import sys\ndef query(r, c): sys.exit(3)", "udf_exception", "sys.exit(3)"),
    "sys.exit at load": ("import sys\nsys.exit(3)", "load", "sys.exit(3)"),
    "os._exit": ("import os\ndef query(r, c): os._exit(3)", "trap", "os._exit"),
    "os.abort": ("import os\ndef query(r, c): os.abort()", "trap", "os.abort"),
    "time.sleep": ("import time\ndef query(r, c): time.sleep(30)", "udf_exception", "deadline"),
    "another sleep": (
        "from importlib.machinery import BuiltinImporter as B\n"
        "import importlib.util, sys\n"
        "spec = B.find_spec('time')\n"
        "fresh = importlib.util.module_from_spec(spec)\n"
        "B.exec_module(fresh)\n"
        "def query(r, c): fresh.sleep(30)",
        "trap",
        "cannot wait",
    ),
    "a lock taken twice": (
        "import threading\nk = threading.Lock()\ndef query(r, c): k.acquire(), k.acquire()",
        "trap",
        "stopped",
    ),
    "swallowing everything": (
        "def query(r, c):\n"
        "    while True:\n"
        "        try:\n"
        "            while True: pass\n"
        "        except BaseException: pass",
        "timeout",
        "250 ms",
    ),
    "endless random bytes": (
        "import os\ndef query(r, c):\n    while True: os.urandom(10**6)",
        "timeout",
        "250 ms",
    ),
    "endless logging": ("def query(r, c):\n    while True: log('x')", "timeout", "250 ms"),
    "writing to the terminal": (
        "import os\ndef query(r, c): os.write(1, b'x')",
        "trap",
        "wasi:cli/stdout",
    ),
    "syntax error": ("def query(r, c)\n    return r", "load", "line 1"),
    "null byte": ("def query(r, c): return r\x00", "load", "null"),
    "missing function": ("def something(r): return r", "load", "neither query() nor udf_main()"),
    "wrong return type": ("def query(r, c): return [r]", "invalid_result", "type list"),
    "wrong parameters": ("def query(r): return r", "udf_exception", "TypeError"),
    "import of a stranger": ("import numpy", "load", "No module named 'numpy' in the sandbox"),
    "import at run time": ("def query(r, c): import socket", "udf_exception", "docs/SANDBOX.md"),
    "import of a stranger's part": ("from os import stranger", "load", "cannot import name"),
    "a thread": (
        "import threading\ndef query(r, c): threading.Thread(target=print).start()",
        "udf_exception",
        "thread",
    ),
    "a file": ("def query(r, c): open('/etc/passwd')", "udf_exception", "resource(name)"),
    "a file by another way": (
        "import os\ndef query(r, c): os.open('/etc/passwd', 0)",
        "udf_exception",
        "No such file",
    ),
    "an async function": ("async def query(r, c): return r", "invalid_result", "coroutine"),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_hostile_udf(runner: Runner, case: str) -> None:
    """Each misbehaviour has a clear error in time; a neighbour's warm sandbox keeps its state."""
    source, kind, said = HOSTILE[case]
    assert (await runner.run(NEIGHBOUR)).data == {"runs": 1}

    started = time.monotonic()
    # What ends by itself gets time for it even on a busy machine.
    deadline_ms = DEADLINE_MS if kind == "timeout" else 20 * DEADLINE_MS
    error = await runner.fails(source, limits=Limits(timeout_ms=deadline_ms))
    elapsed_ms = (time.monotonic() - started) * 1000

    assert error.kind == kind
    assert error.overran is (kind == "timeout" or case == "endless loop at load")
    assert said in str(error)
    assert str(error).startswith("UDF [sample@1.0.0]")
    assert elapsed_ms < max(1000, deadline_ms) + GRACE_MS
    assert (await runner.run(NEIGHBOUR)).data == {"runs": 2}


@pytest.mark.parametrize("body", ["while True: pass", "import os; os.abort()", "x = 'a' * 10**9"])
async def test_broken_sandbox_is_not_used_again(runner: Runner, body: str) -> None:
    """After a timeout, a trap or exhausted memory the next run has a new sandbox."""
    source = f"""
    runs = 0
    def query(request, context):
        global runs
        runs += 1
        if request.get("bad"):
            {body}
        return {{"runs": runs}}
    """
    assert (await runner.run(source)).data == {"runs": 1}
    await runner.fails(source, {"bad": True}, limits=Limits(timeout_ms=DEADLINE_MS))
    assert runner.pool.stats()["trapped"] == 1
    assert (await runner.run(source)).data == {"runs": 1}


@pytest.mark.parametrize("body", ["raise KeyError('a')", "return None", "reject('no')"])
async def test_sound_sandbox_is_used_again(runner: Runner, body: str) -> None:
    """A UDF's exception, bad result or rejection leaves its sandbox warm."""
    source = f"""
    runs = 0
    def query(request, context):
        global runs
        runs += 1
        if runs == 1:
            {body}
        return {{"runs": runs}}
    """
    if "reject" in body:
        assert (await runner.run(source)).rejected
    else:
        await runner.fails(source)
    assert (await runner.run(source)).data == {"runs": 2}


async def test_memory_error_can_be_survived(runner: Runner) -> None:
    """A UDF that catches its MemoryError goes on."""
    source = """
    def query(request, context):
        try:
            bytearray(10**9)
        except MemoryError:
            return {"survived": True}
    """
    assert (await runner.run(source)).data == {"survived": True}


async def test_timed_wait_returns_at_once(runner: Runner) -> None:
    """Waiting for another thread, of which there is none, does not hold a run up."""
    started = time.monotonic()
    source = "threading.Event().wait(30)"
    assert await runner.value(source, before="import threading") is False
    assert time.monotonic() - started < 20
