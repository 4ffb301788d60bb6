"""Names that are this proxy's own in the backend."""

from __future__ import annotations

from typing import Final

INDEX: Final = ".querymill"
"""The hidden index of the store."""
