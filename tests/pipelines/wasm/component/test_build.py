"""Building the interpreter into a cache folder, and what can go wrong there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cache import cache_folder
from pipelines.errors import DefinitionError
from pipelines.wasm import BuildError, Runtime, build
from pipelines.wasm.component.componentize import component_name
from pipelines.wasm.component.shipped import make_shipped
from pipelines.wasm.component.step import StepError, run_step

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).parents[4]
SCRIPT = "from pipelines.wasm import build; import sys; sys.stdout.write(str(build()))"


def seeded(tmp_path: Path, *patterns: str) -> Path:
    """A cache folder with files of the session's own."""
    target = tmp_path / "sandbox"
    target.mkdir(mode=0o700)
    for pattern in patterns:
        for path in (cache_folder() / "sandbox").glob(pattern):
            shutil.copy2(path, target / path.name)
    return target


def test_from_the_cache(runtime: Runtime) -> None:
    """What is built is taken from the cache, with one word on it."""
    reported: list[tuple[str, float]] = []
    assert build(lambda phase, fraction: reported.append((phase, fraction))) == build()
    assert reported == [("compiling the sandbox for this machine", 1.0)]


def test_damaged_files_are_built_anew(runtime: Runtime, tmp_path: Path) -> None:
    """Cut or changed files are noticed and made again, with progress from start to end."""
    artefact = build()
    folder = seeded(tmp_path, "*")
    for path in folder.glob("*.wasm"):
        os.truncate(path, 1000)
    with (folder / artefact.name).open("r+b") as damaged:
        damaged.seek(5000)
        damaged.write(b"\xff\xff\xff\xff")
    reported: list[tuple[str, float]] = []
    made = build(lambda phase, fraction: reported.append((phase, fraction)), tmp_path)
    assert made == folder / artefact.name
    assert reported[0][0] == "building the sandbox"
    assert reported[-1] == ("compiling the sandbox for this machine", 1.0)
    fractions = [fraction for phase, fraction in reported if phase == "building the sandbox"]
    assert fractions == sorted(fractions)
    Runtime(made).close()


def test_two_processes_at_once(runtime: Runtime, tmp_path: Path) -> None:
    """Of two processes that start together one builds, the other waits, and both have it.

    The build clears what other versions left long ago, and nothing younger.
    """
    folder = seeded(tmp_path, "*.wasm", "*.wasm.sha256")
    old, young = folder / "sandbox-old.cwasm", folder / "sandbox-young.cwasm"
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QUERYMILL_CACHE_DIR": str(tmp_path)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    responses = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert (old.exists(), young.exists()) == (False, True)
    young.unlink()
    assert responses == {str(next(folder.glob("*.cwasm")))}
    assert not list(folder.glob(".*"))


def test_a_wheel_gets_one_component(runtime: Runtime, tmp_path: Path) -> None:
    """What an earlier build of other sources left there is removed; one that fits is kept."""
    folder = seeded(tmp_path, "*.wasm*")
    (folder / "sandbox-old.wasm").touch()
    (folder / "sandbox-old.wasm.sha256").touch()
    (folder / "build.py").touch()
    path = folder / component_name()
    before = path.stat().st_ino
    assert make_shipped(folder, lambda phase, fraction: None) == path
    assert path.stat().st_ino == before
    names = [path.name, f"{path.name}.sha256", "build.py"]
    assert sorted(each.name for each in folder.iterdir()) == sorted(names)


def test_unsafe_folder(tmp_path: Path) -> None:
    """No code is loaded from a folder others can write to."""
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox").chmod(0o777)
    with pytest.raises(DefinitionError, match="native code"):
        build(None, tmp_path)


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that takes no files is an error that names it."""
    (tmp_path / "sandbox" / "build.lock").mkdir(parents=True)
    (tmp_path / "sandbox").chmod(0o700)
    with pytest.raises(BuildError, match=r"could not be written: .*sandbox"):
        build(None, tmp_path)


def test_failing_step() -> None:
    """A step that fails is told with its status and its last words."""
    code = "sys.exit('no such thing')"
    with pytest.raises(StepError, match="trying failed with status 1: no such thing"):
        run_step(code, [], "trying", lambda phase, fraction: None, {})


def test_interrupted_step() -> None:
    """An interrupt during a step ends the step's process, too."""

    def interrupt(phase: str, fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step("import time; time.sleep(60)", [], "trying", interrupt, {})


def test_a_step_has_nothing_of_the_folder_it_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that lies where the proxy is started is not imported by a step."""
    (tmp_path / "bisect.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    run_step("import random", [], "trying", lambda phase, fraction: None, {})
