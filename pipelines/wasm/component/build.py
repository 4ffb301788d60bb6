"""The compiled component every sandbox of this machine runs, in the cache folder.

Two steps, each a process of its own: componentize-py makes a component (`.wasm`) of CPython and
`guest/`, unless the installation came with one; wasmtime compiles it to this machine's code
(`.cwasm`). Names hold a hash of all that went in, so another version never meets an old file; a
checksum beside each finds a damaged one.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from pipelines.cache import cache_folder, locked, replacing, safe_folder, write_atomic
from pipelines.errors import PipelineError
from pipelines.wasm.component.checksum import checksum, checksum_file, is_intact, key
from pipelines.wasm.component.componentize import (
    BUILDING,
    PREFIX,
    component_name,
    componentize,
    why_not,
)
from pipelines.wasm.component.precompile import ENGINE_CONFIG
from pipelines.wasm.component.shipped import shipped_component, why_none
from pipelines.wasm.component.step import Progress, StepError, run_step

__all__ = ["BuildError", "Progress", "build"]

_COMPILING: Final = "compiling the sandbox for this machine"
_ROOM: Final = (
    "it needs some 60 MB in the cache folder (QUERYMILL_CACHE_DIR, --cache-dir) and in that for "
    "temporary files (TMPDIR)"
)
_CURE: Final = "install querymill anew from a wheel, or run: pip install 'querymill[build]'"
_NO_ROOM: Final = ("No space left", "Disk quota", "Read-only file system", "File too large")
_OLD_SECONDS: Final = 30 * 24 * 3600
_PRECOMPILE: Final = "from pipelines.wasm.component.precompile import main; main(*sys.argv[1:])"


class BuildError(PipelineError):
    """The interpreter could not be built; the text says at which step and why."""


def build(progress: Progress | None = None, cache_dir: Path | None = None) -> Path:
    """The compiled interpreter's file, from the cache or built now; safe to call from many
    processes at once, of which one builds and the others wait.

    Raises `BuildError` when a step fails, `DefinitionError` for an unusable cache folder.
    """
    report = progress or _silent
    folder = safe_folder(cache_folder(cache_dir) / "sandbox")
    component = folder / component_name()
    artefact = folder / f"{PREFIX}{_artefact_key(component.name)}.cwasm"
    if not is_intact(artefact):
        waiting = partial(report, "waiting for another process that builds the sandbox", 0.0)
        try:
            with locked(folder / "build.lock", waiting):
                _build_missing(component, artefact, report)
        except StepError as error:
            no_room = any(word in str(error) for word in _NO_ROOM)
            raise BuildError(f"{error}; {_ROOM}" if no_room else str(error)) from error
        except OSError as error:
            place = error.filename or folder
            raise BuildError(
                f"the sandbox could not be written: {place}: {error.strerror or error}; {_ROOM}"
            ) from error
    report(_COMPILING, 1.0)
    return artefact


def _build_missing(component: Path, artefact: Path, report: Progress) -> None:
    if is_intact(artefact):
        return
    shipped = shipped_component()
    if shipped is None:
        _build_component(component, report)
    _make(artefact, partial(_compile, shipped or component, report=report))
    _remove_old(artefact.parent, {component.name, artefact.name})


def _build_component(component: Path, report: Progress) -> None:
    if not is_intact(component):
        missing = why_not()
        if missing:
            raise BuildError(f"{why_none()}, and {missing}; {_CURE}")
        _make(component, partial(componentize, report=report))
    report(BUILDING, 1.0)


def _compile(component: Path, target: Path, report: Progress) -> None:
    ours = {"PYTHONPATH": str(Path(__file__).parents[3])}
    run_step(_PRECOMPILE, [str(component), str(target)], _COMPILING, report, ours)


def _make(path: Path, step: Callable[[Path], None]) -> None:
    with replacing(path) as new:
        step(new)
        digest = checksum(new)
    write_atomic(checksum_file(path), digest.encode())


def _remove_old(folder: Path, keep: set[str]) -> None:
    """Clears what other versions left a month ago and longer; running ones keep theirs open."""
    now = time.time()
    for path in folder.glob(f"{PREFIX}*"):
        ours = path.name.removesuffix(".sha256") in keep
        if not ours and now - path.stat().st_mtime > _OLD_SECONDS:
            path.unlink(missing_ok=True)


def _artefact_key(component: str) -> str:
    version = importlib.metadata.version("wasmtime")
    return key(component.encode(), version.encode(), ENGINE_CONFIG.encode(), _machine().encode())


def _machine() -> str:
    """What the compiler looks at: the processor and its abilities."""
    words = [platform.system(), platform.machine()]
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return " ".join([*words, platform.processor()])
    abilities = {line for line in lines if line.startswith(("flags", "Features", "isa"))}
    return " ".join([*words, *sorted(abilities)])


def _silent(phase: str, fraction: float) -> None:
    pass
