"""The numbers of this room, each with its reason."""

from __future__ import annotations

from typing import Final

SMALL: Final = 64 * 1024
"""Up to here a body of known length is read at once and leaves in one write; above it streams."""
SMALL_BODY_MAX: Final = 16 * 1024 * 1024
"""Of a call on settings, scrolls or points in time, that the proxy has to read: such bodies are
small, and what is larger and names nothing of ours passes."""
TRANSLATED_MAX: Final = 16 * 1024 * 1024
"""What is translated is an id and little else; on thousands of shards that is not small."""
REMEMBERED_SELECTIONS: Final = 2000
"""Expressions for which the chosen pipelines are kept: some MB."""
WORDS_MAX: Final = 1000
"""Of the backend's words that go into a warning or an error."""
FORMAT_INLINE: Final = 16 * 1024
"""Above this, a response is converted off the event loop: that takes longer than parsing."""
GZIP_MIN: Final = 1024
"""Below this, gzip saves less than it costs."""
LABELS_MAX: Final = 1024
"""Of the pipelines' labels in ``Querymill-Pipelines``: clients refuse responses whose heads are
large."""
PATH_ID_MAX: Final = 3 * 1024
"""Of an id that stands in paths: whatever lets the backend's request lines (4 KB) through has to
take them. The rest is for the backend's own id and the parameters."""
