"""Makes the component of CPython and `guest/`, with componentize-py.

Its name holds a hash of all that goes in, so that another release never meets it.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from pathlib import Path
from typing import Final

from . import immortal
from .checksum import key
from .step import Progress, StepError, run_step

BUILDER: Final = "0.25.1"
"""The release of componentize-py whose interpreter and snapshot the guest is written for."""

BUILDING: Final = "building the sandbox"
GUEST: Final = Path(__file__).parents[1] / "guest"
PREFIX: Final = "sandbox-"

_PROJECT: Final = "componentize-py"
_CODE: Final = "from componentize_py import script; sys.exit(script())"


def component_name() -> str:
    """The file name of the component of this guest."""
    ours = [Path(__file__), Path(immortal.__file__)]
    parts = [BUILDER.encode()]
    for path in sorted([*GUEST.rglob("*.py"), GUEST / "world.wit", *ours]):
        parts += [str(path.relative_to(GUEST.parent)).encode(), path.read_bytes()]
    return f"{PREFIX}{key(*parts)}.wasm"


def why_not() -> str:
    """What keeps a component from being made here; empty if nothing does."""
    try:
        found = importlib.metadata.version(_PROJECT)
    except importlib.metadata.PackageNotFoundError:
        return f"{_PROJECT}, which builds one, is not installed"
    if found != BUILDER:
        return f"{_PROJECT} is {found} here where {BUILDER} is needed to build one"
    return ""


def componentize(target: Path, report: Progress) -> None:
    """Makes the component in file `target`. Raises `StepError`."""
    # componentize-py leaves compiled files beside the sources
    with tempfile.TemporaryDirectory() as scratch:
        guest, empty = Path(scratch) / "guest", Path(scratch) / "empty"
        shutil.copytree(GUEST, guest, ignore=shutil.ignore_patterns("__pycache__"))
        # without this it would offer the guest our own site-packages
        (empty / "lib" / "python3" / "site-packages").mkdir(parents=True)
        arguments = ["-d", str(guest / "world.wit"), "-w", "udf", "componentize", "app"]
        arguments += ["-p", str(guest), "-o", str(target)]
        # a backtrace would push the reason out of the message of a failure
        quiet = {"RUST_BACKTRACE": "0", "RUST_LIB_BACKTRACE": "0"}
        # what it leaves when it is ended goes with the folder
        places = {"VIRTUAL_ENV": str(empty), "TMPDIR": scratch}
        run_step(_CODE, arguments, BUILDING, report, {**places, **quiet})
    try:
        target.write_bytes(immortal.make_immortal(target.read_bytes()))
    except immortal.SnapshotError as error:
        raise StepError(f"{BUILDING} failed: {error}") from error
