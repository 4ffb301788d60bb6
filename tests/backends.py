"""Real backends, which write to memory where there is room: no write waits for a disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest

from proxy.embedded import ClusterOptions, EmbeddedCluster
from proxy.embedded.errors import JavaUnfit

_MEMORY: Final = Path("/dev/shm")
# What a session writes is a few hundred MB.
_ROOM: Final = 3 * 1024**3


@contextmanager
def running(options: ClusterOptions) -> Iterator[EmbeddedCluster]:
    """A backend, with its data in memory if there is room, which goes with the backend.

    Without a Java that it runs on, tests that need it are skipped.
    """
    cluster = EmbeddedCluster(options)
    with pytest.MonkeyPatch.context() as patch:
        if _has_room():
            patch.setattr(tempfile, "tempdir", str(_MEMORY))
        try:
            cluster.start()
        except JavaUnfit as error:
            pytest.skip(f"no JDK for {options.distribution}: {error}")
    try:
        yield cluster
    finally:
        cluster.stop()


def _has_room() -> bool:
    if not os.access(_MEMORY, os.W_OK) or os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC:
        return False
    free = min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available)
    return free > _ROOM
