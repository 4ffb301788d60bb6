"""What the tests of the embedded backend share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proxy.embedded.repository import Repository, configure, serving


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A repository that the downloader asks instead of Maven Central."""
    with serving() as served:
        monkeypatch.setenv("JGO_CONFIG_FILE", str(configure(tmp_path, served.url)))
        yield served


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="querymill-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def fake_java(open_folder: Path) -> Callable[..., Path]:
    """Makes the home of a Java that tells the version and modules asked for, and runs nothing.

    exit_code: how those two questions end; run_code: how anything else does.
    """

    def make(
        version: str = "25.0.1",
        modules: tuple[str, ...] = (),
        *,
        name: str = "jdk",
        exit_code: int = 0,
        run_code: int = 0,
    ) -> Path:
        command = open_folder / name / "bin" / "java"
        command.parent.mkdir(parents=True)
        listed = "\n".join(f"{module}@{version}" for module in modules)
        command.write_text(
            "#!/bin/sh\n"
            f'[ "$1" = -version ] && echo \'openjdk version "{version}" 2026-01-01\' >&2\n'
            f"[ \"$1\" = --list-modules ] && echo '{listed}'\n"
            f'case "$1" in -version | --list-modules) exit {exit_code} ;; esac\n'
            f"exit {run_code or exit_code}\n"
        )
        command.chmod(0o755)
        return command.parent.parent

    return make
