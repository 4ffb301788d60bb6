"""UDFs that mean harm, through the whole proxy: each its own error, and nobody else is touched."""

from __future__ import annotations

import time

import pytest

from tests.client import Client

HEAD = "import json\nimport os\nimport re\nimport sys\nimport time\ndef query(request, context):\n"
HOSTILE = {
    "endless loop": ("while True: pass", "timeout"),
    "regular expression": ("re.match('(a+)+$', 'a' * 40 + 'b')", "timeout"),
    "big integer": ("return {'x': str(7 ** 10 ** 7)}", "timeout"),
    "swallowing everything": (
        "while True:\n        try:\n            while True: pass\n"
        "        except BaseException: pass",
        "timeout",
    ),
    "endless allocation": ("x = []\n    while True: x.append(' ' * 100000)", "memory"),
    "recursion": ("query(request, context)", "udf_exception"),
    "exit": ("sys.exit(3)", "udf_exception"),
    "hard exit": ("os._exit(3)", "trap"),
    "abort": ("os.abort()", "trap"),
    "sleep": ("time.sleep(3)", "udf_exception"),
    "not a number": ("return {'x': float('nan')}", "invalid_result"),
    "lone surrogate": ("return {'x': '\\ud800'}", "invalid_result"),
    "wrong type": ("return [1]", "invalid_result"),
    "nothing": ("pass", "invalid_result"),
    "missing module": ("import numpy", "udf_exception"),
    "file": ("open('/etc/passwd')", "udf_exception"),
}
DEADLINE_MS = 200


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_hostile_udf_costs_one_request(proxy: Client, index_name: str, case: str) -> None:
    """Its error has its own kind, the next request is answered, a neighbour keeps its sandbox."""
    body, kind = HOSTILE[case]
    await proxy.index(index_name, {"1": {}})
    counting = (
        "calls = 0\n"
        "def query(request, context):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    return {**request, '_pipeline_metadata': {'calls': calls}}\n"
    )
    await proxy.define("neighbour", "query", counting)
    await proxy.define(
        "hostile",
        "query",
        f"{HEAD}    {body}\n",
        on_error="fail",
        # What ends by itself gets time for it even on a busy machine.
        stage={"timeout_ms": DEADLINE_MS if kind == "timeout" else 20 * DEADLINE_MS},
    )
    neighbour = f"/{index_name}/_search?pipeline=neighbour"
    assert (await proxy.get(neighbour)).data["_pipeline_metadata"] == {"calls": 1}
    started = time.monotonic()
    response = await proxy.get(f"/{index_name}/_search?pipeline=hostile")
    took = time.monotonic() - started
    assert response.status == 500, response.body
    assert response.error["kind"] == kind, response.error
    # Generous, as the machine may be busy; far below what an endless one would take by itself.
    assert took < 5
    assert (await proxy.get(neighbour)).data["_pipeline_metadata"] == {"calls": 2}
    assert (await proxy.get(f"/{index_name}/_search")).status == 200


async def test_deep_nesting_is_an_error_of_its_stage(proxy: Client, index_name: str) -> None:
    """Whether Python or the sandbox gives up first, the stage failed and the proxy did not."""
    await proxy.index(index_name, {"1": {}})
    nest = "x = []\n    for _ in range(200000): x = [x]\n    return {'x': x}"
    await proxy.define("deep", "query", f"{HEAD}    {nest}\n", on_error="fail")
    response = await proxy.get(f"/{index_name}/_search?pipeline=deep")
    assert (
        response.status,
        response.error["kind"] in ("trap", "udf_exception", "invalid_result"),
    ) == (
        500,
        True,
    )


async def test_a_huge_output_is_an_error_of_its_stage(proxy: Client, index_name: str) -> None:
    """The limit is the stage's own; just below it the result passes."""
    await proxy.index(index_name, {"1": {}})
    source = "def query(r, c):\n    return {**r, 'stats': ['x' * context.params['n']]}\n"
    await proxy.put_udf("big", source)
    for name, size in (("over", 2000), ("under", 900)):
        config = {"output_bytes": 1024, "parameters": {"n": size}}
        await proxy.put_pipeline(name, "query", "big", config=config, on_error="fail")
    over = await proxy.get(f"/{index_name}/_search?pipeline=over")
    assert (over.status, over.error["kind"]) == (500, "output_too_large")
    assert (await proxy.get(f"/{index_name}/_search?pipeline=under")).status == 200
