"""What a definition may come to, each number with its reason.

Proxies share a store: what one took, every other has to be able to read and run.
"""

from __future__ import annotations

from typing import Final

STAGE_TIMEOUT_MS: Final = 250
"""A search has some hundred ms; a stage takes some."""
STAGE_TIMEOUT_MAX_MS: Final = 30_000
"""It holds a sandbox for so long."""
PIPELINE_TIMEOUT_MS: Final = 5_000
"""Waiting for a sandbox included."""
PIPELINE_TIMEOUT_MAX_MS: Final = 120_000
"""It holds a request, and its place, for so long."""
RETRIES_MAX: Final = 10
"""More tries of the same input rarely come to something else."""
STAGES_MAX: Final = 50
"""Of a pipeline."""
SOURCE_MAX: Final = 256 * 1024
"""It is compiled in each sandbox."""
FILES_MAX: Final = 100
"""Data files of a package."""
PACKAGE_MAX: Final = 10 * 1024 * 1024
"""Its files together: each sandbox has them in its memory."""
JSON_MAX: Final = 1024 * 1024
"""Of an upload in JSON, without its long strings."""
ENTRIES_MAX: Final = 1000
"""Files and folders of an archive."""
DIRECTORY_MAX: Final = 512 * 1024
"""Bytes of its central directory."""
MEMORY_MB: Final = 64
"""Of a sandbox, its interpreter included, unless the stage says otherwise."""
MEMORY_MIN_MB: Final = 32
"""The interpreter alone takes some twenty."""
MEMORY_MAX_MB: Final = 1024
"""So that a few sandboxes do not take all the memory of a host."""
