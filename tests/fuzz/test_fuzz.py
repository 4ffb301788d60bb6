"""The whole corpus and a share of random cases; `make fuzz` runs a million."""

from __future__ import annotations

import os
from typing import Final

import pytest

from tests.fuzz.engine import CORPUS, corpus, run_cases, run_corpus, run_one, share
from tests.fuzz.harness import Harness
from tests.fuzz.harnesses import HARNESSES

SEED: Final = os.environ.get("QUERYMILL_TEST_SEED", "1")
CASES: Final = 20_000
_SHARES: Final = [pytest.param(*part, id=part[0].name) for part in share(CASES, HARNESSES)]


@pytest.mark.parametrize(("harness", "cases"), _SHARES)
def test_nothing_is_found(harness: Harness, cases: int) -> None:
    """No kept and no random input raises what is not declared or breaks an invariant."""
    findings = [*run_corpus(harness), *run_cases(harness, SEED, cases).findings]
    assert not findings, "\n".join(finding.text(SEED) for finding in findings)


def test_every_harness_has_a_corpus_and_every_corpus_a_harness() -> None:
    """A corpus that nothing runs would keep nothing."""
    folders = {path.name for path in CORPUS.iterdir() if path.is_dir()}
    assert folders == {harness.name for harness in HARNESSES}
    assert all(corpus(harness) for harness in HARNESSES)


def _refuses_bells(data: bytes) -> None:
    assert b"\x07" not in data


def test_what_is_wrong_is_found() -> None:
    """A finding tells case and input, is told once, and is the same for the same seed."""
    harness = Harness("bulk", _refuses_bells, (b"\x07",))
    ran = run_cases(harness, "1", 200)
    (finding,) = ran.findings
    assert run_cases(harness, "1", 200).findings == ran.findings
    assert b"\x07" in finding.data
    assert f"bulk, case {finding.number} of seed 1" in finding.text("1")
    assert "_refuses_bells" in finding.trace


def test_what_takes_too_long_is_found() -> None:
    """Work without an end is cut off."""
    harness = Harness("bulk", _works_forever, ())
    finding = run_one(harness, b"", cpu_seconds=0.05)
    assert finding is not None
    assert "TooSlowError" in finding.trace


def _works_forever(data: bytes) -> None:
    while True:
        data = data[::-1]
