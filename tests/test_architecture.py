"""The shape of the code: who may import whom, and how large a file may grow."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    """`pipelines` knows nothing of `proxy` or HTTP, and only its sandbox imports wasmtime."""
    place = path.relative_to(ROOT)
    names = imports(path)
    if place.parts[0] == "pipelines":
        for forbidden in ("proxy", "aiohttp", "elasticsearch", "click", "prometheus_client"):
            assert not any(under(name, forbidden) for name in names)
    if place.parts[:2] != ("pipelines", "wasm"):
        for forbidden in ("wasmtime", "componentize_py"):
            assert not any(under(name, forbidden) for name in names)
        # What others use of the sandbox is what its package gives.
        assert not any(name.startswith("pipelines.wasm.") for name in names)
    if place.parts[:2] == ("pipelines", "wasm"):
        inside = {"pipelines.wasm", "pipelines.errors", "pipelines.cache"}
        # All are pure and import nothing of ours but each other.
        inside |= {
            "pipelines.jsontext.graft",
            "pipelines.jsontext.json_text",
            "pipelines.jsontext.pieces",
        }
        inside |= {
            "pipelines.jsontext.projection",
            "pipelines.jsontext.edits",
            "pipelines.jsontext.reorder",
        }
        ours = {name for name in names if under(name, "pipelines")}
        assert all(any(under(name, allowed) for allowed in inside) for name in ours)


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
