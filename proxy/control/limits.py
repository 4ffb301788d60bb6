"""The numbers of this room, each with its reason."""

from __future__ import annotations

from typing import Final

PAGE: Final = 500
"""Heads of records that are read at once."""
STAMPS: Final = 10_000
"""Ids of records that are read at once; the backend gives no more."""
PIECE_BYTES: Final = 8 * 1024 * 1024
"""Bodies are read in pieces of about so much, a larger one by itself."""
PIECE_RECORDS: Final = 200
"""Of one piece, for small ones have heads, too."""
BODY_MAX: Final = 64 * 1024 * 1024
"""What can be read of one record; what this proxy writes is far smaller."""
LARGE: Final = 64 * 1024
"""A body of more bytes is worked on in a thread."""
TURN_SECONDS: Final = 0.002
"""How long the event loop is worked on before others get their turn."""
