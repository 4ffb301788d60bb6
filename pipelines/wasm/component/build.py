"""Builds the interpreter all sandboxes share and keeps it in the cache folder.

Two steps, each a process of its own: componentize-py makes a component (`.wasm`) of CPython and
`guest/`, wasmtime compiles it to this machine's code (`.cwasm`). In between, the component's
objects are made immortal. Names hold a hash of all that went in, so another version never meets an
old file; a checksum beside each finds a damaged one.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipelines.cache import cache_folder, locked, replacing, safe_folder, write_atomic
from pipelines.errors import PipelineError
from pipelines.wasm.component import immortal
from pipelines.wasm.component.precompile import ENGINE_CONFIG

Progress = Callable[[str, float], None]

GUEST = Path(__file__).parents[1] / "guest"
_BUILDING = "building the sandbox"
_COMPILING = "compiling the sandbox for this machine"
_EXPECTED_SECONDS = 10.0
_PREFIX = "sandbox-"
_ROOM = (
    "it needs some 60 MB in the cache folder (QUERYMILL_CACHE_DIR, --cache-dir) and in that for "
    "temporary files (TMPDIR)"
)
_NO_ROOM = ("No space left", "Disk quota", "Read-only file system", "File too large")
_OLD_SECONDS = 30 * 24 * 3600
# A step ends with who began it, also where that is killed: the kernel does it (1 is
# PR_SET_PDEATHSIG), and the look at the parent is for one that died before it was asked to.
_TIED = """import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv.pop(1)):
    os._exit(1)
"""
_COMPONENTIZE = _TIED + "from componentize_py import script; sys.exit(script())"
_PRECOMPILE = _TIED + "from pipelines.wasm.component.precompile import main; main(*sys.argv[1:])"


class BuildError(PipelineError):
    """The interpreter could not be built; the text says at which step and why."""


def build(progress: Progress | None = None, cache_dir: Path | None = None) -> Path:
    """The compiled interpreter's file, from the cache or built now; safe to call from many
    processes at once, of which one builds and the others wait.

    Raises `BuildError` when a step fails, `DefinitionError` for an unusable cache folder.
    """
    tell = progress or _silent
    folder = safe_folder(cache_folder(cache_dir) / "sandbox")
    component = folder / f"{_PREFIX}{_component_key()}.wasm"
    artefact = folder / f"{_PREFIX}{_artefact_key(component.name)}.cwasm"
    if not _intact(artefact):
        waiting = partial(tell, "waiting for another process that builds the sandbox", 0.0)
        try:
            with locked(folder / "build.lock", waiting):
                _build_missing(component, artefact, tell)
        except OSError as error:
            place = error.filename or folder
            raise BuildError(
                f"the sandbox could not be written: {place}: {error.strerror or error}; {_ROOM}"
            ) from error
    tell(_COMPILING, 1.0)
    return artefact


def _build_missing(component: Path, artefact: Path, tell: Progress) -> None:
    if _intact(artefact):
        return
    if not _intact(component):
        _make(component, partial(_componentize, tell=tell))
    tell(_BUILDING, 1.0)
    _make(artefact, partial(_compile, component, tell=tell))
    _remove_old(artefact.parent, {component.name, artefact.name})


def _componentize(target: Path, tell: Progress) -> None:
    """Runs componentize-py over a copy of `guest/`: it leaves compiled files beside the sources."""
    with tempfile.TemporaryDirectory() as scratch:
        guest, empty = Path(scratch) / "guest", Path(scratch) / "empty"
        shutil.copytree(GUEST, guest, ignore=shutil.ignore_patterns("__pycache__"))
        # without this it would offer the guest our own site-packages
        (empty / "lib" / "python3" / "site-packages").mkdir(parents=True)
        command = [sys.executable, "-c", _COMPONENTIZE, str(os.getpid())]
        command += ["-d", str(guest / "world.wit"), "-w", "udf", "componentize", "app"]
        command += ["-p", str(guest), "-o", str(target)]
        # a backtrace would push the reason out of what is told of a failure
        quiet = {"RUST_BACKTRACE": "0", "RUST_LIB_BACKTRACE": "0"}
        # what it leaves when it is ended goes with the folder
        places = {"VIRTUAL_ENV": str(empty), "TMPDIR": scratch}
        _step(command, _BUILDING, tell, {**places, **quiet})
    try:
        target.write_bytes(immortal.make_immortal(target.read_bytes()))
    except immortal.SnapshotError as error:
        raise BuildError(f"{_BUILDING} failed: {error}") from error


def _compile(component: Path, target: Path, tell: Progress) -> None:
    command = [sys.executable, "-c", _PRECOMPILE, str(os.getpid()), str(component), str(target)]
    _step(command, _COMPILING, tell, {"PYTHONPATH": str(Path(__file__).parents[3])})


def _step(command: list[str], phase: str, tell: Progress, extra: dict[str, str]) -> None:
    """Runs `command` to its end, telling an estimate of how far it is; the steps tell nothing."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **extra},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while True:
                tell(phase, min(0.95, (time.monotonic() - started) / _EXPECTED_SECONDS))
                try:
                    status = process.wait(timeout=0.1)
                    break
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            process.kill()
            process.wait()
            raise
        if status != 0:
            output.seek(0)
            raise BuildError(f"{phase} failed with status {status}: {_last_words(output.read())}")


def _last_words(output: bytes) -> str:
    """Why a step failed, in a line: of a traceback that is the last one."""
    said = output[-4_000:].decode("utf-8", "replace")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if "Traceback (most recent call last):" in lines:
        lines = lines[-1:]
    words = " ".join(lines[-5:]) or "it said nothing"
    return f"{words}; {_ROOM}" if any(word in words for word in _NO_ROOM) else words


def _make(path: Path, step: Callable[[Path], None]) -> None:
    with replacing(path) as new:
        step(new)
        digest = _digest(new)
    write_atomic(_checksum(path), digest.encode())


def _intact(path: Path) -> bool:
    """Whether `path` is there as it was written. Native code must not be loaded half."""
    try:
        return _checksum(path).read_text() == _digest(path)
    except (OSError, ValueError):
        return False


def _checksum(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _remove_old(folder: Path, keep: set[str]) -> None:
    """Clears what other versions left a month ago and longer; running ones keep theirs open."""
    now = time.time()
    for path in folder.glob(f"{_PREFIX}*"):
        ours = path.name.removesuffix(".sha256") in keep
        if not ours and now - path.stat().st_mtime > _OLD_SECONDS:
            path.unlink(missing_ok=True)


def _component_key() -> str:
    parts = [importlib.metadata.version("componentize-py").encode()]
    for path in sorted([*GUEST.rglob("*.py"), GUEST / "world.wit", Path(immortal.__file__)]):
        parts += [str(path.relative_to(GUEST.parent)).encode(), path.read_bytes()]
    return _key(*parts)


def _artefact_key(component: str) -> str:
    version = importlib.metadata.version("wasmtime")
    return _key(component.encode(), version.encode(), ENGINE_CONFIG.encode(), _machine().encode())


def _machine() -> str:
    """What the compiler looks at: the processor and its abilities."""
    words = [platform.system(), platform.machine()]
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return " ".join([*words, platform.processor()])
    abilities = {line for line in lines if line.startswith(("flags", "Features", "isa"))}
    return " ".join([*words, *sorted(abilities)])


def _key(*parts: bytes) -> str:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.hexdigest()[:24]


def _silent(phase: str, fraction: float) -> None:
    pass
