"""``python -m tests.rooms``: the rooms of the code, the floors they stand on, and their arrows.

A room is a package or module at the top of `proxy` or `pipelines`, and each package below
`pipelines.wasm`. An arrow is an import from one room into another. A room stands one floor above
the highest room that it imports, counted within its package; rooms that import each other stand on
none.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("proxy", "pipelines")


@dataclass(frozen=True, slots=True)
class Rooms:
    """`arrows` are the rooms that each room imports; `circles` those that import each other."""

    arrows: dict[str, frozenset[str]]
    circles: frozenset[str]

    def floors(self, package: str) -> dict[str, int]:
        """The floor of each room of a package, from 1."""
        found: dict[str, int] = {}

        def floor(room: str) -> int:
            if room not in found:
                below = (each for each in self.arrows[room] if each.startswith(f"{package}."))
                found[room] = 1 + max((floor(each) for each in below), default=0)
            return found[room]

        for room in sorted(self.arrows.keys() - self.circles):
            if room.startswith(f"{package}."):
                floor(room)
        return found


def rooms() -> Rooms:
    """The rooms as the files are now."""
    modules = {name: path for package in PACKAGES for name, path in _modules(package)}
    arrows: dict[str, set[str]] = {}
    for name, path in modules.items():
        here = _room(name, modules)
        arrows.setdefault(here, set())
        for imported in _imports(path, modules):
            there = _room(imported, modules)
            if there != here:
                arrows[here].add(there)
    # The packages themselves are no rooms.
    for package in PACKAGES:
        arrows.pop(package, None)
    frozen = {room: frozenset(others - set(PACKAGES)) for room, others in arrows.items()}
    return Rooms(frozen, frozenset(room for room in frozen if room in _reached(room, frozen)))


def _modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "guest" not in parts:
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _room(module: str, modules: dict[str, Path]) -> str:
    parts = module.split(".")
    deeper = ".".join(parts[:3])
    if parts[:2] == ["pipelines", "wasm"] and deeper in modules and len(parts) > 2:
        return deeper if modules[deeper].name == "__init__.py" else "pipelines.wasm"
    return ".".join(parts[:2])


def _imports(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module
            names = [f"{whole}.{alias.name}" for alias in node.names]
            names = [name if name in modules else whole for name in names]
        else:
            continue
        yield from (name for name in names if name in modules)


def _reached(room: str, arrows: dict[str, frozenset[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(arrows[room])
    while waiting:
        each = waiting.pop()
        if each not in reached:
            reached.add(each)
            waiting += arrows[each]
    return reached


def main() -> None:
    """Print the figures."""
    found = rooms()
    for package in PACKAGES:
        floors = found.floors(package)
        here = {
            room: others
            for room, others in found.arrows.items()
            if room.partition(".")[0] == package
        }
        inside = sum(sum(each in here for each in others) for others in here.values())
        sys.stdout.write(
            f"{package}: {len(here)} rooms on {max(floors.values())} floors, {inside} arrows, "
            f"{len(found.circles & here.keys())} rooms that import each other\n"
        )
        for room, floor in sorted(floors.items(), key=lambda each: (-each[1], each[0])):
            below = ", ".join(sorted(each.partition(".")[2] for each in here[room] if each in here))
            sys.stdout.write(f"  {floor:2} {room.partition('.')[2]:15} {below}\n")


if __name__ == "__main__":
    main()
