"""How quick a UDF was shown to be: what counts for it, what against it, and what says nothing."""

from __future__ import annotations

import pytest

from pipelines.wasm.pool.inline import _REMEMBERED as REMEMBERED
from pipelines.wasm.pool.inline import (
    LONGEST_PROOF,
    PROOF,
    QUICK_SECONDS,
    SOUND_LOADS,
    SPARE,
    Paces,
)

SLOW_SECONDS = QUICK_SECONDS * 1.01
KEY = ("digest", b"{}", 64, False)


def proved(paces: Paces, runs: int) -> None:
    for _ in range(runs):
        paces.ran(KEY, QUICK_SECONDS)


@pytest.mark.parametrize(("runs", "quick"), [(PROOF - 1, False), (PROOF, True), (PROOF + 1, True)])
def test_proof(runs: int, quick: bool) -> None:
    """So many quick runs in a row, and no fewer."""
    paces = Paces()
    proved(paces, runs)
    assert paces.is_quick(KEY) is quick
    assert not paces.is_quick((*KEY[:3], True))


def test_a_slow_run_begins_the_proof_anew() -> None:
    paces = Paces()
    proved(paces, PROOF)
    paces.ran(KEY, SLOW_SECONDS)
    assert not paces.is_quick(KEY)
    proved(paces, PROOF)
    assert paces.is_quick(KEY)


def test_spare_runs_make_up_for_slow_ones() -> None:
    """A slower run costs as many quick ones as a proof takes, and no more are kept than for two."""
    paces = Paces()
    proved(paces, PROOF + SPARE + 1000)
    paces.ran(KEY, SLOW_SECONDS)
    paces.ran(KEY, SLOW_SECONDS)
    assert paces.is_quick(KEY)
    paces.ran(KEY, SLOW_SECONDS)
    assert not paces.is_quick(KEY)
    proved(paces, PROOF)
    assert paces.is_quick(KEY)


def test_a_run_that_had_no_processor_shows_nothing() -> None:
    """However often its deadline passed."""
    paces = Paces()
    proved(paces, PROOF)
    for _ in range(100):
        paces.was_slow(KEY, QUICK_SECONDS)
    assert paces.is_quick(KEY)
    paces.was_slow(KEY, SLOW_SECONDS)
    assert not paces.is_quick(KEY)


def test_a_passed_deadline_on_a_thread_begins_the_proof_anew() -> None:
    """A runaway is none of the quick ones, whatever it did before."""
    paces = Paces()
    proved(paces, PROOF + SPARE)
    paces.timed_out(KEY)
    assert not paces.is_quick(KEY)


def test_a_passed_deadline_doubles_it() -> None:
    """Up to a bound, so that a UDF that became quick is found again."""
    paces = Paces()
    paces.was_slow(KEY, SLOW_SECONDS)
    proved(paces, PROOF * 2 - 1)
    assert not paces.is_quick(KEY)
    proved(paces, 1)
    assert paces.is_quick(KEY)
    for _ in range(40):
        paces.was_slow(KEY, SLOW_SECONDS)
    proved(paces, LONGEST_PROOF)
    assert paces.is_quick(KEY)


# The thread's clock


def test_a_run_that_is_slow_by_the_wall_alone_shows_nothing() -> None:
    """On a busy machine every run is; the processor time of the next ones is looked at."""
    paces = Paces()
    for _ in range(PROOF):
        paces.ended(KEY, QUICK_SECONDS, None)
    assert paces.is_quick(KEY)
    assert not paces.is_watched(KEY)
    paces.ended(KEY, SLOW_SECONDS, None)
    assert paces.is_quick(KEY)
    assert paces.is_watched(KEY)


@pytest.mark.parametrize(
    ("worked", "quick"),
    [(QUICK_SECONDS * 0.99, True), (QUICK_SECONDS, True), (SLOW_SECONDS, False)],
)
def test_once_watched_its_processor_time_counts(worked: float, quick: bool) -> None:
    """Whatever the wall says meanwhile."""
    paces = Paces()
    proved(paces, PROOF)
    paces.watch(KEY)
    paces.ended(KEY, 60.0, worked)
    assert paces.is_quick(KEY) is quick


@pytest.mark.parametrize(
    ("runs", "watched"), [(PROOF - 1, True), (PROOF, False), (PROOF + 1, False)]
)
def test_it_is_watched_for_so_many_runs(runs: int, watched: bool) -> None:
    """And again from the next slow one on."""
    paces = Paces()
    paces.ended(KEY, SLOW_SECONDS, None)
    for _ in range(runs):
        paces.ended(KEY, SLOW_SECONDS, QUICK_SECONDS)
    assert paces.is_watched(KEY) is watched
    paces.ended(KEY, SLOW_SECONDS, None)
    assert paces.is_watched(KEY)


@pytest.mark.parametrize(("others", "watched"), [(-1, True), (0, False)])
def test_so_many_are_watched_at_once(others: int, watched: bool) -> None:
    """Then the one that was slow first is forgotten."""
    paces = Paces()
    paces.watch(KEY)
    for number in range(REMEMBERED + others):
        paces.watch((f"digest {number}", *KEY[1:]))
    assert paces.is_watched(KEY) is watched


def test_a_slow_first_run_is_no_new_udf_any_more() -> None:
    """It has ended by itself; that is what those behind it wait to see."""
    paces = Paces()
    assert paces.is_new(KEY)
    paces.ended(KEY, SLOW_SECONDS, None)
    assert not paces.is_new(KEY)
    assert not paces.is_quick(KEY)


def test_a_run_that_ended_is_no_runaway() -> None:
    """Known by either clock."""
    for worked in (None, SLOW_SECONDS):
        paces = Paces()
        paces.timed_out(KEY)
        paces.ended(KEY, SLOW_SECONDS, worked)
        assert paces.overruns(KEY) == 0


OTHER = (KEY[0], b'{"a":1}', 64, False)


def test_other_parameters_are_taken_on_trust() -> None:
    """A UDF that was quick with some parameters has shown it for others, once these ran."""
    paces = Paces()
    proved(paces, PROOF - 1)
    paces.ran(OTHER, 0)
    assert not paces.is_quick(KEY)
    assert paces.is_quick(OTHER)
    assert not paces.is_quick((*KEY[:2], 128, False))
    elsewhere = ("another digest", b"{}", 64, False)
    paces.ran(elsewhere, 0)
    assert not paces.is_quick(elsewhere)


@pytest.mark.parametrize("over", [True, False])
def test_a_slow_run_ends_the_trust(over: bool) -> None:
    """For parameters still to come, be it slow on a thread or past its deadline elsewhere."""
    paces = Paces()
    proved(paces, PROOF)
    if over:
        paces.was_slow(KEY, SLOW_SECONDS)
    else:
        paces.ran(KEY, QUICK_SECONDS * 1.01)
    paces.ran(OTHER, 0)
    assert not paces.is_quick(OTHER)


def test_sound_loads_end_a_doubt() -> None:
    """After a load that did not end it takes many that did; another one begins the count anew."""
    paces = Paces()
    paces.loaded(KEY)
    assert not paces.loads_badly(KEY)
    for _ in range(2):
        paces.load_timed_out(KEY)
        for _ in range(SOUND_LOADS - 1):
            paces.loaded(KEY)
        assert paces.loads_badly(KEY)
    paces.loaded(KEY)
    assert not paces.loads_badly(KEY)
