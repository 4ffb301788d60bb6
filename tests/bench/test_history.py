"""What is remembered of a run, and told beside a later one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import history, report
from bench.targets import TARGETS
from tests.bench.made import results

PASS_CPU = TARGETS[0].what


def test_a_run_is_its_targets() -> None:
    """With the machine they were measured on; what was not measured is left out."""
    run = history.run_of(results())
    assert run.made == "2026-01-02"
    assert run.machine == "one | two"
    assert run.reference_ms == [20.0, 30.0]
    assert run.measured[PASS_CPU] == 1.5
    assert all(value is not None for value in run.measured.values())
    assert len(run.measured) < len(TARGETS)


def test_runs_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Without a file there are none."""
    path = tmp_path / "history.json"
    assert history.read(path) == []
    runs = [history.run_of(results()), history.run_of(replace(results(), reference_ms=[]))]
    history.write(path, runs)
    assert history.read(path) == runs


@pytest.mark.parametrize("text", ['[{"made": "2026-01-02"}]', '[{"odd": 1}]', "{"])
def test_what_is_no_history_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "history.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(
        history.HistoryError, match=r"history\.json is not what this benchmark writes"
    ):
        history.read(path)


def test_a_run_replaces_that_of_its_day_and_machine() -> None:
    """One done again the same day is told once; others stay, in order."""
    first = history.run_of(results())
    again = replace(first, measured={PASS_CPU: 2.0})
    elsewhere = replace(first, machine="three")
    later = replace(first, made="2026-01-03")
    runs = history.add([first, elsewhere, later], again)
    assert runs == [elsewhere, later, again]


def test_the_report_reports_the_last_runs_before() -> None:
    """Each target with its limit, and a column for each of them; none without any."""
    first = history.run_of(results())
    runs = [replace(first, made=f"2026-02-0{day}") for day in range(1, history.SHOWN + 2)]
    text = report.markdown(results(), earlier=runs)
    section = text[text.index("### On other days") : text.index("## Pass-through")]
    assert "2026-02-01" not in section
    assert "| 2026-02-02 | 2026-02-03 | 2026-02-04 | 2026-02-05 |" in section
    assert f"| {PASS_CPU} | at most 3 x |{' 1.5 |' * history.SHOWN}\n" in section
    assert "| 20.0 to 30.0 |" in section
    assert "### On other days" not in report.markdown(results())
