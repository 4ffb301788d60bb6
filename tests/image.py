"""The Dockerfile's steps, carried out in a folder in place of a container's root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# What a container would not have of this environment.
_OURS = ("PYTHON", "VIRTUAL_ENV", "COVERAGE", "QUERYMILL_")


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what belongs to this interpreter, and with our `python` in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, **more}


def build_image(root: Path, *stages: str) -> None:
    """Carry out these stages. Folders at the top of a container are made in `root`."""
    for stage, steps in _stages().items():
        if stage in stages:
            _Stage(root).carry_out(steps)


class _Stage:
    """One stage: only what its steps say is copied, and later stages find it by its full path."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root

    def carry_out(self, steps: list[tuple[str, str]]) -> None:
        for instruction, text in steps:
            match instruction:
                case "WORKDIR":
                    self._folder = self._place(text)
                    self._folder.mkdir(parents=True)
                case "COPY":
                    self._copy(text)
                case "RUN":
                    self._run(text)
                case _:
                    raise AssertionError(f"{instruction} is not known here")

    def _copy(self, text: str) -> None:
        *sources, target = text.split()
        source = ROOT
        if sources[0].startswith("--from="):
            # An earlier stage's folders are beside ours.
            del sources[0]
            sources = [str(self._place(each)) for each in sources]
        into = self._folder / target
        for each in sources:
            found = source / each
            if found.is_dir():
                shutil.copytree(found, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(found, into)

    def _run(self, text: str) -> None:
        command = re.sub(r"(?<![\w.])/(?=\w)", f"{self._root}/", text)
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=self._folder,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"

    def _place(self, path: str) -> Path:
        return self._root / path.removeprefix("/")


def _stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions and what follows them, by the stage's name; the last one has none."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    found: dict[str, list[tuple[str, str]]] = {}
    stage = ""
    for line in text.splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            stage = rest.partition(" AS ")[2]
            found[stage] = []
        elif instruction and not instruction.startswith("#"):
            found[stage].append((instruction, rest.strip()))
    return found
