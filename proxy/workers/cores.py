"""How many processor cores this process may use: those it may run on, within its container's quota.

A quota is time per period (kernel documentation: cgroup-v2.rst "cpu.max", sched-bwc.rst): half a
core, one and a half. It holds for a control group and all below, so the least one on the way up
counts. A part of a core counts as one, as for Java and Go: what it leaves idle nobody else gets.
"""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath
from typing import Final

_V2: Final = ("cpu.max",)
_V1: Final = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
_PERIOD: Final = 100_000


def usable_cores() -> int:
    """Cores for this process, at least one."""
    return within(len(os.sched_getaffinity(0)), quota())


def within(cores: int, quota: float | None) -> int:
    """So many of `cores` as a quota, in cores, lets be used."""
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def quota(root: Path = Path("/")) -> float | None:
    """The least quota of the control groups this process is in, in cores; None without any.

    `root` is where ``/proc`` and ``/sys`` are.
    """
    found = [
        cores
        for mount, group, files in _groups(root)
        for folder in (group, *group.parents)
        if folder.is_relative_to(mount) and (cores := _quota(folder, files)) is not None
    ]
    return min(found, default=None)


def _groups(root: Path) -> list[tuple[Path, Path, tuple[str, ...]]]:
    """Where each hierarchy that bounds the processor is mounted, our group there, and its files."""
    paths: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths["cgroup2"] = path
        elif "cpu" in controllers.split(","):
            paths["cgroup"] = path
    found: list[tuple[Path, Path, tuple[str, ...]]] = []
    for line in _lines(root / "proc/self/mountinfo"):
        fields, _, tail = line.partition(" - ")
        kind, *rest_of = tail.split(" ")
        parts = fields.split(" ")
        if kind not in paths or len(parts) < 5:
            continue
        if kind == "cgroup" and (not rest_of or "cpu" not in rest_of[-1].split(",")):
            continue
        mount = root / parts[4].lstrip("/")
        found.append((mount, _group(mount, parts[3], paths[kind]), _V2 if "2" in kind else _V1))
    return found


def _group(mount: Path, mounted: str, path: str) -> Path:
    # A container may see its own group alone, mounted as if it were all there is.
    group, top = PurePosixPath(path), PurePosixPath(mounted)
    if ".." in group.parts or not group.is_relative_to(top):
        return mount
    return mount / group.relative_to(top)


def _quota(folder: Path, files: tuple[str, ...]) -> float | None:
    words = [word for name in files for line in _lines(folder / name) for word in line.split()]
    try:
        time = int(words[0])
        period = int(words[1]) if len(words) > 1 else _PERIOD
    except (IndexError, ValueError):
        # "max", or no such file.
        return None
    return time / period if time > 0 and period > 0 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
