"""Keep the data plane away from the store: no request that passes may name `.querymill`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from typing import Final

from proxy.http.encoding import split_lines
from proxy.http.limits import PARSE_INLINE
from proxy.protocol.bodies.lenient_json import decoded
from proxy.protocol.bodies.members import WINDOW, first_text, texts_under
from proxy.protocol.reach import check_name, expands_hidden, narrowed, reaches_store, refusal
from proxy.protocol.target import Target, with_names

# Members of bodies that hold index names, wherever they stand.
INDEX_MEMBERS: Final = frozenset({"index", "indices", "_index", "index_pattern"})
# In a bulk, where `index` is an action, and its `_id` and `routing` may be any text.
_ACTION_MEMBERS: Final = frozenset({"_index"})
# What spells a name another way: escapes, the zeroes of UTF-16 and UTF-32, too many bytes of UTF-8.
_SPELLINGS: Final = (b"\\u", b"\0", b"\xc0", b"\xc1")
_OVERLONG: Final = re.compile(rb"\xe0[\x80-\x9f]")
# Without one of these a body cannot name the store: its name, patterns, date math.
_SIGNS: Final = (b"querymill", b"*", b"<", *_SPELLINGS)
_SIGN_LENGTH: Final = 16
_SHORT: Final = 4096
# In a format that is not read: its name, date math that can make it, what makes patterns reach it.
_UNREAD: Final = re.compile(rb"querymill|<[^<>]*[\\{][^<>]*>|xpand")


def check_target(target: Target) -> Target:
    """The request without the store: a pattern that reaches it is narrowed.

    Refuses (403) one whose path or ``index`` parameter names the store, or that would reach it in a
    way that cannot be narrowed.
    """
    for place, segment in enumerate(target.segments):
        # An id may be any text.
        if place == target.place or segment != target.id:
            for expression in segment.split(","):
                check_name(expression)
    hidden = expands_hidden(target.query.get("expand_wildcards"))
    if target.place is None and target.parameter is None:
        check_names(target.names)
        if target.names or target.bypasses | target.phases:
            check_expansion(target.names, target.query.get("expand_wildcards"))
        return target
    more = narrowed(target.names or (("*",) if hidden else ()), hidden=hidden)
    return with_names(target, more) if more else target


def check_expansion(names: Iterable[str], expand: str | None) -> None:
    """Refuse index expressions (none: all) that, with this ``expand_wildcards``, mean the store."""
    if expands_hidden(expand) and narrowed(tuple(names) or ("*",), hidden=True):
        raise refusal(",".join(names) or "*")


def check_names(names: Iterable[object]) -> None:
    """Refuse index names found in a body."""
    for name in names:
        if isinstance(name, str):
            for expression in name.split(","):
                check_name(expression)
                if reaches_store(expression, hidden=False):
                    raise refusal(expression)


def check_patterns(patterns: object) -> None:
    """Refuse patterns of a template that would give the store, when it is made, what others have.

    Hidden indices have what templates for some patterns say, but not for all (``*``).
    """
    for pattern in patterns if isinstance(patterns, list) else [patterns]:
        for each in pattern.split(",") if isinstance(pattern, str) else ():
            check_name(each)
            if each != "*" and reaches_store(each, hidden=True):
                raise refusal(each)


def check_body(body: bytes) -> None:
    """Refuse a JSON body that names the store in a member that holds index names."""
    if can_name_store(body):
        check_names(names_in(decoded(body)))


async def check_body_of(body: bytes) -> None:
    """The same, off the event loop where the body is large."""
    if len(body) > PARSE_INLINE:
        await asyncio.to_thread(check_body, body)
    else:
        check_body(body)


def check_bulk(body: bytes) -> None:
    """Refuse a bulk whose actions name the store; what its documents say is their own affair."""
    if not can_name_store(body):
        return
    lines = iter(split_lines(body))
    for line in lines:
        if line.strip():
            text = decoded(line)
            check_names(_parts(texts_under(text, _ACTION_MEMBERS)))
            # A line of comments alone is none to the backends: no document follows it.
            if first_text(text) not in (None, "delete"):
                next(lines, None)


def can_expand(body: bytes) -> bool:
    """Whether a body can say which indices patterns mean; with escapes all is possible."""
    return b"xpand" in body or _has_sign(body, _SPELLINGS)


def can_name_store(body: bytes) -> bool:
    """Whether the store's name, or what the backend could make it of, is anywhere in a body."""
    if len(body) > _SHORT:
        return _has_sign(body, _SIGNS)
    # The same, as quick as can be: this is looked at for each search.
    return (
        b"querymill" in body
        or b"*" in body
        or b"<" in body
        or b"\\u" in body
        or b"\0" in body
        or b"\xc0" in body
        or b"\xc1" in body
        or (b"\xe0" in body and _OVERLONG.search(body) is not None)
    )


def format_can_name_store(body: bytes) -> bool:
    """The same for YAML and CBOR, in which names can be in pieces too."""
    return b"\\" in body or b"\x7f" in body or can_name_store(body)


def _has_sign(body: bytes, signs: tuple[bytes, ...]) -> bool:
    for begin in range(0, len(body), WINDOW):
        # No single step takes long, so that other threads go on.
        window = body[begin : begin + WINDOW + _SIGN_LENGTH] if len(body) > WINDOW else body
        # Not by any(): for a small body its generator costs more than the rest.
        for sign in signs:
            if sign in window:
                return True
        if b"\xe0" in window and _OVERLONG.search(window) is not None:
            return True
    return False


def check_unread(body: bytes) -> None:
    """Refuse a body in a format that is not read here, if it could name the store."""
    found = _UNREAD.search(body)
    if found is not None:
        raise refusal(found[0].decode(errors="replace"))


def named_in(body: bytes) -> list[str]:
    """The index expressions a JSON body names, for requests that name them nowhere else."""
    return list(names_in(decoded(body)))


def names_in(text: str) -> Iterator[str]:
    """The index expressions in a JSON text, however it holds them."""
    return _parts(texts_under(text, INDEX_MEMBERS))


def _parts(texts: Iterable[str]) -> Iterator[str]:
    return (part for text in texts for part in text.split(",") if part)
