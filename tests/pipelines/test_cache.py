"""The cache folder: where it is, who may write to it, locks and atomic writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cache import VARIABLE, cache_folder, locked, replacing, safe_folder, write_atomic
from pipelines.errors import DefinitionError


def test_folder_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variable names the folder, an explicit one wins; it is made, for us alone."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "a" / "b"))
    assert cache_folder() == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert cache_folder(tmp_path / "c") == tmp_path / "c"


def test_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it is in the user's cache."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = cache_folder()
    assert folder.is_relative_to(tmp_path)
    assert "querymill" in folder.parts


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_folder_others_may_write_to(tmp_path: Path, mode: int) -> None:
    """A folder that others may write to is refused with the command that helps."""
    tmp_path.chmod(mode)
    with pytest.raises(DefinitionError, match=r"chmod go-w"):
        safe_folder(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_folder_of_another_user(tmp_path: Path) -> None:
    """A folder that belongs to somebody else is refused."""
    os.chown(tmp_path, 12345, -1)
    with pytest.raises(DefinitionError, match="belongs to another user"):
        safe_folder(tmp_path)


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """A folder that cannot be made is refused with the reason."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DefinitionError, match="cannot be used"):
            safe_folder(path)


def test_write_atomic(tmp_path: Path) -> None:
    """A write replaces the file at once, and leaves nothing else behind."""
    path = tmp_path / "f"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write(tmp_path: Path) -> None:
    """A write that fails half way leaves the old content, and nothing else."""
    path = tmp_path / "f"
    write_atomic(path, b"old")

    def fail() -> None:
        with replacing(path) as new:
            new.write_bytes(b"ha")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


HOLDER = """
import sys
from pathlib import Path
from pipelines.cache import locked
with locked(Path(sys.argv[1])):
    sys.stdout.write("held\\n"); sys.stdout.flush()
    sys.stdin.readline()
"""


def test_lock(tmp_path: Path) -> None:
    """A lock another process holds is waited for, which is told; its death frees it."""
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        reported: list[str] = []

        def waiting() -> None:
            reported.append("waiting")
            holder.kill()

        with locked(path, waiting):
            assert reported == ["waiting"]
    with locked(path, lambda: reported.append("again")):
        assert reported == ["waiting"]
