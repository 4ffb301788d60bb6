"""The breaker: when it opens, rests, probes and closes, and what counts as passing the deadline."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipelines.errors import RejectedError, StageError, StageTimeoutError
from pipelines.execution.breaker import LONGEST_REST, Breaker, BreakerRules, Ending, ending_of
from pipelines.execution.executor import Run
from pipelines.execution.plan import CompiledPipeline
from pipelines.execution.scope import StageReport
from pipelines.wasm import Runtime
from tests.clock import Clock
from tests.pipelines.conftest import RAISES, SAME, SPINS, Core, open_core, stage

ENDLESS = (
    "def query(request, context):\n    while 'stop' not in request: pass\n    return request\n"
)


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """Opens after three overruns, for ten seconds."""
    return Breaker("p", BreakerRules(timeouts=3, rest=10.0, clock=clock))


def end(breaker: Breaker, *endings: Ending) -> None:
    """Runs that end so, one after the other."""
    for ending in endings:
        breaker.leave(breaker.enter(), ending)


def state_of(breaker: Breaker) -> str:
    return breaker.figure.state


def refuses(breaker: Breaker) -> bool:
    """Whether a run cannot begin now. One that can is over at once, and says nothing."""
    try:
        end(breaker, "unknown")
    except StageError as error:
        return error.kind == "breaker"
    return False


# When it opens


def test_timeouts_obeyed_and_violated(breaker: Breaker) -> None:
    """One overrun less than the limit leaves it closed, the last one opens it."""
    end(breaker, "overran", "overran")
    assert state_of(breaker) == "closed"
    end(breaker, "overran")
    assert (state_of(breaker), breaker.figure.retry_seconds) == ("open", 10.0)
    with pytest.raises(StageError, match=r"\[p\] is turned off, as 3 runs in a row passed"):
        breaker.enter()


def test_only_overruns_in_a_row_count(breaker: Breaker) -> None:
    """One sound run in between begins the count anew; one that proves nothing does not."""
    end(breaker, "overran", "overran", "sound", "overran", "overran")
    assert state_of(breaker) == "closed"
    end(breaker, "unknown", "overran")
    assert state_of(breaker) == "open"


def test_runs_that_began_before_it_opened_say_nothing(breaker: Breaker, clock: Clock) -> None:
    """However they end, the rest is as long as it was."""
    eras = [breaker.enter() for _ in range(6)]
    for era in eras[:4]:
        breaker.leave(era, "overran")
    breaker.leave(eras[4], "sound")
    assert (state_of(breaker), breaker.figure.retry_seconds) == ("open", 10.0)
    clock.now += 10
    probe = breaker.enter()
    breaker.leave(eras[5], "sound")
    assert refuses(breaker)
    breaker.leave(probe, "sound")
    assert not refuses(breaker)


# When it closes


def test_rest_obeyed_and_violated(breaker: Breaker, clock: Clock) -> None:
    """No run begins before the rest is over, one does then."""
    end(breaker, "overran", "overran", "overran")
    clock.now += 9.99
    assert refuses(breaker)
    clock.now += 0.01
    assert state_of(breaker) == "half_open"
    assert not refuses(breaker)


def test_one_probe_at_a_time(breaker: Breaker, clock: Clock) -> None:
    """While it is on no other run begins; when it proved nothing, the next one is the probe."""
    end(breaker, "overran", "overran", "overran")
    clock.now += 10
    probe = breaker.enter()
    assert refuses(breaker)
    assert state_of(breaker) == "half_open"
    breaker.leave(probe, "unknown")
    probe = breaker.enter()
    assert refuses(breaker)
    breaker.leave(probe, "sound")
    assert state_of(breaker) == "closed"
    end(breaker, "overran", "overran")
    assert state_of(breaker) == "closed"


def test_the_rest_doubles_up_to_its_longest(breaker: Breaker, clock: Clock) -> None:
    """Each probe that overruns makes it longer; once it has closed it begins anew."""
    end(breaker, "overran", "overran", "overran")
    rests = [breaker.figure.retry_seconds]
    for _ in range(6):
        clock.now += breaker.figure.retry_seconds
        end(breaker, "overran")
        rests.append(breaker.figure.retry_seconds)
    assert rests == [10, 20, 40, 80, 160, 300, 300]
    assert max(rests) == LONGEST_REST
    clock.now += LONGEST_REST
    end(breaker, "sound", "overran", "overran", "overran")
    assert breaker.figure.retry_seconds == 10


def test_each_change_is_logged_once(breaker: Breaker, clock: Clock) -> None:
    """With the pipeline, how long it rests and why; runs that it ends are not logged."""
    with capture_logs() as lines:
        end(breaker, "overran", "overran", "overran")
        assert refuses(breaker)
        clock.now += 10
        end(breaker, "unknown", "unknown", "overran")
        clock.now += 20
        end(breaker, "sound")
    reported = [(line["event"], line["log_level"], line.get("reason")) for line in lines]
    assert reported == [
        ("breaker open", "warning", "3 runs in a row passed their deadline"),
        ("breaker half-open", "info", None),
        ("breaker open", "warning", "a probe passed its deadline"),
        ("breaker half-open", "info", None),
        ("breaker closed", "info", None),
    ]
    assert {line["pipeline"] for line in lines} == {"p"}
    assert [line["rest_seconds"] for line in lines if line["event"] == "breaker open"] == [10, 20]


# What a run says


def timed_out(kind: str = "timeout") -> StageError:
    """Of a sandbox that was stopped at its deadline."""
    if kind == "timeout":
        return StageTimeoutError("it ran longer than its 5 ms", overran=True)
    return StageError(kind, "it ran longer than its 5 ms", overran=True)


@pytest.mark.parametrize(
    ("errors", "ending"),
    [
        ([], "sound"),
        ([None], "sound"),
        ([StageError("udf_exception", "x")], "sound"),
        ([StageError("trap", "x")], "sound"),
        ([StageError("memory", "x")], "sound"),
        ([timed_out()], "overran"),
        ([timed_out("load")], "overran"),
        ([timed_out(), None], "overran"),
        ([StageTimeoutError("waiting")], "unknown"),
        ([None, StageTimeoutError("waiting")], "unknown"),
        ([StageError("unavailable", "x")], "unknown"),
        ([StageTimeoutError("waiting"), timed_out()], "overran"),
    ],
)
def test_only_a_stopped_sandbox_is_an_overrun(
    errors: list[StageError | None], ending: Ending
) -> None:
    """Stages that went on after an overrun do not undo it; one that only waited is no overrun."""
    reports = [
        StageReport(name="s", outcome="failure" if error else "success", error=error)
        for error in errors
    ]
    assert ending_of(reports, None) == ending
    assert ending_of(reports, RejectedError("no")) == ending


def test_the_deadline_between_two_stages_proves_nothing() -> None:
    """No stage has reported it."""
    done = StageReport(name="s", outcome="success")
    assert ending_of([done], StageTimeoutError("the pipeline passed its 5 ms")) == "unknown"


# In real sandboxes


@asynccontextmanager
async def guarded(
    runtime: Runtime, clock: Clock, timeouts: int = 2, **options: Any
) -> AsyncIterator[Core]:
    """A core whose breakers go by a clock of the test's."""
    rules = BreakerRules(timeouts=timeouts, rest=10.0, clock=clock)
    async with open_core(runtime, rules, **options) as core:
        yield core


def runaway(core: Core, **options: object) -> CompiledPipeline:
    """A pipeline that never ends, unless the request says `stop`."""
    if "endless" not in core.registry.udfs.names():
        core.udf("endless", ENDLESS)
    return core.pipeline(stage("endless", timeout_ms=200), **options)  # type: ignore[arg-type]


def kind(run: Run) -> str | None:
    return run.error.kind if isinstance(run.error, StageError) else None


async def test_a_runaway_is_turned_off_and_on_again(runtime: Runtime, clock: Clock) -> None:
    """Its runs end before a sandbox is entered, until a probe ends well."""
    async with guarded(runtime, clock) as core:
        pipeline = runaway(core)
        assert [kind(await core.run(pipeline)) for _ in range(2)] == ["timeout"] * 2
        run = await core.run(pipeline, {"size": 1}, state={"kept": 1})
        assert (run.outcome, kind(run), run.stages) == ("degraded", "breaker", [])
        assert (run.payload.data, run.state) == ({"size": 1}, {"kept": 1})
        clock.now += 10
        assert kind(await core.run(pipeline)) == "timeout"
        assert kind(await core.run(pipeline, {"stop": 1})) == "breaker"
        clock.now += 20
        assert (await core.run(pipeline, {"stop": 1})).outcome == "done"
        assert kind(await core.run(pipeline)) == "timeout"
        figures = core.stats.pipeline("p").as_dict()
    assert (figures["count"], figures["timeouts"], figures["turned_off"]) == (7, 4, 2)
    assert (figures["degraded"], figures["stages"]["endless"]["count"]) == (6, 5)
    # A run that took no time says nothing of how long runs take.
    assert core.stats.pipeline("p").latency.count == 5


@pytest.mark.parametrize(("final", "on_error"), [(False, "fail"), (True, "continue")])
async def test_a_pipeline_that_must_run_fails_while_it_is_off(
    runtime: Runtime, clock: Clock, final: bool, on_error: str
) -> None:
    """With `on_error: fail`, and a final one whatever it says: both fail closed."""
    async with guarded(runtime, clock, timeouts=1) as core:
        runaway(core, on_error=on_error)
        if final:
            core.attach("products", {"index.query.final_pipeline": "p"})
        (pipeline,) = (
            core.registry.finals_for("products", "query") if final else [core.registry.get("p")]
        )
        await core.run(pipeline)
        run = await core.run(pipeline)
    assert (run.outcome, kind(run)) == ("failed", "breaker")
    assert run.error is not None
    assert getattr(run.error, "pipeline", "") == "p"


async def test_an_overrun_that_a_stage_survives_counts(runtime: Runtime, clock: Clock) -> None:
    """`on_failure: continue` lets the run go on; its sandbox was stopped all the same."""
    async with guarded(runtime, clock, timeouts=1) as core:
        core.udf("same", SAME)
        core.udf("endless", ENDLESS)
        pipeline = core.pipeline(stage("endless", timeout_ms=50, on_failure="continue"), "same")
        assert (await core.run(pipeline)).outcome == "degraded"
        assert kind(await core.run(pipeline)) == "breaker"


async def test_exceptions_and_traps_do_not_open_it(runtime: Runtime, clock: Clock) -> None:
    """They end at once and hold nobody up."""
    async with guarded(runtime, clock, timeouts=1) as core:
        core.udf("raises", RAISES)
        core.udf("aborts", "import os\ndef query(request, context): os.abort()")
        for udf, wanted in (("raises", "udf_exception"), ("aborts", "trap")):
            pipeline = core.pipeline(udf, name=udf)
            assert [kind(await core.run(pipeline)) for _ in range(3)] == [wanted] * 3


async def test_those_who_only_waited_are_not_turned_off(runtime: Runtime, clock: Clock) -> None:
    """A pipeline whose time is over while a runaway has the only thread stays on."""
    async with guarded(runtime, clock, timeouts=1, threads=1) as core:
        core.udf("spins", SPINS)
        core.udf("same", SAME)
        ahead = core.pipeline(stage("spins", config={"parameters": {"seconds": 1}}), name="ahead")
        behind = core.pipeline(stage("same"), name="behind", timeout_ms=100)
        _, *late = await asyncio.gather(core.run(ahead), *(core.run(behind) for _ in range(3)))
        assert [kind(run) for run in late] == ["timeout"] * 3
        assert (await core.run(core.pipeline("same", name="behind"))).outcome == "done"
        assert core.registry.breakers()["behind"].state == "closed"


async def test_a_cancelled_probe_makes_room_for_the_next(runtime: Runtime, clock: Clock) -> None:
    """A client that goes away proves nothing."""
    async with guarded(runtime, clock, timeouts=1) as core:
        pipeline = runaway(core)
        await core.run(pipeline)
        clock.now += 10
        async with asyncio.TaskGroup() as group:
            probe = group.create_task(core.run(pipeline))
            await asyncio.sleep(0)
            assert kind(await core.run(pipeline)) == "breaker"
            probe.cancel()
        assert core.registry.breakers()["p"].state == "half_open"
        assert (await core.run(pipeline, {"stop": 1})).outcome == "done"


async def test_no_timeouts_no_breaker(runtime: Runtime, clock: Clock) -> None:
    """With 0 nothing is ever turned off, and there is no state to show."""
    async with guarded(runtime, clock, timeouts=0) as core:
        pipeline = runaway(core)
        assert [kind(await core.run(pipeline)) for _ in range(6)] == ["timeout"] * 6
        assert core.registry.breakers() == {}


async def test_failed_runs_leave_nothing_to_the_collector(runtime: Runtime, clock: Clock) -> None:
    """Their errors hold no frames, which would hold the run: there can be thousands a second."""
    async with guarded(runtime, clock, timeouts=1) as core:
        pipeline = runaway(core)
        await core.run(pipeline)
        gc.collect()
        run = await core.run(pipeline)
        assert kind(run) == "breaker"
        del run
        assert gc.collect() == 0


# What begins closed


async def test_only_a_change_of_the_pipeline_closes_it(runtime: Runtime, clock: Clock) -> None:
    """Reading the store again does not; a new revision, or a new version of its UDF, does."""
    async with guarded(runtime, clock, timeouts=1) as core:
        registry = core.registry

        def state() -> str:
            return registry.breakers()["p"].state

        def reread(revision: int) -> None:
            definition = registry.get("p").definition
            renewed = registry.renewed(definition, revision, registry.udfs)
            registry.change(registry.udfs, {"p": renewed}, {})

        await core.run(runaway(core))
        assert state() == "open"
        reread(1)
        core.udf("other", SAME)
        core.reread()
        assert state() == "open"
        reread(2)
        assert state() == "closed"
        await core.run(registry.get("p"))
        assert state() == "open"
        core.udf("endless", ENDLESS + "# new\n", version="1.1.0")
        core.reread()
        assert state() == "closed"
        await core.run(registry.get("p"))
        assert state() == "open"
        # Deleted and made again, it has the revision of before.
        core.remove("p")
        assert registry.breakers() == {}
        runaway(core)
        assert state() == "closed"


async def test_what_is_compiled_to_be_tried_has_no_breaker(runtime: Runtime, clock: Clock) -> None:
    """It is not stored, and tells the stored one nothing."""
    async with guarded(runtime, clock, timeouts=1) as core:
        tried = core.registry.compile(runaway(core).definition)
        assert tried.stages.breaker is None
        assert [kind(await core.run(tried)) for _ in range(2)] == ["timeout"] * 2
        assert core.registry.breakers()["p"].state == "closed"
