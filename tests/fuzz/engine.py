"""Runs harnesses on their corpus and on mutations of it, and keeps what it finds."""

from __future__ import annotations

import hashlib
import random
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from tests.fuzz.harness import Harness
from tests.fuzz.mutation import Mutator

CORPUS: Final = Path(__file__).parent.parent / "corpus" / "fuzz"
CPU_SECONDS_MAX: Final = 5.0
"""Processor time of one case; an input of a few KB that takes as long as this blows up."""


class TooSlowError(Exception):
    """A case used up its processor time."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An input on which a harness raised; `number` is the case's, None for one of the corpus."""

    harness: str
    number: int | None
    data: bytes
    trace: str

    def text(self, seed: str) -> str:
        """What somebody needs to run it again."""
        where = "corpus" if self.number is None else f"case {self.number} of seed {seed}"
        shown = repr(self.data) if len(self.data) <= 2000 else f"{self.data[:2000]!r}..."
        return f"{self.harness}, {where}: {shown}\n{self.trace}"


@dataclass(frozen=True, slots=True)
class Ran:
    """How many cases ran, the processor time of the slowest in seconds, and that input."""

    cases: int
    slowest: float
    slowest_data: bytes
    findings: tuple[Finding, ...]


def corpus(harness: Harness) -> dict[str, bytes]:
    """The kept inputs of a harness by the names of their files."""
    files = sorted(path for path in (CORPUS / harness.name).iterdir() if path.is_file())
    return {path.name: path.read_bytes() for path in files}


def run_corpus(harness: Harness) -> list[Finding]:
    """Run every kept input."""
    findings = (run_one(harness, data) for data in corpus(harness).values())
    return [finding for finding in findings if finding is not None]


def run_cases(harness: Harness, seed: str, cases: int, *, findings_max: int = 10) -> Ran:
    """Run `cases` mutations, or until there are `findings_max` findings of different traces.

    A case depends on the seed, the harness, its number and the corpus, and on nothing else.
    """
    mutator = Mutator(list(corpus(harness).values()), harness.tokens)
    found: dict[str, Finding] = {}
    slowest, slowest_data = 0.0, b""
    number = 0
    for number in range(cases):
        data = mutator.make(random.Random(f"{seed}/{harness.name}/{number}"))
        began = time.process_time()
        finding = run_one(harness, data, number)
        took = time.process_time() - began
        if took > slowest:
            slowest, slowest_data = took, data
        if finding is not None:
            found.setdefault(_place(finding.trace), finding)
            if len(found) == findings_max:
                break
    return Ran(number + 1 if cases else 0, slowest, slowest_data, tuple(found.values()))


def run_one(
    harness: Harness,
    data: bytes,
    number: int | None = None,
    *,
    cpu_seconds: float = CPU_SECONDS_MAX,
) -> Finding | None:
    """Run one input, in bounded processor time."""
    try:
        with _processor_time(cpu_seconds):
            harness.run(data)
    except Exception:
        return Finding(harness.name, number, data, traceback.format_exc(limit=-8))
    return None


def save(finding: Finding) -> Path:
    """Keep an input as a regression; the same input gets the same file."""
    digest = hashlib.sha256(finding.data).hexdigest()[:12]
    path = CORPUS / finding.harness / f"found-{digest}"
    path.write_bytes(finding.data)
    return path


def share(cases: int, harnesses: Sequence[Harness]) -> Iterator[tuple[Harness, int]]:
    """Each harness with its part of `cases`."""
    each, more = divmod(cases, len(harnesses))
    for place, harness in enumerate(harnesses):
        yield harness, each + (place < more)


def _place(trace: str) -> str:
    """Where a trace ends, so that one bug is told once."""
    frames = [line for line in trace.splitlines() if line.startswith("  File ")]
    return frames[-1] if frames else trace


def _too_slow(signum: int, frame: FrameType | None) -> None:
    raise TooSlowError("a case used up its processor time")


@contextmanager
def _processor_time(seconds: float) -> Iterator[None]:
    before = signal.signal(signal.SIGVTALRM, _too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
