"""What one UDF does is not seen by another, nor by itself where it asks for that."""

from __future__ import annotations

import pytest

from pipelines.wasm import Phase
from tests.pipelines.wasm.udfs import Runner, udf

VANDAL = """
import builtins, json, random, sys
builtins.max = lambda *x: 42
json.dumps = None
sys.modules["math"] = None
sys.secret = "password"
random.seed(1)
def query(request, context):
    builtins.secret = request
    return request
"""
WITNESS = """
import builtins, json, sys
def query(request, context):
    import math
    return {"max": max(1, 2), "dumps": json.dumps({}), "pi": math.pi > 3,
            "secret": hasattr(sys, "secret") or hasattr(builtins, "secret")}
"""


@pytest.mark.parametrize("vandal_first", [True, False])
async def test_udfs_do_not_share(runner: Runner, vandal_first: bool) -> None:
    """Builtins, modules and globals that one UDF changed are untouched in another."""
    vandal, witness = udf(VANDAL, name="vandal"), udf(WITNESS, name="witness")
    if not vandal_first:
        await runner.run(witness)
    await runner.run(vandal, {"password": 1})
    assert (await runner.run(witness)).data == {
        "max": 2, "dumps": "{}", "pi": True, "secret": False
    }  # fmt: skip


COUNTER = """
runs = 0
def query(request, context):
    global runs
    runs += 1
    return {"runs": runs, "p": get_param("p")}
"""


async def test_pooled_runs_share_a_sandbox(runner: Runner) -> None:
    """With isolation `pooled` a UDF's globals last from run to run."""
    assert [(await runner.run(COUNTER)).data["runs"] for _ in range(3)] == [1, 2, 3]


async def test_request_isolation(runner: Runner) -> None:
    """With isolation `request` each run is the first, and nothing is left behind."""
    for _ in range(60):
        assert (await runner.run(COUNTER, isolation="request")).data["runs"] == 1
    assert runner.pool.stats()["created"] >= 60


VANDAL = """
import builtins, json, random, sys
first = (
    not hasattr(builtins, "left"), json.dumps is not print, "left" not in sys.modules,
    random.random(),
)
def query(request, context):
    builtins.left = 1
    sys.modules["left"] = sys
    json.dumps_before, random.seed = json.dumps, lambda *_: None
    random.Random.random = lambda _: 0.5
    return {"first": first, "state": context.state, "left": hasattr(json, "dumps_before")}
"""


async def test_nothing_is_left_in_request_isolation(runner: Runner) -> None:
    """Of globals, built-ins, modules and the random state, from stock as from a new sandbox."""
    draws = set()
    for _ in range(60):
        clean = (await runner.run(VANDAL, isolation="request")).data
        assert clean["first"][:3] == [True, True, True]
        assert clean["state"] == {}
        draws.add(clean["first"][3])
    assert len(draws) == 60


async def test_parameters_do_not_share(runner: Runner) -> None:
    """The same UDF with other parameters, name or files runs in another sandbox."""
    assert (await runner.run(COUNTER, params={"p": 1})).data == {"runs": 1, "p": 1}
    assert (await runner.run(COUNTER, params={"p": 2})).data == {"runs": 1, "p": 2}
    assert (await runner.run(COUNTER, params={"p": 1})).data == {"runs": 2, "p": 1}
    assert (await runner.run(udf(COUNTER, name="other"))).data["runs"] == 1
    assert (await runner.run(udf(COUNTER, files={"a": b"1"}))).data["runs"] == 1
    assert (await runner.run(udf(COUNTER, files={"a": b"2"}))).data["runs"] == 1


async def test_order_of_parameters(runner: Runner) -> None:
    """Parameters in another order are the same parameters."""
    await runner.run(COUNTER, params={"p": 1, "q": 2})
    assert (await runner.run(COUNTER, params={"q": 2, "p": 1})).data["runs"] == 2


def test_digest() -> None:
    """A package's digest tells name, version, source and files apart, also where texts join."""
    packages = [
        udf("a", name="n"),
        udf("a", name="na"),
        udf("", name="na"),
        udf("a", name="n", files={"f": b"x"}),
        udf("a", name="n", files={"fx": b""}),
    ]
    assert len({package.digest for package in packages}) == len(packages)
    assert (
        udf("a", files={"a": b"", "b": b""}).digest == udf("a", files={"b": b"", "a": b""}).digest
    )


# name: (what the top level sets, what it reads, what a run sets instead)
SWITCHES = {
    "decimal places": ("getcontext().prec = 50", "getcontext().prec", "getcontext().prec = 3"),
    "decimal traps": (
        "getcontext().traps[Inexact] = True",
        "getcontext().traps[Inexact]",
        "getcontext().traps[Inexact] = False",
    ),
    "decimal flags": ("pass", "getcontext().flags[Inexact]", "Decimal(1) / Decimal(3)"),
    "another decimal context": ("pass", "getcontext().prec", "setcontext(Context(prec=2))"),
    "recursion": (
        "sys.setrecursionlimit(700)",
        "sys.getrecursionlimit()",
        "sys.setrecursionlimit(600)",
    ),
    "digits": (
        "sys.set_int_max_str_digits(5000)",
        "sys.get_int_max_str_digits()",
        "sys.set_int_max_str_digits(0)",
    ),
    "a trace function": ("pass", "sys.gettrace() is None", "sys.settrace(lambda *x: None)"),
    "a profile function": ("pass", "sys.getprofile() is None", "sys.setprofile(lambda *x: None)"),
    "collecting garbage": ("gc.disable()", "gc.isenabled()", "gc.enable()"),
    "not collecting garbage": ("pass", "gc.isenabled()", "gc.disable()"),
    "how often garbage is collected": (
        "gc.set_threshold(600)",
        "gc.get_threshold()[0]",
        "gc.set_threshold(7)",
    ),
    "the switch interval": (
        "pass",
        "sys.getswitchinterval()",
        "sys.setswitchinterval(0.5)",
    ),
    "a hook for exceptions": (
        "pass",
        "sys.excepthook is sys.__excepthook__",
        "sys.excepthook = print",
    ),
    "a hook for what cannot be raised": (
        "pass",
        "sys.unraisablehook is sys.__unraisablehook__",
        "sys.unraisablehook = print",
    ),
    "the path of modules": ("sys.path.append('a')", "len(sys.path)", "sys.path.append('b')"),
    "another path of modules": ("pass", "len(sys.path)", "sys.path = ['x'] * 50"),
    "the finders of modules": ("pass", "len(sys.meta_path)", "sys.meta_path.append(None)"),
    "the default decimal context": (
        "DefaultContext.prec = 40",
        "DefaultContext.prec",
        "DefaultContext.prec = 5",
    ),
    "filters of warnings": (
        "warnings.simplefilter('ignore')",
        "len(warnings.filters)",
        "warnings.filterwarnings('error', 'anything')",
    ),
    "the environment": ("os.environ['A'] = '1'", "dict(os.environ)", "os.environ['A'] = '2'"),
    "a new variable of the environment": (
        "pass",
        "'SEEN' in os.environ",
        "os.environ['SEEN'] = 'yes'",
    ),
    "a context variable": ("variable.set(1)", "variable.get(0)", "variable.set(2)"),
    "a context variable without a value": ("pass", "variable.get(None)", "variable.set('seen')"),
    "the output": ("pass", "type(sys.stdout).__name__", "sys.stdout = io.StringIO()"),
    "the error output": ("pass", "type(sys.stderr).__name__", "sys.stderr = None"),
}


@pytest.mark.parametrize("phase", ["query", "document"])
@pytest.mark.parametrize("case", SWITCHES)
async def test_switches_are_put_back(runner: Runner, case: str, phase: Phase) -> None:
    """What a run does to the interpreter's own switches ends with it; the top level's stays."""
    at_first, read, then = SWITCHES[case]
    source = f"""
    import contextvars, gc, io, os, sys, warnings
    from decimal import Context, Decimal, DefaultContext, Inexact, getcontext, setcontext
    variable = contextvars.ContextVar("variable")
    runs = 0
    {at_first}
    def {phase}(given, context):
        global runs
        runs += 1
        seen = {read}
        {then}
        return {{"seen": seen, "runs": runs}}
    """
    first, second = [(await runner.run(source, phase=phase)).data for _ in range(2)]
    assert (first["runs"], second["runs"]) == (1, 2)
    assert first["seen"] == second["seen"]
