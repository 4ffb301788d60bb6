"""The component that came with the installation: a wheel has it beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .checksum import checksum, checksum_file, is_intact
from .componentize import PREFIX, component_name, componentize
from .step import Progress

_HERE: Final = Path(__file__).parent


def shipped_component() -> Path | None:
    """The component of this guest, if it came with the installation and is whole."""
    path = _HERE / component_name()
    return path if is_intact(path) else None


def why_none() -> str:
    """Why there is none, where there is none."""
    if (_HERE / component_name()).exists():
        return "the sandbox that came with this installation is damaged"
    if any(_HERE.glob(f"{PREFIX}*.wasm")):
        return "the sandbox that came with this installation is of other sources than those here"
    return "no sandbox came with this installation"


def make_shipped(folder: Path, report: Progress) -> Path:
    """The component of this guest in `folder`, made unless it is there; others are removed.

    Raises `StepError`.
    """
    path = folder / component_name()
    for other in folder.glob(f"{PREFIX}*"):
        if other not in (path, checksum_file(path)):
            other.unlink()
    if not is_intact(path):
        componentize(path, report)
        checksum_file(path).write_text(checksum(path))
    return path
