"""Which index expressions reach the store, and the same ones without it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import takewhile
from typing import Final

from proxy.http.errors import ErrorResponse
from proxy.protocol.reserved import INDEX

LEFT_OUT: Final = f"-{INDEX}*"
"""Takes the store out of the patterns before it. A pattern: of a plain name the backend would say
that it does not exist, as long as it does not."""

ALL: Final = "_all"
_QUOTED: Final = re.compile(r"\\(.)")
_DATE: Final = re.compile(r"\{.*\}")


def expands_hidden(expand: str | None) -> bool:
    """Whether this ``expand_wildcards`` makes every pattern reach hidden indices."""
    return not {"hidden", "all"}.isdisjoint((expand or "").lower().split(","))


def names_store(expression: str) -> bool:
    """Whether an expression is the store's own name: as date math too, or behind a cluster's."""
    name = _parts(expression)[1]
    if not name.startswith("<"):
        return name == INDEX
    # A backslash quotes what follows it, and a date can be any text.
    name = _DATE.sub("*", _QUOTED.sub(r"\1", name.rpartition(">")[0] or name)).lstrip("<")
    return _fits(name)


def reaches_store(expression: str, *, hidden: bool) -> bool:
    """Whether an expression is a pattern that the backend expands to the store.

    A pattern that begins with a dot reaches hidden names that do; any pattern does with `hidden`.
    """
    cluster, name = _parts(expression)
    if name.startswith("-") or cluster.startswith("-"):
        return False
    if hidden and "*" in cluster:
        # Where no cluster has such a name, the backend takes it for all of its own indices.
        return True
    if name == ALL:
        return hidden
    return "*" in name and (hidden or name.startswith(".")) and _fits(name)


def check_name(expression: str) -> None:
    """Refuse (403) the store's own name."""
    if names_store(expression):
        raise refusal(expression)


def narrowed(names: Iterable[str], *, hidden: bool) -> list[str]:
    """What to add to these expressions to keep the store out; empty where they do without.

    Raises `ErrorResponse` (403) where one names the store, or nothing that is added would help.
    """
    names = tuple(names)
    there = set(takewhile(lambda name: name.endswith(LEFT_OUT), reversed(names)))
    more: list[str] = []
    for expression in names:
        check_name(expression)
        if reaches_store(expression, hidden=hidden):
            cluster = _parts(expression)[0]
            if hidden and "*" in cluster:
                raise refusal(expression)
            if cluster + LEFT_OUT not in there:
                there.add(cluster + LEFT_OUT)
                more.append(cluster + LEFT_OUT)
    return more


def refusal(expression: str) -> ErrorResponse:
    """The response to a request that reaches for the store."""
    return ErrorResponse(
        403,
        "security_exception",
        f"[{expression[:200]}] reaches the proxy's own index [{INDEX}]; definitions are managed"
        " through /_pipeline and /_udf",
    )


def _parts(expression: str) -> tuple[str, str]:
    """The cluster that an expression names, with its colon, and the name or pattern behind it."""
    if expression.startswith("<"):
        return "", expression
    cluster, colon, name = expression.partition(":")
    # Two colons come before a part of an index: ``logs::data``.
    if not colon or name.startswith(":"):
        return "", cluster
    return cluster + colon, name if name.startswith("<") else name.partition("::")[0]


def _fits(pattern: str) -> bool:
    return fnmatchcase(INDEX, pattern.replace("[", "[[]").replace("?", "[?]"))
