"""The numbers of this room, each with its reason."""

from __future__ import annotations

from typing import Final

YAML_MAX: Final = 1024 * 1024
"""The reader is slow: so many bytes take it a second or two."""
DEPTH_MAX: Final = 200
"""Levels of YAML and CBOR: their readers go down the stack."""
BIGNUM_MAX: Final = 1024
"""Bytes of a number in CBOR, which is written out in decimal."""
