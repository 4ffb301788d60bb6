"""The shape of the code: who may import whom, and how large a file may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rooms import rooms

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for package in ("proxy", "pipelines")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "guest" not in path.parts
]
MAX_LINES = 400


def imports(path: Path) -> set[str]:
    """The full names of all modules a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def under(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_arrows_run_down_only() -> None:
    """The contracts of import-linter in pyproject.toml are kept."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_house_stays_small() -> None:
    """Few rooms on few floors beside the door of the command, and none that import each other."""
    found = rooms()
    assert not found.circles
    inside = found.arrows.keys() - {"proxy.__main__"}
    for package in ("proxy", "pipelines"):
        assert len([room for room in inside if room.startswith(f"{package}.")]) <= 20
        assert max(found.floors(package).values()) <= 10


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_sandbox_shows_little(path: Path) -> None:
    """What others use of the sandbox is what its packages give, and it uses pure modules only."""
    place = path.relative_to(ROOT)
    names = imports(path)
    inside = place.parts[:2] == ("pipelines", "wasm")
    if not inside:
        shown = {"pipelines.wasm", "pipelines.wasm.pool"}
        assert {name for name in names if under(name, "pipelines.wasm")} <= shown
    if inside:
        pure = ("definitions.package", "definitions.limits")
        allowed = ("wasm", "errors", "cache", "jsontext", "payload", *pure)
        ours = {name for name in names if under(name, "pipelines")}
        assert all(any(under(name, f"pipelines.{each}") for each in allowed) for name in ours)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_two_things(path: Path) -> None:
    """A file that grows beyond 400 lines wants to be two."""
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_escapes_its_owner(path: Path) -> None:
    """Tasks have an owner: a TaskGroup, or the one helper that keeps a reference and a name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in ("create_task", "ensure_future"):
            owner = ast.unparse(node.value)
            assert owner == "group" or path.name == "tasks.py", f"{owner}.{node.attr}"
