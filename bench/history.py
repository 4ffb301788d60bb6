"""The targets as earlier runs measured them, on their machines: bench/history.json.

One machine's figures say little about another's, where the same code costs other ratios. So each
full run is remembered by what it made of the targets, and told beside the newest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from bench.results import Results
from bench.targets import TARGETS

SHOWN: Final = 4
"""So many of the last runs are told."""
_DIGITS: Final = 4


class HistoryError(Exception):
    """The file is not what this benchmark writes; the text says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one full run made of the targets.

    made: its date. machine, python: what it ran on. reference_ms: the shortest and the longest time
    of a fixed piece of computing, in milliseconds; empty where that was not measured. measured: by
    what a target is called, without those that were left out.
    """

    made: str
    machine: str
    python: str
    reference_ms: Sequence[float]
    measured: Mapping[str, float]


def run_of(results: Results) -> Run:
    """What is remembered of a run."""
    times = results.reference_ms
    found = {target.what: target.measured(results) for target in TARGETS}
    return Run(
        made=results.made,
        machine=results.machine.get("CPU", ""),
        python=results.machine.get("Python", "").partition(",")[0],
        reference_ms=[round(min(times), 1), round(max(times), 1)] if times else [],
        measured={what: round(v, _DIGITS) for what, v in found.items() if v is not None},
    )


def read(path: Path) -> list[Run]:
    """The runs remembered, oldest first; none where there is no such file.

    Raises OSError, HistoryError.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    try:
        told: list[dict[str, Any]] = orjson.loads(text)
        return [Run(**each) for each in told]
    except (TypeError, orjson.JSONDecodeError) as error:
        raise HistoryError(f"{path} is not what this benchmark writes: {error}") from error


def add(runs: Sequence[Run], new: Run) -> list[Run]:
    """The runs with a new one, in place of one of the same day, machine and Python."""
    key = (new.made, new.machine, new.python)
    return [*(run for run in runs if (run.made, run.machine, run.python) != key), new]


def write(path: Path, runs: Sequence[Run]) -> None:
    """Raises OSError."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(orjson.dumps([asdict(run) for run in runs], option=options))
