"""What lies in the store: records, and what is known of each without its body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, get_args

from pipelines.definitions.fields import NAME, VERSION

Kind = Literal["pipeline", "udf", "attachment", "secret", "deleted"]
"""`deleted` is a UDF version that was: it keeps its digest, so that nothing else is given its name.
A proxy that does not know a kind leaves it alone."""

KINDS: Final[frozenset[str]] = frozenset(get_args(Kind))
HEAD: Final = ("kind", "name", "revision", "updated", "size", "digest", "category")
"""The members of a record beside its body."""

Stamp = tuple[int, int]
"""A store's mark of one write, its number first: another write has another one, a later one of a
higher number."""


class Key(NamedTuple):
    """What a record is known by. `revision` counts the writes of a kind and name, from 1."""

    kind: Kind
    name: str
    revision: int

    @property
    def id(self) -> str:
        return record_id(self.kind, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record without its body. `kind` and `name` are those of its id,
    `revision` counts its writes from 1.

    `size` is that of the body in bytes, `digest` and `category` are of UDFs; None and "" where the
    record does not say, as those of the first release. `fault` says why it cannot be used.
    """

    id: str
    stamp: Stamp
    kind: str
    name: str
    revision: int = 0
    updated: int = 0
    size: int | None = None
    digest: str = ""
    category: str | None = None
    fault: str = ""

    @property
    def bytes(self) -> int:
        """What it takes of the store, as far as that is known."""
        return self.size or 0


def record_id(kind: Kind, name: str) -> str:
    return f"{kind}:{name}"


def head_of(
    key: Key, size: int, *, updated: int, digest: str = "", category: str | None = None
) -> dict[str, Any]:
    """The members of a record beside its body, as `read_entry` reads them."""
    head: dict[str, Any] = {
        "kind": key.kind,
        "name": key.name,
        "revision": key.revision,
        "updated": updated,
        "size": size,
    }
    return head | {"digest": digest, "category": category or ""} if digest else head


def read_entry(id: str, stamp: Stamp, source: object) -> Entry:
    """What a record says of itself; whatever is wrong with it becomes its `fault`."""
    head: Mapping[str, Any] = source if isinstance(source, dict) else {}
    kind, _, name = id.partition(":")
    return Entry(
        id=id,
        stamp=stamp,
        kind=kind,
        name=name,
        revision=_count(head.get("revision")) or 0,
        updated=_count(head.get("updated")) or 0,
        size=_count(head.get("size")),
        digest=_text(head.get("digest")) or "",
        category=_text(head.get("category")),
        fault=_fault(kind, name, head),
    )


def _fault(kind: str, name: str, head: Mapping[str, Any]) -> str:
    if kind not in KINDS:
        return f"its kind [{kind[:100]}] is none that this version knows"
    if head.get("kind") != kind or head.get("name") != name:
        return "its kind and name are not those in its id"
    if not _count(head.get("revision")):
        return "its revision is no number from 1 on"
    base, _, version = name.rpartition("@")
    if kind == "pipeline" and not NAME.fullmatch(name):
        return "its name is none that a pipeline can have"
    if kind in ("udf", "deleted") and not (NAME.fullmatch(base) and VERSION.fullmatch(version)):
        return "its name is none that a version of a UDF can have"
    return ""


def _count(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if whole else None  # type: ignore[return-value]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
