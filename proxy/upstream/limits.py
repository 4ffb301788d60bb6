"""What is read of the head of a response, each number with its reason."""

from __future__ import annotations

from typing import Final

MAX_FIELD: Final = 64 * 1024
"""Backends may send long Warning fields; nothing here is as exposed as the client's side."""
MAX_FIELDS: Final = 512
"""Many of them, too."""
