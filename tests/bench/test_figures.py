"""Samples summed up to percentiles, spreads and rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import (
    Spread,
    percentile,
    rows,
    stage_rows,
)
from tests.bench.made import (
    DIRECT,
    PROXY,
    REWRITTEN,
    results,
    sample,
)


@pytest.mark.parametrize(("share", "expected"), [(0, 1), (0.5, 50), (0.99, 99), (1, 100)])
def test_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    """Of 1 to 100, the n-th percentile is n."""
    assert percentile(range(1, 101), share) == expected


@given(st.lists(st.integers(), min_size=1), st.floats(0, 1))
def test_percentile_is_a_value_that_so_many_do_not_exceed(values: list[int], share: float) -> None:
    """A percentile was measured, and at least its share of all values is not above it."""
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


def test_percentile_of_nothing_is_refused() -> None:
    """Without a measurement there is no percentile, and it says so."""
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 0.5)


def test_percentile_has_a_share_of_at_most_one() -> None:
    """99 for the 99th percentile is a mistake that is told."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        percentile([1], 99)


def test_spread_is_median_lowest_and_highest() -> None:
    """A spread does not depend on the order of the rounds."""
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)


def test_spread_of_no_round_is_refused() -> None:
    """A plan without rounds is told, not divided by."""
    with pytest.raises(ValueError, match="no round"):
        Spread.of([])


def test_ratios_are_made_within_a_round() -> None:
    """A machine that is slower in one round changes no ratio."""
    samples = [sample("direct", 1, 100), sample("proxy", 1, 200), sample("rewritten", 1, 100)]
    samples += [sample("direct", 2, 900), sample("proxy", 2, 1800), sample("rewritten", 2, 900)]
    direct, _, proxy = rows(samples, [DIRECT, REWRITTEN, PROXY])
    assert direct.ratio_p50 == Spread(1.0, 1.0, 1.0)
    assert proxy.ratio_p50 == proxy.ratio_p99 == Spread(2.0, 2.0, 2.0)
    assert proxy.p50_us == Spread(1000.0, 200.0, 1800.0)


def test_what_the_proxy_adds_leaves_out_other_work_of_the_backend() -> None:
    """Added time is told against the same query sent directly, the ratio against the baseline."""
    samples = [sample("direct", 1, 100), sample("rewritten", 1, 300), sample("proxy", 1, 350)]
    *_, proxy = rows(samples, [DIRECT, REWRITTEN, PROXY])
    assert proxy.added_us.median == 50
    assert proxy.ratio_p50.median == 3.5


def test_rows_come_by_connections_then_case() -> None:
    """A table of one number of connections is a run of rows in the order of the cases."""
    samples = [
        sample(case, 1, 100, connections=connections)
        for case in ("rewritten", "direct")
        for connections in (8, 1)
    ]
    found = [(row.connections, row.case) for row in rows(samples, [DIRECT, REWRITTEN])]
    assert found == [(1, "direct"), (1, "rewritten"), (8, "direct"), (8, "rewritten")]


def test_cpu_is_weighted_by_requests() -> None:
    """A round with more requests counts more; a case without a proxy has no CPU figure."""
    samples = [sample("direct", number, 100) for number in (1, 2)]
    samples += [sample("rewritten", number, 100) for number in (1, 2)]
    samples += [
        replace(sample("proxy", 1, 100), cpu_us=100.0, requests=300),
        replace(sample("proxy", 2, 100), cpu_us=200.0, requests=100),
    ]
    direct, _, proxy = rows(samples, [DIRECT, REWRITTEN, PROXY])
    assert proxy.cpu_us == 125.0
    assert direct.cpu_us is None


def test_a_round_without_its_baseline_is_refused() -> None:
    """The error names the round and what is missing in it."""
    samples = [sample("direct", 1, 100), sample("proxy", 2, 100)]
    with pytest.raises(ValueError, match=r"round 2 .* \[proxy\] without \[direct\]"):
        rows(samples, [DIRECT, PROXY])


def test_stage_rows_sum_up_rounds() -> None:
    """Rounds of one function on one input become one row, kinds stay apart."""
    first = results().stages[0]
    found = stage_rows([first, replace(first, round=2, p50_us=500.0), replace(first, kind="load")])
    assert [(row.kind, row.runs) for row in found] == [("warm", 60), ("load", 30)]
    assert found[0].p50_us == Spread(400.0, 300.0, 500.0)
