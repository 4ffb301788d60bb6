"""Everything a run measured, as it is written to results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from bench.figures import Sample, StageSample
from bench.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Raw samples and what they were made with; the report is made from this alone.

    made: the day, UTC. other_cores: how many cores other processes kept busy meanwhile.
    static_bytes: size of the static backend's answer. products: how many are searched.
    """

    made: str
    command: str
    plan: Plan
    machine: Mapping[str, str]
    other_cores: float
    static_bytes: int
    products: int
    samples: Sequence[Sample]
    stages: Sequence[StageSample]

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
