"""The part of a payload that a stage declared to read, and a document put together again.

A path is names joined by dots. In a document it starts at the document; in a search response at
each hit (`_score`, `_source.title`), or with the prefix `response.` at the response itself. A key
that itself holds dots is found by the same path (`{"log.level": 1}` by `log.level`), and a path
that leads into an array takes all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import orjson

from pipelines.jsontext.columns import columns_for, read_columns
from pipelines.jsontext.json_text import fits_orjson, may_be_rounded, parse, write

PATHS_MAX: Final = 64
PATH_CHARS_MAX: Final = 500
NAMES_MAX: Final = 20
RESPONSE: Final = "response."
"""What a path to a member of the response, and not of its hits, begins with."""

# By key: the parts to take of what is there, or None for all of it.
Tree: TypeAlias = Mapping[str, "Tree | None"]


def check_path(path: str) -> None:
    """Raises `ValueError`, saying the rule, for what cannot be a path."""
    names = path.split(".")
    if not all(names) or len(names) > NAMES_MAX or len(path) > PATH_CHARS_MAX:
        raise ValueError(
            f"[{path[:100]}] must be 1 to {NAMES_MAX} names joined by dots, "
            f"at most {PATH_CHARS_MAX} characters"
        )


def check_declared(path: str, *, of_hits: bool) -> None:
    """`check_path`, and that it can be declared; `of_hits` for a stage on search responses."""
    check_path(path)
    if "*" in path:
        raise ValueError(f"[{path[:100]}] holds a wildcard; name the members themselves")
    all_hits = path in ("response", "response.hits")
    if of_hits and (all_hits or f"{path}.".startswith("response.hits.hits.")):
        raise ValueError(
            f"[{path[:100]}] holds the hits; name what to read of each, such as _score"
        )


class Projection:
    """The declared paths of one stage, ready for use on any number of payloads."""

    def __init__(self, paths: Sequence[str], *, of_hits: bool) -> None:
        """`of_hits`: the payloads are search responses, otherwise documents.

        `declared` tells a sandbox the paths of hits or documents, and of the response, as JSON.
        Raises `ValueError` for a path that cannot be declared.
        """
        for path in paths:
            check_declared(path, of_hits=of_hits)
        self.paths = tuple(paths)
        self.of_hits = of_hits
        of_response = [path for path in paths if of_hits and path.startswith(RESPONSE)]
        of_each = tuple(path for path in paths if path not in of_response)
        self._each = _tree(of_each)
        self._columns = columns_for(of_each)
        of_response = [path.removeprefix(RESPONSE) for path in of_response]
        self._response = _tree(tuple(of_response))
        self.declared = orjson.dumps([of_each, of_response]).decode()

    def text(self, text: str, data: dict[str, Any]) -> str:
        """The JSON text of `given` for `data`, which is `text` as orjson reads it.

        Whole numbers of any size are in it as they were. Raises `ValueError` where that is nested
        too deeply.
        """
        try:
            written = orjson.dumps(self.given(data))
            if may_be_rounded(written) and not fits_orjson(text):
                return write(self.given(parse(text)))
        except (TypeError, RecursionError) as error:
            raise ValueError("nested too deeply; 250 levels are allowed") from error
        return written.decode()

    def given(self, data: dict[str, Any]) -> dict[str, Any]:
        """What a UDF is given of `data`: the declared part of a document, in the same shape.

        Of a search response the declared part under `response`, without its hits. Those are the
        number of them (`count`) and, by path, `columns` and their `gaps`; or, where they are not
        all of one plain shape, `parts`, an object each.
        """
        if not self.of_hits:
            return _part(data, self._each)
        hits = hits_of(data)
        given: dict[str, Any] = {"response": _part(data, self._response)}
        read = None if self._columns is None else read_columns(self._columns, hits)
        if read is None:
            parts = [_part(hit, self._each) if type(hit) is dict else {} for hit in hits]
            return given | {"parts": parts}
        given["count"] = len(hits)
        given["columns"], given["gaps"] = read
        return given

    def merged(self, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        """The document `old` after a stage was given its declared part and returned `new`.

        What `new` holds is set, what was declared and it leaves out is taken away. The rest stays,
        in its order. Neither is changed.
        """
        return _merged(old, new, self._each)


def hits_of(response: Mapping[str, Any]) -> list[Any]:
    """The hits of a search response; empty if it has none."""
    around = response.get("hits")
    hits = around.get("hits") if isinstance(around, dict) else None
    return hits if isinstance(hits, list) else []


def _tree(paths: tuple[str, ...], known: dict[tuple[str, ...], Tree] | None = None) -> Tree:
    """Each key that can begin one of `paths`, with dots in it or not, and what comes below it."""
    known = {} if known is None else known
    if paths not in known:
        below: dict[str, dict[str, None]] = {}
        for path in paths:
            dot = path.find(".")
            while dot >= 0:
                below.setdefault(path[:dot], {})[path[dot + 1 :]] = None
                dot = path.find(".", dot + 1)
            below.setdefault(path, {})
        known[paths] = {
            key: None if key in paths else _tree(tuple(rest), known) for key, rest in below.items()
        }
    return known[paths]


def _part(value: dict[str, Any], tree: Tree) -> dict[str, Any]:
    part: dict[str, Any] = {}
    for key, below in tree.items():
        if key in value:
            found = value[key]
            if below is None or type(found) is list:
                part[key] = found
            elif type(found) is dict:
                part[key] = _part(found, below)
    return part


def _merged(old: dict[str, Any], new: dict[str, Any], tree: Tree) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key, value in old.items():
        below = tree.get(key)
        if below is not None and isinstance(value, dict):
            inner = new.get(key, {})
            kept = _merged(value, inner, below) if isinstance(inner, dict) else inner
            # an object that was taken away goes, unless it holds more than was declared
            if kept != {} or key in new:
                merged[key] = kept
        elif key in new:
            merged[key] = new[key]
        elif not _given(key, value, tree):
            merged[key] = value
    return merged | {key: value for key, value in new.items() if key not in old}


def _given(key: str, value: Any, tree: Tree) -> bool:
    """Whether a stage was given all of this member; of objects that are given in part it is not."""
    return key in tree and (tree[key] is None or isinstance(value, list))
