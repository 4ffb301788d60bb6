"""``python -m tests.fuzz [HARNESS...]``: run QUERYMILL_FUZZ_CASES cases, a million by default."""

from __future__ import annotations

import os
import random
import sys
import time

import click

from tests.fuzz.engine import run_cases, run_corpus, save, share
from tests.fuzz.harnesses import HARNESSES


def main(names: list[str]) -> int:
    """Run the named harnesses, or all; the exit status is 1 if anything was found."""
    unknown = set(names) - {harness.name for harness in HARNESSES}
    if unknown:
        known = ", ".join(harness.name for harness in HARNESSES)
        click.echo(f"no such harness: {', '.join(sorted(unknown))}; there are {known}", err=True)
        return 2
    chosen = [harness for harness in HARNESSES if not names or harness.name in names]
    cases = int(os.environ.get("QUERYMILL_FUZZ_CASES", "1000000"))
    seed = os.environ.get("QUERYMILL_TEST_SEED") or str(random.SystemRandom().randrange(10**9))
    click.echo(f"seed {seed} (QUERYMILL_TEST_SEED={seed} runs the same cases), {cases} cases")
    began = time.monotonic()
    total, found = 0, 0
    for harness, part in share(cases, chosen):
        started = time.monotonic()
        kept = run_corpus(harness)
        ran = run_cases(harness, seed, part)
        total += ran.cases
        found += len(kept) + len(ran.findings)
        took = time.monotonic() - started
        click.echo(
            f"{harness.name:16} {ran.cases:8} cases in {took:6.1f} s,"
            f" slowest {ran.slowest * 1000:7.1f} ms, {len(kept) + len(ran.findings)} findings"
        )
        for finding in (*kept, *ran.findings):
            click.echo(finding.text(seed))
            if finding.number is not None:
                click.echo(f"saved as {save(finding)}")
    minutes = (time.monotonic() - began) / 60
    click.echo(f"{total} cases, {found} findings, {minutes:.1f} minutes, seed {seed}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
