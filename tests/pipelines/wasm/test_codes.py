"""A UDF is compiled once a process, and by nothing that ran its code."""

from __future__ import annotations

from contextlib import suppress

from pipelines.errors import StageError
from pipelines.wasm import Runtime
from pipelines.wasm.bytecode import Codes
from tests.pipelines.wasm.udfs import Runner, udf

# Rewrites whatever of its interpreter could make or carry code, and tells who loaded it.
FORGER = """
import binascii, builtins, gc, json, marshal, sys
from querymill import get_param
who = get_param("who")
if who == "forger":
    forged = builtins.compile("def query(r, c): return {'it': 'forged'}", "sample.py", "exec")
    builtins.compile = lambda *args, **kwargs: forged
    marshal.loads = lambda data: forged
    marshal.dumps = lambda code: b""
    binascii.b2a_base64 = binascii.a2b_base64 = lambda *args, **kwargs: b""
    for each in [sys.modules["runtime.udf"], sys.modules["runtime.text"]]:
        each.encode = lambda value: '{"entries":["query"],"code":""}'
        each.__dict__["compile"] = builtins.compile
def query(request, context):
    return {"it": who}
"""


def test_kept() -> None:
    """What was put is found, under its own digest, and the last of two."""
    codes = Codes()
    codes.put("a", "1")
    codes.put("a", "22")
    assert (codes.get("a"), codes.get("b")) == ("22", None)


def test_room() -> None:
    """As many bytes as allowed are kept; more put out what was used longest ago."""
    codes = Codes(most=4)
    codes.put("a", "11")
    codes.put("b", "22")
    assert codes.get("a") == "11"
    codes.put("c", "33")
    assert (codes.get("a"), codes.get("b"), codes.get("c")) == ("11", None, "33")
    codes.put("d", "4444")
    assert (codes.get("a"), codes.get("c"), codes.get("d")) == (None, None, "4444")
    codes.put("e", "55555")
    assert (codes.get("d"), codes.get("e")) == (None, None)
    codes.put("f", "6666")
    assert codes.get("f") == "6666"


async def test_compiled_once(runtime: Runtime, runner: Runner) -> None:
    """For any parameters, and both kinds of isolation."""
    package = udf("def query(r, c):\n    return {'it': c.params}", name="compiled_once")
    for params in ({"a": 1}, {"a": 2}):
        assert (await runner.run(package, params=params)).data == {"it": params}
        code = runtime.codes.get(package.digest)
        assert code is not None
        assert (await runner.run(package, params=params, isolation="request")).changed
        assert runtime.codes.get(package.digest) is code


async def test_what_cannot_be_compiled_is_not_kept(runtime: Runtime, runner: Runner) -> None:
    """Each sandbox says so anew."""
    package = udf("def query(r, c) return r")
    for _ in range(2):
        error = await runner.fails(package)
        assert (error.kind, "sample.py line 1" in error.reason) == ("load", True)
    assert runtime.codes.get(package.digest) is None


async def test_code_cannot_be_forged(runtime: Runtime, runner: Runner) -> None:
    """What a UDF does to its interpreter does not reach sandboxes with other parameters."""
    package = udf(FORGER)
    with suppress(StageError):
        await runner.run(package, params={"who": "forger"})
    code = runtime.codes.get(package.digest)
    for who in ("one", "other"):
        assert (await runner.run(package, params={"who": who})).data == {"it": who}
    assert runtime.codes.get(package.digest) is code


async def test_tracebacks_show_source(runner: Runner) -> None:
    """Of code that was compiled in another sandbox as well."""
    package = udf("def query(r, c):\n    return r['nothing']")
    for params in ({}, {"a": 1}):
        error = await runner.fails(package, params=params)
        assert 'File "sample.py", line 2, in query\n    return r[' in error.detail
