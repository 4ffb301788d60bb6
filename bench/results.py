"""Everything a run measured, as it is written to results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from bench.figures import Reading, Spread, StageSample, Suite, reading_spreads
from bench.peers import Missing
from bench.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The raw figures of a run, and what is needed to judge them.

    made: the date in UTC. other_cores: how many cores other processes kept busy meanwhile.
    reference_ms: how long a fixed piece of computing took, in milliseconds, at different times.
    missing: the peers that are not installed.
    """

    made: str
    command: str
    plan: Plan
    machine: Mapping[str, str]
    other_cores: float
    reference_ms: Sequence[float]
    products: int
    missing: Sequence[Missing]
    suites: Sequence[Suite]
    readings: Sequence[Reading]
    stages: Sequence[StageSample]

    @property
    def spreads(self) -> dict[tuple[str, str, str], Spread]:
        """The readings over the rounds by section, thing and unit."""
        return reading_spreads(self.readings)

    def save(self, path: Path) -> None:
        """Write it as JSON. Raises OSError."""
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        path.write_bytes(orjson.dumps(_rounded(asdict(self)), option=options))


def _rounded(value: object) -> object:
    """The same with numbers of four decimals: what is beyond is noise."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
