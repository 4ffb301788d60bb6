"""Markdown as the tests of the documents see it: fenced blocks, links, headings, curl lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BASE = "http://127.0.0.1:9280"

_FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the words after its fence, its text, and the line it begins on."""

    info: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class CurlCall:
    """What a curl line sends; `target` is the path and query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(ROOT / p for p in found if not any(part.startswith(".") for part in p.parts))


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    text = path.read_text()
    return [
        Block(match[1].strip(), match[2], text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    ]


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """The relative links of a document: the file each means, and the heading, "" for none."""
    for target in _LINK.findall(_FENCE.sub("", path.read_text())):
        if "://" not in target:
            name, _, heading = target.partition("#")
            yield (path.parent / name if name else path), heading


def anchors(path: Path) -> set[str]:
    """The names its headings can be linked by."""
    titles = _HEADING.findall(_FENCE.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def curl_calls(block: Block) -> list[CurlCall]:
    """The calls of a shell block that holds nothing but curl lines."""
    words = shlex.split(block.text.replace("\\\n", " "))
    assert words[0] == "curl", f"line {block.line}: only curl lines can be tried"
    starts = [place for place, word in enumerate(words) if word == "curl"]
    return [
        _curl_call(words[start + 1 : end])
        for start, end in zip(starts, [*starts[1:], len(words)], strict=True)
    ]


def _curl_call(words: list[str]) -> CurlCall:
    method, target, body = "", "", None
    headers: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word in ("-d", "--data-binary"):
            body = next(rest).encode()
        else:
            assert word.startswith(f"{BASE}/"), word
            target = word.removeprefix(BASE)
    return CurlCall(method or ("GET" if body is None else "POST"), target, headers, body)
