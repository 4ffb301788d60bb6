"""JSON as the backend writes it for ``?pretty``, made of the text so that no value changes."""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_CLOSING: Final = {"{": "}", "[": "]"}


def pretty(text: str) -> str:
    """`text`, which is valid JSON, with two spaces a level and a line feed at its end."""
    written: list[str] = []
    opened = False
    lead = "\n"
    for token in _TOKEN.findall(text):
        if token in ("}", "]"):
            lead = lead[:-2]
            written.append(f" {token}" if opened else f"{lead}{token}")
            opened = False
            continue
        if opened:
            written.append(lead)
            opened = False
        if token in _CLOSING:
            lead += "  "
            opened = True
            written.append(token)
        elif token == ",":
            written.append(f",{lead}")
        else:
            written.append(" : " if token == ":" else token)
    return "".join(written) + "\n"
