"""The numbers of this room, each with its reason."""

from __future__ import annotations

from typing import Final

CURSOR_MAX: Final = 48 * 1024
"""Of an id, for one in a request line has to be taken here."""
PACKED_MAX: Final = 256 * 1024
"""More is not compressed to see whether it fits: that would hold up the event loop."""
UNPACKED_MAX: Final = 1024 * 1024
"""What an id may come to once it is inflated; it is signed, and never larger."""
REMEMBERED_IDS: Final = 10_000
"""Some MB. The backend closes points in time that are not used, and allows a few hundred."""
NAMES_MAX: Final = 100
"""Names of indices that are asked for at once; of a body with more, all indices are meant."""
TEXTS_MAX: Final = 100_000
"""Texts of a body that is not read which are looked through for different names."""
