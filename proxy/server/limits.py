"""What is read of a client, each number with its reason.

The backend has lower limits for heads, which are looked at when a request goes there; these only
bound memory.
"""

from __future__ import annotations

from typing import Final

MAX_LINE: Final = 64 * 1024
"""Of a request line. It differs from the next one, so that an error tells which it is of."""
MAX_FIELD: Final = 128 * 1024
"""Of one header field."""
MAX_FIELDS: Final = 1024
"""Header fields."""
MAX_HEAD: Final = 256 * 1024
"""Of a head whose end has not come yet."""
ID_MAX: Final = 128
"""Of a client's own id for a request, which goes into the log and into a header."""
