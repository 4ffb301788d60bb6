"""Every harness there is."""

from __future__ import annotations

from typing import Final

from tests.fuzz import config, encodings, json_edits, lines, requests, uploads
from tests.fuzz.harness import Harness

HARNESSES: Final[tuple[Harness, ...]] = (
    *requests.HARNESSES,
    *lines.HARNESSES,
    *config.HARNESSES,
    *json_edits.HARNESSES,
    *encodings.HARNESSES,
    *uploads.HARNESSES,
)
