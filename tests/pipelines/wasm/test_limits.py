"""Every limit, kept and broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.definitions.package import Package
from pipelines.errors import StageError, StageTimeoutError
from pipelines.wasm import Limits, Runtime
from pipelines.wasm.codec import HEADER_BYTES, REASON_BYTES
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.udfs import Runner

PLENTY = Limits(timeout_ms=5000)
SAME = "def query(request, context): return request"


def payload_of(size: int) -> str:
    return '{"a":"' + "x" * (size - 8) + '"}'


@pytest.mark.parametrize("size", [999, 1000])
async def test_input_bytes_obeyed(runner: Runner, size: int) -> None:
    """An input up to its limit is run."""
    await runner.run(SAME, payload_of(size), limits=replace(PLENTY, input_bytes=1000))


@pytest.mark.parametrize("payload", [payload_of(1001), '{"a":"' + "é" * 500 + '"}'])
async def test_input_bytes_violated(runner: Runner, payload: str) -> None:
    """An input over its limit, counted in bytes, is refused and names the limit."""
    error = await runner.fails(SAME, payload, limits=replace(PLENTY, input_bytes=1000))
    assert error.kind == "input_too_large"
    assert "its limit is 1000" in error.reason


async def test_input_bytes_count_the_request(runner: Runner) -> None:
    """The request behind a response counts, too."""
    source = "def result(response, context): return response"
    limits = replace(PLENTY, input_bytes=1000)
    error = await runner.fails(
        source, payload_of(600), phase="result", request=payload_of(600), limits=limits
    )
    assert error.kind == "input_too_large"


@pytest.mark.parametrize("size", [999, 1000])
async def test_output_bytes_obeyed(runner: Runner, size: int) -> None:
    """A result up to its limit is taken."""
    source = f"def query(r, c): return {{'a': 'x' * {size - 8}}}"
    reply = await runner.run(source, limits=replace(PLENTY, output_bytes=1000))
    assert len(reply.payload) == size


@pytest.mark.parametrize("result", ["'x' * 993", "'é' * 500"])
async def test_output_bytes_violated(runner: Runner, result: str) -> None:
    """A result over its limit, counted in bytes, is refused; the sandbox stays warm."""
    source = f"def query(r, c): return {{'a': {result}}}"
    error = await runner.fails(source, limits=replace(PLENTY, output_bytes=1000))
    assert error.kind == "output_too_large"
    assert "its limit is 1000" in error.reason
    assert runner.pool.stats()["idle"] == 1


def carrying(member: str, size: int, letter: str) -> str:
    """Source of a UDF whose `context.state` or `context.metadata` has so many bytes."""
    text = (size - len(f'{{"{member}":{{"a":""}}}}')) // len(letter.encode())
    return f"def query(r, c):\n    c.{member}['a'] = {letter!r} * {text}\n    return r"


@pytest.mark.parametrize("letter", ["x", "é", "\N{GRINNING FACE}"])
@pytest.mark.parametrize("member", ["state", "metadata"])
@pytest.mark.parametrize("size", [HEADER_BYTES - 8, HEADER_BYTES])
async def test_state_bytes_obeyed(runner: Runner, member: str, letter: str, size: int) -> None:
    """State and metadata have a limit of their own, 1 MiB together, in any script."""
    assert getattr(await runner.run(carrying(member, size, letter)), member)


@pytest.mark.parametrize("letter", ["x", "é", "\N{GRINNING FACE}"])
@pytest.mark.parametrize("member", ["state", "metadata"])
async def test_state_bytes_violated(runner: Runner, member: str, letter: str) -> None:
    """A character more is too much, counted in bytes."""
    error = await runner.fails(carrying(member, HEADER_BYTES + 4, letter))
    assert error.kind == "output_too_large"
    assert "context.state" in error.reason


@pytest.mark.parametrize("letter", ["x", "é", "\N{GRINNING FACE}"])
@pytest.mark.parametrize(
    ("size", "kept"),
    [(REASON_BYTES - 4, REASON_BYTES - 4), (REASON_BYTES, REASON_BYTES)]
    + [(size, REASON_BYTES) for size in (REASON_BYTES + 4, HEADER_BYTES, 2 * HEADER_BYTES)],
)
async def test_reason_of_a_rejection(runner: Runner, letter: str, size: int, kept: int) -> None:
    """A reason has 1 KiB; a longer one is cut between two characters, and refuses all the same."""
    letters = size // len(letter.encode())
    reply = await runner.run(f"def query(r, c): reject({letter!r} * {letters}, 422)")
    assert reply.rejected == (letter * (kept // len(letter.encode())), 422)


async def test_log_bytes_obeyed(runner: Runner) -> None:
    """A log up to its limit is kept whole."""
    source = "def query(r, c):\n    for _ in range(10): log('x' * 9)\n    return r"
    reply = await runner.run(source, limits=replace(PLENTY, log_bytes=100))
    assert reply.log == ("x" * 9,) * 10
    assert runner.log == list(reply.log)


async def test_log_bytes_violated(runner: Runner) -> None:
    """Over its limit the log ends with one note, and the run goes on; the next begins anew."""
    source = "def query(r, c):\n    for _ in range(99): log('x' * 9)\n    return r"
    for _ in range(2):
        reply = await runner.run(source, limits=replace(PLENTY, log_bytes=100))
        assert len(reply.log) == 11
        assert reply.log[-1] == "[the log is full: its limit is 100 bytes a run]"


async def test_empty_log_lines_count(runner: Runner) -> None:
    """Empty lines use up the log, too."""
    source = "def query(r, c):\n    for _ in range(500): log('')\n    return r"
    assert len((await runner.run(source, limits=replace(PLENTY, log_bytes=100))).log) == 101


async def test_memory_mb_obeyed(runner: Runner) -> None:
    """A UDF may use what its limit leaves beside the interpreter."""
    source = "def query(r, c): return {'a': len(bytearray(100 * 1024 * 1024))}"
    await runner.run(source, limits=replace(PLENTY, memory_mb=128))


async def test_memory_mb_violated(runner: Runner) -> None:
    """The same UDF in less memory fails, and in a sandbox of its own."""
    source = "def query(r, c): return {'a': len(bytearray(100 * 1024 * 1024))}"
    error = await runner.fails(source, limits=replace(PLENTY, memory_mb=100))
    assert error.kind == "memory"
    assert "its limit is 100 MB" in error.reason
    await runner.run(source, limits=replace(PLENTY, memory_mb=128))


async def test_memory_mb_below_the_interpreter(runner: Runner) -> None:
    """A limit in which the interpreter itself does not fit says so."""
    error = await runner.fails(SAME, limits=replace(PLENTY, memory_mb=4))
    assert error.kind == "memory"
    assert "does not fit in 4 MB" in error.reason
    assert runner.pool.stats()["live"] == 0


async def test_memory_for_what_is_handed_over(runtime: Runtime) -> None:
    """Files that do not fit are told like any other memory that ran out."""
    pool = SandboxPool(runtime, load_timeout_ms=20_000)
    files = {"zeros": bytes(10 * 1024 * 1024)}
    package = Package(name="u", version="1", source=SAME, files=files)
    with pytest.raises(StageError, match="it ran out of memory, its limit is 64 MB"):
        await pool.inspect(package, {})
    await pool.close()


async def test_timeout_obeyed(runner: Runner) -> None:
    """A run within its time is not stopped, and an earlier deadline does not linger."""
    source = """
    import time
    def query(request, context):
        until = time.monotonic() + request["seconds"]
        while time.monotonic() < until: pass
        return request
    """
    await runner.run(source, {"seconds": 0}, limits=replace(PLENTY, timeout_ms=2000))
    await runner.run(source, {"seconds": 0.3}, limits=PLENTY)


async def test_timeout_violated(runner: Runner) -> None:
    """A run over its time is stopped, not before its time is over, and keeps what it logged."""
    source = """
    import time
    def query(request, context):
        began = time.monotonic()
        log("begun")
        while True:
            print(int((time.monotonic() - began) * 1000))
            for _ in range(2000): pass
    """
    with pytest.raises(StageTimeoutError, match="longer than its 100 ms"):
        await runner.run(source, limits=replace(PLENTY, timeout_ms=100, log_bytes=10**6))
    assert runner.log[0] == "begun"
    assert int(runner.log[-1]) >= 90


async def test_big_payload(runner: Runner) -> None:
    """Ten megabytes pass in and out within the default memory."""
    limits = replace(PLENTY, timeout_ms=20_000)
    assert not (await runner.run(SAME, payload_of(10 * 1024 * 1024), limits=limits)).changed


def nested(levels: int) -> str:
    """Source of a UDF that nests its result that deeply."""
    return (
        "def query(r, c):\n"
        "    x = 1\n"
        f"    for _ in range({levels}): x = {{'x': x}}\n"
        "    return {**r, 'x': x}\n"
    )


async def test_nesting_of_a_result_obeyed_and_violated(runner: Runner) -> None:
    """What could not be written out again is an error of the stage, not of the proxy."""
    assert (await runner.run(nested(200), {})).changed
    error = await runner.fails(nested(300), {})
    assert (error.kind, "nested too deeply" in str(error)) == ("invalid_result", True)


async def test_nesting_of_the_state_violated(runner: Runner) -> None:
    """The same for what is carried on in the context."""
    source = nested(300).replace("return {**r, 'x': x}", "c.state['x'] = x\n    return r")
    error = await runner.fails(source, {})
    assert (error.kind, "context.state" in str(error)) == ("invalid_result", True)
