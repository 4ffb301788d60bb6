"""What a stage declared to read: reading anything else is an error, and not a missing value."""

from typing import Any, NoReturn

_MISSING = object()
_SHOWN = 10


class NotDeclared(Exception):
    """A path was read that the stage does not declare in its `input`, so it is not given here."""


class Declared:
    """The declared paths of documents, hits or the response; `prefix` is what they stand behind."""

    __slots__ = ("_base", "_kinds", "_plain", "above", "paths", "prefix")

    def __init__(self, paths: list[str], prefix: str = "", *, of_result: bool = False) -> None:
        self.paths = paths
        self.prefix = prefix
        # of a result everything is said on context.hits
        self._base = ReadPart if of_result else Part
        self._kinds: dict[str, type[Part]] = {}
        self._plain = [_less_numbers(path) for path in paths]
        # those that lead to a declared one: of what is there, a part is given
        self.above = {path[:dot] for path in paths for dot in range(len(path)) if path[dot] == "."}

    def kind(self, at: str = "") -> type["Part"]:
        """The class of what is given at a path that ends with a dot, or of the payload itself."""
        found = self._kinds.get(at)
        if found is None:
            below = [path for path in self.above if path.startswith(at)]
            inner = tuple([(path[len(at) :], self.kind(f"{path}.")) for path in below])
            members = {"__slots__": (), "declared": self, "at": at, "inner": inner}
            found = self._kinds[at] = type("Part", (self._base,), members)
        return found

    def covers(self, path: str) -> bool:
        """Whether what is at `path` would be given, or a part of it."""
        if path in self.above:
            return True
        for sought, paths in ((path, self.paths), (_less_numbers(path), self._plain)):
            for each in paths:
                if f"{each}.".startswith(f"{sought}.") or sought.startswith(f"{each}."):
                    return True
        return False

    def check(self, path: Any) -> None:
        """Raises `NotDeclared` for a path that nothing declared covers."""
        if not isinstance(path, str) or self.covers(path):
            return
        if self.prefix and f"{path}.".startswith("hits.hits."):
            raise NotDeclared("a stage that declares its `input` finds the hits in context.hits")
        declared = (
            ", ".join(self.prefix + each for each in self.paths[:_SHOWN]) or "nothing of this"
        )
        more = ", ..." if len(self.paths) > _SHOWN else ""
        raise NotDeclared(
            f"{self.prefix + path[:200]!r} is not declared: the `input` of the stage has "
            f"{declared}{more}; add it there to read it"
        )


class Part(dict):
    """An object of which the declared part is given. What was not declared cannot be asked for.

    Each place in a payload has a class of its own (see `Declared.kind`): making one of them takes
    no more than making a dict.
    """

    __slots__ = ()
    declared: Declared
    at: str
    # its members of which a part is given too
    inner: tuple[tuple[str, type["Part"]], ...]

    def __missing__(self, key: Any) -> Any:
        self._check(key)
        raise KeyError(key)

    def __contains__(self, key: Any) -> bool:
        if _has(self, key):
            return True
        self._check(key)
        return False

    def get(self, key: Any, default: Any = None) -> Any:
        found = _get(self, key, _MISSING)
        if found is _MISSING:
            self._check(key)
            return default
        return found

    def pop(self, key: Any, *default: Any) -> Any:
        if not _has(self, key):
            self._check(key)
        return super().pop(key, *default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if not _has(self, key):
            self._check(key)
        return super().setdefault(key, default)

    def __reduce__(self) -> Any:
        # a copy is the UDF's own
        return dict, (dict(self),)

    def _check(self, key: Any) -> None:
        if isinstance(key, str):
            self.declared.check(f"{self.at}{key}")


class ReadPart(Part):
    """One of a result, where a change would do nothing, and so is an error."""

    __slots__ = ()

    def _refuse(self, *values: Any, **more: Any) -> NoReturn:
        declared, key = self.declared, values[0] if values else "..."
        if declared.prefix:
            raise TypeError(
                "a stage that declares its `input` cannot change the response, only its hits: "
                "write context.hits.rescore(...), hit.set(path, value); for the client "
                "context.metadata[name] = value"
            )
        path = f"{self.at}{key if isinstance(key, str) else '...'}"
        raise TypeError(
            f"this is a copy of what the hit has: write hit.set({path!r}, value) or "
            f"hit.delete({path!r}) to change the hit, dict(...) for a copy of your own"
        )

    def _refuse_if_declared(self, key: Any, *default: Any) -> NoReturn:
        if not _has(self, key):
            self._check(key)
        self._refuse(key)

    __setitem__ = __delitem__ = update = popitem = clear = _refuse
    __ior__ = _refuse  # type: ignore[assignment]
    pop = setdefault = _refuse_if_declared


_has = dict.__contains__
_get = dict.get
_put = dict.__setitem__
_last: list[tuple[Any, tuple[Declared, Declared]]] = []


def part_of(kind: type[Part], value: dict) -> Part:
    """What a UDF is given of an object."""
    part = kind(value)
    for key, inner in kind.inner:
        if type(found := _get(value, key)) is dict:
            _put(part, key, part_of(inner, found))
    return part


def declared_of(given: list[list[str]], phase: str) -> tuple[Declared, Declared]:
    """The paths of documents or hits, and those of the response; the same ones are made once."""
    if not _last or _last[0][0] != (given, phase):
        each, response = given
        of_result = phase == "result"
        both = Declared(each, of_result=of_result), Declared(response, "response.", of_result=True)
        _last[:] = [((given, phase), both)]
    return _last[0][1]


def _less_numbers(path: str) -> str:
    """A path without what picks from lists: of a list everything is given."""
    return ".".join([name for name in path.split(".") if not name.isdigit()])
