"""What a UDF finds around it: a clock, randomness, a log, and no files or environment."""

from __future__ import annotations

import time

from tests.pipelines.wasm.udfs import Runner, udf

RANDOM = """
import os, random, secrets, uuid
def query(request, context):
    return {"random": random.random(), "urandom": os.urandom(8).hex(),
            "uuid": str(uuid.uuid4()), "token": secrets.token_hex(4)}
"""


async def test_random_differs(runner: Runner) -> None:
    """Random numbers differ between runs, and between sandboxes."""
    replies = [await runner.run(RANDOM) for _ in range(2)]
    replies += [await runner.run(RANDOM, isolation="request") for _ in range(3)]
    for name in ("random", "urandom", "uuid", "token"):
        assert len({reply.data[name] for reply in replies}) == 5


async def test_random_can_be_seeded(runner: Runner) -> None:
    """A UDF that seeds its generator gets the same numbers each time."""
    source = "(random.seed(7), random.random(), random.seed(7), random.random())[1::2]"
    first, second = await runner.value(source, before="import random")
    assert first == second


async def test_clock(runner: Runner) -> None:
    """Wall clock and monotonic clock run."""
    before = "import time, datetime"
    reported = await runner.value(
        "[time.time(), datetime.datetime.now().timestamp()]", before=before
    )
    assert all(abs(value - time.time()) < 30 for value in reported)
    value = "(lambda a: time.monotonic() >= a and time.perf_counter_ns() > 0)(time.monotonic())"
    assert await runner.value(value, before=before)


async def test_environment_is_empty(runner: Runner) -> None:
    """There is no environment, no argument and no input."""
    assert await runner.value("[dict(os.environ), sys.stdin]", before="import os, sys") == [
        {},
        None,
    ]


async def test_output_goes_to_the_log(runner: Runner) -> None:
    """print, stderr, logging and log() write whole lines to the log of the run, at load as well."""
    source = """
    import logging, sys, warnings
    print("at load")
    def query(request, context):
        print("one", end=" ")
        print("two\\nthree")
        sys.stderr.write("four\\n")
        logging.getLogger("udf").warning("five")
        log(6)
        log("half \\ud800")
        print("last", end="")
        return request
    """
    reply = await runner.run(source)
    assert reply.log == (
        "at load", "one two", "three", "four", "five", "6", "half ?", "last"
    )  # fmt: skip
    assert (await runner.run(source)).log[0] == "one two"


async def test_log_of_a_failed_run(runner: Runner) -> None:
    """What a run wrote is told however it ends, to the last half line."""
    await runner.fails("def query(r, c):\n    print('a', end='')\n    raise KeyError")
    await runner.fails("def query(r, c):\n    print('b', end='')")
    await runner.fails("print('c')\nraise KeyError")
    assert runner.log == ["a", "b", "c"]


async def test_long_line_without_an_end(runner: Runner) -> None:
    """A line that never ends is cut rather than held."""
    reply = await runner.run("def query(r, c):\n    print('x' * 20_000, end='')\n    return r")
    assert sum(len(line) for line in reply.log) < 20_000


async def test_traceback_module(runner: Runner) -> None:
    """A UDF can format its own tracebacks, with its source lines."""
    source = """
    import traceback
    def query(request, context):
        try:
            1 / 0
        except ZeroDivisionError:
            return {"it": traceback.format_exc()}
    """
    text = (await runner.run(source)).data["it"]
    assert 'File "sample.py", line 5, in query' in text
    assert "1 / 0" in text


async def test_name_of_a_udf_is_no_module(runner: Runner) -> None:
    """A UDF that is called like a module does not take its place."""
    package = udf("import json\ndef query(r, c): return json.loads('{}')", name="json")
    assert (await runner.run(package, {"a": 1})).data == {}
