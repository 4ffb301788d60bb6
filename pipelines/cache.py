"""The cache folder: files that can be made again, shared by every process of this user.

It holds native code that is loaded without further checks, so it has to belong to us and nobody
else may write to it.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from pipelines.errors import DefinitionError

VARIABLE = "QUERYMILL_CACHE_DIR"


def cache_folder(explicit: Path | None = None) -> Path:
    """The cache folder, made if need be: `explicit`, else $QUERYMILL_CACHE_DIR, else the user's.

    Raises `DefinitionError` when it cannot be made, or is not safe to load code from.
    """
    if explicit is None:
        named = os.environ.get(VARIABLE)
        explicit = Path(named) if named else Path(platformdirs.user_cache_dir("querymill"))
    return safe_folder(explicit.absolute())


def safe_folder(path: Path) -> Path:
    """`path` as a folder of ours that no one else can write to; raises `DefinitionError`."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise DefinitionError(
            VARIABLE, f"the cache folder {path} cannot be used ({error.strerror}); name another"
        ) from error
    if found.st_uid != os.geteuid():
        raise DefinitionError(
            VARIABLE, f"the cache folder {path} belongs to another user; name one of your own"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DefinitionError(
            VARIABLE,
            f"others may write to the cache folder {path}, which holds native code; "
            f"run: chmod go-w {path}",
        )
    return path


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds the lock file `path` against other processes; calls `waiting` if it has to wait.

    The kernel lets go of it when the holder dies. The file stays: removing it would let two in.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path` to be filled, which takes its place when the block ends well.

    Readers see the old content or the new, never a part.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        with open(name, "rb") as written:
            os.fsync(written.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_atomic(path: Path, content: bytes) -> None:
    """Writes `content` to `path` so that readers see all of it or what was there before."""
    with replacing(path) as new:
        new.write_bytes(content)
