"""``python -m tests.settings_table``: write the table of docs/SETTINGS.md from the settings."""

from __future__ import annotations

import math
from typing import Final

from proxy.config.settings import SETTINGS, Setting
from tests.documents import ROOT

DOCUMENT: Final = ROOT / "docs" / "SETTINGS.md"
_HEAD: Final = (
    "| setting | environment | default | takes | meaning |\n| --- | --- | --- | --- | --- |\n"
)
_UNITS: Final = (("gb", 1024**3), ("mb", 1024**2), ("kb", 1024))
_TAKES: Final = {
    "origins": "URL, URL, ...",
    "address": "HOST:PORT",
    "secret": "8 or more printable ASCII characters",
    "authority": "file",
    "path": "folder",
    "names": "NAME,NAME,...",
}


def with_table(text: str) -> str:
    """The document with its table made anew."""
    before, head, rest = text.partition(_HEAD)
    assert head, "the table of settings is not there"
    after = rest[rest.index("\n\n") :]
    return before + head + "\n".join(_row(setting) for setting in SETTINGS) + after


def _row(setting: Setting) -> str:
    default = "none" if setting.default is None else f"`{setting.default_text}`"
    cells = (f"`{setting.name}`", f"`{setting.env}`", default, _takes(setting), setting.help)
    return f"| {' | '.join(cells)} |"


def _takes(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    if setting.kind == "address" and setting.minimum:
        return f"{_TAKES['address']}, the port from {setting.minimum:g}"
    if setting.kind in _TAKES:
        return _TAKES[setting.kind]
    number = _size if setting.kind == "bytes" else _number
    if setting.maximum == math.inf:
        return f"from {number(setting.minimum)}"
    return f"{number(setting.minimum)} to {number(setting.maximum)}"


def _number(value: float) -> str:
    return f"{value:,.15g}"


def _size(value: float) -> str:
    for unit, size in _UNITS:
        if value and value % size == 0:
            return f"{value / size:.0f}{unit}"
    return f"{value:.0f}b" if value else "0"


def main() -> None:
    """Write it."""
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
