"""Names of aiohttp that are not public: all that are used are listed, and mean what we think."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol

import proxy
from tests.proxy.borrowed import IMPORTS, NAMES, USED_IN, Stock

ROOT = Path(proxy.__file__).parent
PUBLIC = {"aiohttp", "aiohttp.web", "aiohttp.abc"}


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_means_what_it_is_taken_for(name: str) -> None:
    """On a connection of aiohttp's own: an upgrade that changes one is seen here."""
    meaning, proof = NAMES[name]
    stock = Stock()
    try:
        await proof(stock)
    except Exception as error:
        raise AssertionError(
            f"in aiohttp {aiohttp.__version__} {name} is not {meaning!r} any more: {error!r}; see "
            f"to {USED_IN} before the range in pyproject.toml is widened"
        ) from error
    finally:
        stock.go.set()
        stock.connection.connection_lost(None)
        await stock.turns()


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT.parent).as_posix(), ast.parse(path.read_text())


def test_all_imports_are_listed() -> None:
    """What comes from modules that aiohttp does not document."""
    found: dict[str, set[str]] = {}
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiohttp."):
                assert node.module
                found.setdefault(node.module, set()).update(each.name for each in node.names)
    assert {name: names for name, names in found.items() if name not in PUBLIC} == IMPORTS


def private(tree: ast.AST, *, of_self: bool) -> set[str]:
    """The private names that are asked of `self`, or of anything else."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and (ast.unparse(node.value) in ("self", "super()")) is of_self
    }


def tree_of(kind: type) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(kind)))


def ours() -> Iterator[type]:
    """Classes of ours that are built on aiohttp's."""
    for name, tree in trees():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                kind = getattr(importlib.import_module(name[:-3].replace("/", ".")), node.name)
                if any(base.__module__.startswith("aiohttp") for base in kind.__mro__[1:]):
                    yield kind


def given_by(base: type) -> set[str]:
    """The private names that a class has, or gives its objects."""
    return private(tree_of(base), of_self=True) | {*vars(base), *getattr(base, "__slots__", ())}


def test_all_names_are_listed() -> None:
    """What classes built on aiohttp's use of it, and what is asked of its objects from outside."""
    found: set[str] = set()
    for kind in ours():
        tree = tree_of(kind)
        used = private(tree, of_self=True) | {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name.startswith("_")
            and not node.name.startswith("__")
        }
        for base in reversed([each for each in kind.__mro__[1:] if "aiohttp" in each.__module__]):
            found |= {f"{base.__name__}.{name}" for name in used & given_by(base)}
            used -= given_by(base)
    for name, tree in trees():
        if name.startswith(("proxy/server/", "proxy/upstream/")):
            used = private(tree, of_self=False) & given_by(BaseProtocol)
            found |= {f"BaseProtocol.{each}" for each in used}
    assert found == NAMES.keys()
