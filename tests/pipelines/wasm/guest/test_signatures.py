"""Functions that a pipeline could not call are found when a UDF is loaded to be looked at."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pipelines.definitions.package import Package
from pipelines.errors import StageError
from pipelines.wasm import Call, Limits, Phase
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.udfs import using

DECORATED = """
import functools

def logged(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner

"""
ADAPTED = """
import functools

def short(function):
    @functools.wraps(function)
    def inner(request, context):
        return function(request)
    return inner

"""

GOOD = [
    "def query(request, context): return request",
    "def query(request, /, context): return request",
    "def query(request, context, limit=5): return request",
    "def query(request, context, *, limit=5): return request",
    "def query(request, context, **options): return request",
    "def query(*args): return args[0]",
    "def query(*args, **kwargs): return args[0]",
    "query = lambda request, context: request",
    "def query(request: Unknown, context: 'Context') -> Unknown: return request",
    "class Tool:\n    def __call__(self, request, context): return request\nquery = Tool()",
    "class Tool:\n    def run(self, request, context): return request\nquery = Tool().run",
    "import functools\ndef three(a, b, c): return b\nquery = functools.partial(three, 1)",
    "def udf_main(): return {}",
    "def udf_main(limit=5): return {}",
    "udf_main = lambda: {}",
    # a name may stand for a value where another one is the function
    "query = {'match_all': {}}\nresult = None\ndef udf_main(): return query",
    "max_size = 5\ndef document(doc, context): return doc\nresult = 'x'",
    DECORATED + "@logged\ndef query(request, context): return request",
    ADAPTED + "@short\ndef query(request): return request",
]
BAD = [
    ("def query(request): return request", "query(request) cannot be called with two arguments"),
    ("def query(): return {}", "query() cannot be called with two arguments"),
    ("def query(a, b, c): return a", "query(a, b, c) cannot be called with two arguments"),
    ("def query(a, b, *, c): return a", "missing a required keyword-only argument: 'c'"),
    ("def query(*, request, context): pass", "query(*, request, context) cannot be called"),
    ("def document(): return {}", "document() cannot be called with two arguments"),
    ("def result(response): return response", "result(response) cannot be called with two"),
    ("def udf_main(query): return query", "udf_main(query) cannot be called without arguments"),
    ("def udf_main(*, a): return {}", "udf_main(*, a) cannot be called without arguments"),
    ("async def query(request, context): return request", "query() is an `async def`"),
    ("async def query(request, context): yield request", "query() is an `async def`"),
    ("async def udf_main(): return {}", "udf_main() is an `async def`"),
    ("def query(request, context):\n    yield request", "query() has a `yield` in it"),
    ("class query: pass", "query is a class"),
    (
        "from dataclasses import dataclass\n@dataclass\nclass document:\n    a: int\n    b: int",
        "class",
    ),
    ("query = {'match_all': {}}", "query is no function but a value of type dict"),
    ("udf_main = '{}'", "udf_main is no function but a value of type str"),
    (DECORATED + "@logged\ndef query(request): return request", "query(request) cannot be called"),
    (DECORATED + "@logged\nasync def query(r, c): return r", "query() is an `async def`"),
    ("class Tool:\n    def __call__(self, r): pass\nquery = Tool()", "query(r) cannot be called"),
    ("class Tool:\n    async def __call__(self, r, c): pass\nquery = Tool()", "`async def`"),
    ("import functools\ndef f(a, b): pass\nquery = functools.partial(f, 1)", "query(b) cannot be"),
    ("def query(r, c): return r\ndef document(doc): return doc", "document(doc) cannot be called"),
]
RIGHT = {
    "udf_main": "write `def udf_main():`",
    "query": "write `def query(request, context):`",
    "document": "write `def document(doc, context):`",
    "result": "write `def result(response, context):`",
}


def package(source: str) -> Package:
    return Package(name="u", version="1.0.0", source=dedent(source))


async def test_what_can_be_called_is_taken(pool: SandboxPool) -> None:
    """Whatever it is written as."""
    for source in GOOD:
        assert await pool.inspect(package(source), {}), source


async def test_what_cannot_be_called_is_reported_with_the_right_signature(
    pool: SandboxPool,
) -> None:
    """Every entry point of a package, with its line where Python knows it."""
    for source, said in BAD:
        with pytest.raises(StageError) as caught:
            await pool.inspect(package(source), {})
        reason = caught.value.reason
        assert (caught.value.kind, said in reason) == ("load", True), (source, reason)
        assert any(right in reason for right in RIGHT.values()), reason


async def test_the_line_is_that_of_the_function(pool: SandboxPool) -> None:
    """Also under a decorator."""
    source = DECORATED + "\n\n@logged\ndef query(request): return request"
    line = dedent(source).splitlines().index("@logged") + 1
    with pytest.raises(StageError, match=rf"\(line {line}\)$"):
        await pool.inspect(package(source), {})


@pytest.mark.parametrize(
    ("phase", "fits"), [("query", True), ("document", False), ("result", True)]
)
async def test_only_what_a_phase_calls_counts_for_it(
    pool: SandboxPool, phase: Phase, fits: bool
) -> None:
    """A helper called `document` is no fault where queries are what a UDF is made for."""
    helper = package("def udf_main(): return {}\ndef document(text): return text.lower()")
    if fits:
        assert "udf_main" in await pool.inspect(helper, {}, phase=phase)
    else:
        with pytest.raises(StageError, match=r"document\(text\) cannot be called"):
            await pool.inspect(helper, {}, phase=phase)


async def test_parameters_may_decide_what_an_entry_point_is(pool: SandboxPool) -> None:
    """So it is looked at with those of the stage."""
    source = package("""
        if get_param("short", False):
            def query(request): return request
        else:
            def query(request, context): return request
    """)
    assert await pool.inspect(source, {}) == {"query"}
    with pytest.raises(StageError, match="cannot be called with two arguments"):
        await pool.inspect(source, {"short": True})


async def test_what_is_stored_already_still_runs(pool: SandboxPool) -> None:
    """Loading for a run looks at nothing of this: a helper beside `udf_main` stays one."""
    source = package("def udf_main(): return {'a': 1}\ndef document(text): return text")
    call = Call(phase="query", payload='{"query":{"b":{}}}')
    reply = await pool.run(using(source, Limits(timeout_ms=20_000)), call)
    assert reply.data["query"] == {"a": 1}
