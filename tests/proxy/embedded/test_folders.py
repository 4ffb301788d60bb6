"""Folders that several processes and users share."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from proxy.embedded import EmbeddedError
from proxy.embedded.folders import (
    fill,
    locked,
    make_readable,
    public_folder,
    require_space,
    storage_errors,
    trusted,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")


@pytest.mark.parametrize(
    ("number", "reported"),
    [
        (errno.ENOSPC, "no space is left there"),
        (errno.EDQUOT, "no space is left there"),
        (errno.EROFS, "writing is not allowed"),
        (errno.EIO, "check that folder"),
    ],
)
def test_errors_of_the_disk_name_place_and_cure(number: int, reported: str) -> None:
    """What the system says about a write becomes a message with the folder and a way out."""
    with (
        pytest.raises(
            EmbeddedError, match=rf"unpacking in /some/where failed: .*{reported}"
        ) as caught,
        storage_errors("unpacking", Path("/some/where")),
    ):
        raise OSError(number, os.strerror(number))
    assert "QUERYMILL_CACHE_DIR" in str(caught.value)


def test_space_is_required_obeyed(tmp_path: Path) -> None:
    """A need that the disk can meet passes."""
    require_space("unpacking", tmp_path, 1)


def test_space_is_required_violated(tmp_path: Path) -> None:
    """A need that no disk can meet is an error with both amounts."""
    with pytest.raises(EmbeddedError, match=r"unpacking needs 1000000000000 MB in .* are free"):
        require_space("unpacking", tmp_path, 10**18)


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """The target appears whole or not at all, and the next builder starts afresh."""

    def fail(folder: Path) -> Path:
        (folder / "half").write_text("half")
        raise RuntimeError("no")

    def build(folder: Path) -> Path:
        (folder / "whole").write_text("whole")
        return folder / "whole"

    target = tmp_path / "made"
    with pytest.raises(RuntimeError):
        fill(target, fail, lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == [".made.lock"]
    assert fill(target, build, lambda: None).read_text() == "whole"


def test_a_taken_lock_is_waited_for(tmp_path: Path) -> None:
    """Who finds the lock taken says so, waits, and then sees what the other one made."""
    target, waiting = tmp_path / "made", threading.Event()
    built: list[str] = []

    def never(folder: Path) -> Path:
        built.append("twice")
        return folder

    def second() -> None:
        fill(target, never, waiting.set)

    with locked(tmp_path / ".made.lock", lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(30)
        target.write_text("by the first")
    thread.join(30)
    assert built == []
    assert target.read_text() == "by the first"


@as_root
def test_only_a_folder_of_roots_is_trusted(open_folder: Path) -> None:
    """A folder others own or may write, or reached through such a one or a link, is not."""
    good = open_folder / "good"
    good.mkdir()
    assert trusted(good)
    good.chmod(0o777)
    assert not trusted(good)
    good.chmod(0o755)
    os.chown(good, 65534, -1)
    assert not trusted(good)
    inner = good / "inner"
    inner.mkdir()
    assert not trusted(inner)
    link = open_folder / "link"
    link.symlink_to("/usr")
    assert not trusted(link)


def test_a_public_folder_is_kept_as_it_is_found(tmp_path: Path) -> None:
    """A new one can be read by all; the modes of one that is there are left alone."""
    folder = public_folder(tmp_path / "one" / "two")
    assert folder.stat().st_mode & 0o777 == 0o755
    folder.chmod(0o700)
    assert public_folder(folder).stat().st_mode & 0o777 == 0o700


def test_a_tree_is_made_readable_for_all(tmp_path: Path) -> None:
    """Folders and programs get 755, other files 644."""
    (tmp_path / "bin").mkdir(mode=0o700)
    for name, mode in (("run", 0o700), ("notes", 0o660)):
        (tmp_path / "bin" / name).write_text(name)
        (tmp_path / "bin" / name).chmod(mode)
    make_readable(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"bin": 0o755, "run": 0o755, "notes": 0o644}
