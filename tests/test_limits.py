"""Numbers that bound something: each stands once, in the module of limits of its room."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIKE_A_LIMIT = re.compile(r"_MAX\b|_MAX_|^_?MAX_|LIMIT|CONCURRENCY|REMEMBERED")
MODULES = sorted(ROOT.glob("p*/**/limits.py"))
SOURCES = [
    path for path in sorted((ROOT / "proxy").rglob("*.py")) if path.name != "limits.py"
] + sorted((ROOT / "pipelines" / "definitions").glob("*[!s].py"))


def assigned(path: Path) -> list[str]:
    """The names that a module gives a value at its top."""
    return [
        target.id
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_limits_stand_with_their_like(path: Path) -> None:
    """Nowhere else is a constant with such a name."""
    assert [name for name in assigned(path) if LIKE_A_LIMIT.search(name)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_has_its_reason(path: Path) -> None:
    """Right behind it."""
    body = ast.parse(path.read_text()).body
    for node, behind in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            reason = behind.value if isinstance(behind, ast.Expr) else None
            assert isinstance(reason, ast.Constant), ast.unparse(node)
            assert isinstance(reason.value, str)


def test_none_is_there_twice() -> None:
    """Under one name, in two rooms: what is the same limit is one."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.AnnAssign) and node.value is not None:
                places[ast.unparse(node.target), ast.unparse(node.value)].append(str(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
