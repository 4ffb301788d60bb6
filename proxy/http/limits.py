"""The numbers of this room, and those that several rooms share, each with its reason."""

from __future__ import annotations

from typing import Final

PARSE_INLINE: Final = 256 * 1024
"""A body of more bytes is parsed in a thread: it would hold up the event loop for longer than a
millisecond or so."""
JOIN_LIMIT: Final = 64 * 1024
"""Above this, joining a head and its body costs more than a second write."""
READ_BUFFER: Final = 64 * 1024
"""So much is read off a connection before whoever wants it has to take some."""
REMEMBERED_HEADS: Final = 512
"""Heads of which is kept what was made of them. Clients send the same few all day."""
REMEMBERED_FIELDS: Final = 16
"""Fields of a head that is kept; longer ones come from elsewhere and do not come again."""
REMEMBERED_BYTES: Final = 4096
"""Bytes of a head that is kept."""
WARNING_FIELDS_MAX: Final = 10
"""Clients log each of them."""
WARNING_BYTES_MAX: Final = 2048
"""Of all fields with their names: clients refuse responses whose heads are large."""
WARNING_TEXT_MAX: Final = 400
"""Of one text; one that fills all fields would keep the others from being told."""
