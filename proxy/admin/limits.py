"""The numbers of this room, each with its reason.

Proxies share a store: what one took, every other has to be able to read.
"""

from __future__ import annotations

from typing import Final

DEFINITION_MAX: Final = 1024 * 1024
"""Of a pipeline; the largest that people write has some KB."""
UPLOAD_MAX: Final = 16 * 1024 * 1024
"""Of a UDF with its files, which are a third larger in base64."""
