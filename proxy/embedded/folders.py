"""Folders shared between processes: locked, filled whole or not at all, trusted before use."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.embedded.errors import EmbeddedError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ELSEWHERE = "or set QUERYMILL_CACHE_DIR to a folder on another disk"


@contextmanager
def storage_errors(doing: str, folder: Path) -> Iterator[None]:
    """Turn an OSError raised inside into an EmbeddedError that names the folder and the cure."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            cure = f"no space is left there ({error.strerror}): free some, {_ELSEWHERE}"
        elif error.errno in _REFUSED:
            cure = f"writing is not allowed ({error}): change that, {_ELSEWHERE}"
        else:
            cure = f"{error}: check that folder, {_ELSEWHERE}"
        raise EmbeddedError(f"{doing} in {folder} failed: {cure}") from error


def require_space(doing: str, folder: Path, needed: int) -> None:
    """Raise EmbeddedError unless `needed` bytes are free where `folder` (existing) lies."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EmbeddedError(
            f"{doing} needs {needed / 1e6:.0f} MB in {folder}, and {free / 1e6:.0f} MB are free: "
            f"free some, {_ELSEWHERE}"
        )


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold an advisory lock over all processes; `waiting` is called once if it is taken."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fill(target: Path, build: Callable[[Path], Path], waiting: Callable[[], None]) -> Path:
    """Make `target` once, whichever process comes first, and never show it half made.

    `build` gets a fresh folder on the same disk and returns the file or folder within it that
    becomes the target. What a killed process left behind is removed by the next one.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    begun = f".{target.name}.new-"
    with locked(target.parent / f".{target.name}.lock", waiting):
        if target.exists():
            return target
        for left in target.parent.glob(f"{begun}*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=begun, dir=target.parent))
        try:
            build(folder).rename(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return target


def trusted(folder: Path) -> bool:
    """Whether nobody but root can change the folder or put another in its place."""
    for place in (folder, *folder.parents):
        found = place.lstat()
        sticky = bool(found.st_mode & stat.S_ISVTX) and place != folder
        if found.st_uid != 0 or not stat.S_ISDIR(found.st_mode):
            return False
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
            return False
    return True


def public_folder(folder: Path) -> Path:
    """Make a folder that all may read and only its owner may write; an existing one is kept."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        return folder
    folder.chmod(0o755)
    return folder


def make_readable(folder: Path) -> None:
    """Let every user read a tree, and nobody but its owner write it."""
    for base, _, names in os.walk(folder):
        os.chmod(base, 0o755)
        for name in names:
            path = os.path.join(base, name)
            os.chmod(path, 0o755 if os.stat(path).st_mode & stat.S_IXUSR else 0o644)
