"""What the figures were made on: machine, versions, and how busy others kept it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

_PARTS: Final = ("aiohttp", "uvloop", "orjson", "wasmtime", "componentize-py")


def description(backend: str, peers: str) -> dict[str, str]:
    """Names and values for a table; nothing that tells whose machine it is."""
    parts = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PARTS)
    kernel = platform.release().partition("-")[0]
    memory = psutil.virtual_memory().total / 1024**3
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {
        "CPU": f"{_cpu_model()}, {psutil.cpu_count()} logical cores",
        "Memory": f"{memory:.0f} GiB",
        "System": f"{platform.system()} {kernel}, {platform.machine()}",
        "Python": f"{python}, {platform.python_compiler()}",
        "Backend": backend,
        "Peers": peers,
        "Querymill": importlib.metadata.version("querymill"),
        "Parts": parts,
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    if "model name" not in told:
        return platform.processor() or "unknown CPU"
    # Virtual machines tell no more than the maker in the name.
    return f"{told['model name']} (family {told.get('cpu family')}, model {told.get('model')})"


class Neighbours:
    """How many cores processes other than the benchmark's kept busy since it was made."""

    def __init__(self, backend_pid: int) -> None:
        self._backend = psutil.Process(backend_pid)
        self._began = time.monotonic()
        self._busy, self._ours = _busy_seconds(), self._our_seconds()

    def cores(self) -> float:
        """Cores, averaged; what the host took from a virtual machine (steal) counts as others'."""
        others = _busy_seconds() - self._busy - (self._our_seconds() - self._ours)
        return max(others / (time.monotonic() - self._began), 0.0)

    def _our_seconds(self) -> float:
        """Of this process, the backend, and all children: those that run, and those that ended."""
        seconds = sum(os.times()[:4])
        for process in {self._backend, *psutil.Process().children(recursive=True)}:
            with suppress(psutil.NoSuchProcess):
                seconds += sum(process.cpu_times()[:4])
        return seconds


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    # guest time is part of user time already
    idle = times.idle + getattr(times, "iowait", 0.0)
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guest)
