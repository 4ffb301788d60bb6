"""The numbers of this room, each with its reason."""

from __future__ import annotations

from typing import Final

REMEMBERED_NAMES: Final = 2000
"""Expressions whose meaning is kept: some MB."""
PRODUCT_MAX: Final = 64 * 1024
"""Of the response to ``GET /``, which is a few hundred bytes."""
