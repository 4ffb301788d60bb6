"""What both backends say of a call of several requests that has none."""

from __future__ import annotations

from typing import Final

NO_REQUESTS: Final = b"no requests added"
"""In their response where all else of the call is as it should be."""
