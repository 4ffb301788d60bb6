"""Counts and percentiles, and adding them up."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.execution.stats import QUANTILES, RELATIVE_ACCURACY, Latency, PipelineStats, Stats

DURATIONS = st.lists(st.floats(0.01, 120_000), min_size=1, max_size=300)


def measured(durations: list[float]) -> Latency:
    latency = Latency()
    for duration in durations:
        latency.add(duration)
    return latency


def close(found: float, exact: float) -> bool:
    # the sketch's own bound, and the four decimals that are shown
    return abs(found - exact) <= exact * RELATIVE_ACCURACY * 1.001 + 0.0001


def test_nothing_measured_has_no_percentiles() -> None:
    """Rather than ones that say zero."""
    latency = Latency()
    assert (latency.count, latency.total_ms, latency.quantiles()) == (0, 0.0, {})


@given(DURATIONS)
@example([5.0])
@example([0.01] * 99 + [120_000.0])
def test_percentiles_are_within_one_percent(durations: list[float]) -> None:
    """P50, P95 and P99 are there, in order, each within 1 % of the exact one."""
    latency = measured(durations)
    found = latency.quantiles()
    assert list(found) == ["p50", "p95", "p99"]
    assert found["p50"] <= found["p95"] <= found["p99"]
    ordered = sorted(durations)
    for name, q in QUANTILES.items():
        rank = q * (len(ordered) - 1)
        neighbours = (ordered[math.floor(rank)], ordered[math.ceil(rank)])
        assert any(close(found[name], exact) for exact in neighbours)
    assert latency.count == len(durations)
    assert latency.total_ms == pytest.approx(sum(durations))


@given(DURATIONS, DURATIONS)
def test_two_halves_merge_to_the_whole(one: list[float], other: list[float]) -> None:
    """Figures of several workers add up without losing the bound of 1 %."""
    whole, merged, part = measured(one + other), measured(one), measured(other)
    merged.merge(part)
    assert merged.count == whole.count
    assert merged.total_ms == pytest.approx(whole.total_ms)
    for name, value in whole.quantiles().items():
        assert merged.quantiles()[name] == pytest.approx(value, rel=RELATIVE_ACCURACY)


def test_what_was_merged_from_stays_as_it_was() -> None:
    """The two go their own ways afterwards, also if one of them was empty."""
    total, part = Latency(), measured([10.0])
    total.merge(part)
    total.add(1000.0)
    assert (total.count, part.count) == (2, 1)
    assert part.quantiles()["p99"] == pytest.approx(10, rel=RELATIVE_ACCURACY)
    total.merge(Latency())
    assert total.count == 2


def figures() -> PipelineStats:
    """Two runs, one done in 10 ms, one that timed out in its second stage after 30 ms."""
    stats = PipelineStats()
    stats.outcomes.update(["done", "failed"])
    stats.timeouts += 1
    for duration in (10.0, 30.0):
        stats.latency.add(duration)
    for _ in range(2):
        stats.stage("one").outcomes["success"] += 1
        stats.stage("one").latency.add(1.0)
    two = stats.stage("two")
    two.outcomes.update(["skipped", "failure"])
    two.errors["timeout"] += 1
    two.retries += 3
    two.latency.add(29.0)
    return stats


def test_the_figures_of_a_pipeline() -> None:
    """Every outcome has a count, every stage its own figures."""
    shown = figures().as_dict()
    percentiles = shown.pop("latency_ms")
    stages = shown.pop("stages")
    assert shown == {
        "count": 2,
        "success": 1,
        "failure": 1,
        "degraded": 0,
        "rejected": 0,
        "dropped": 0,
        "timeouts": 1,
        "turned_off": 0,
        "refused": 0,
        "log_lines_left_out": 0,
        "time_in_millis": 40.0,
    }
    assert percentiles["p99"] == pytest.approx(10, rel=0.01)
    assert list(stages) == ["one", "two"]
    two = stages["two"]
    assert (two["count"], two["failure"], two["skipped"], two["success"]) == (1, 1, 1, 0)
    assert (two["timeouts"], two["errors"], two["retries"]) == (1, {"timeout": 1}, 3)


def test_figures_of_two_workers_add_up() -> None:
    """Counts, timeouts, errors, retries and times are all doubled by the same again."""
    both, again = Stats(), figures()
    both.merge({"p": figures()})
    both.merge({"p": again, "q": PipelineStats()})
    assert [name for name, _ in both.items()] == ["p", "q"]
    shown, single = both.pipeline("p").as_dict(), again.as_dict()
    for key in ("count", "success", "failure", "timeouts", "time_in_millis"):
        assert shown[key] == 2 * single[key]
    for name, stage in single["stages"].items():
        merged = shown["stages"][name]
        for key in ("count", "success", "failure", "skipped", "timeouts", "retries"):
            assert merged[key] == 2 * stage[key]
        assert merged["latency_ms"] == stage["latency_ms"]


def test_a_forgotten_pipeline_begins_anew() -> None:
    """Deleting one and making another of that name does not mix their figures."""
    stats = Stats()
    stats.pipeline("p").outcomes["done"] += 1
    stats.forget("p")
    stats.forget("never there")
    assert stats.pipeline("p").as_dict()["count"] == 0
