"""Attachments: index settings that bind pipelines to an index, alias, data stream or pattern."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from pipelines.context import PHASES, Phase

NONE = "_none"
BACKENDS = "_backend"
"""As `index.search.default_pipeline`: the backend has its own there, and none of ours runs."""
SEARCH_DEFAULT = "index.search.default_pipeline"
DEFAULTS: Mapping[Phase, str] = {phase: f"index.{phase}.default_pipeline" for phase in PHASES}
FINALS: Mapping[Phase, str] = {phase: f"index.{phase}.final_pipeline" for phase in PHASES}
SETTINGS: tuple[str, ...] = (*DEFAULTS.values(), SEARCH_DEFAULT, *FINALS.values())
"""Every setting of ours, in full. `index.search.default_pipeline` is also OpenSearch's own."""


def setting_phase(setting: str) -> Phase | None:
    """The phase a setting is for; None for `index.search.default_pipeline`, which takes any."""
    return next(
        (phase for phase in PHASES if setting in (DEFAULTS[phase], FINALS[phase])),
        None,
    )


def is_pattern(expression: str) -> bool:
    return "*" in expression


class Attachments:
    """Which settings hold for which name: exact names first, then patterns, longest first.

    Of several patterns that match, the one with most literal characters wins, setting by
    setting; equal ones are taken in alphabetical order so that every proxy decides alike.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, str]]) -> None:
        self.entries = {name: dict(settings) for name, settings in entries.items() if settings}
        self._patterns = sorted(
            (name for name in self.entries if is_pattern(name)),
            key=lambda name: (-len(name.replace("*", "")), name),
        )

        named = {setting for settings in self.entries.values() for setting in settings}
        self.final_phases = frozenset(phase for phase in PHASES if FINALS[phase] in named)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def settings(self, name: str) -> dict[str, str]:
        """All settings in force for one concrete name."""
        return self.inherited(name) | self.entries.get(name, {})

    def own(self, name: str) -> dict[str, str]:
        """The settings that were attached to this very expression."""
        return _shown(self.entries.get(name, {}))

    def inherited(self, name: str, through: Iterable[str] = ()) -> dict[str, str]:
        """What a concrete name has from patterns, and from names it is reached through."""
        found: dict[str, str] = {}
        for pattern in reversed(self._patterns):
            if matches(name, pattern):
                found.update(self.entries[pattern])
        for other in through:
            found.update(_shown(self.entries.get(other, {})))
        return found

    def reached(self, name: str, through: Iterable[str]) -> Iterator[dict[str, str]]:
        """The settings in force for a name: those of the names it is reached through go first."""
        own = self.settings(name)
        for other in through:
            if other in self.entries:
                settings = self.settings(other)
                if own.get(SEARCH_DEFAULT) == BACKENDS:
                    settings.pop(SEARCH_DEFAULT, None)
                yield settings
        yield own

    def finals(self, name: str, phase: Phase) -> list[str]:
        """The final pipelines of a phase for one concrete name: those of every entry it matches.

        A more specific entry adds to a general one and cannot take its place.
        """
        matching = [p for p in self._patterns if matches(name, p)]
        found = [
            self.entries[entry].get(FINALS[phase])
            for entry in (*matching, name)
            if entry in self.entries
        ]
        return list(dict.fromkeys(pipeline for pipeline in found if pipeline is not None))

    def users(self, pipeline: str) -> list[str]:
        """The expressions a pipeline is attached to."""
        return sorted(n for n, settings in self.entries.items() if pipeline in settings.values())

    def users_of_all(self) -> dict[str, list[str]]:
        """The expressions that each pipeline is attached to, by its name."""
        users: dict[str, list[str]] = {}
        for expression in sorted(self.entries):
            for pipeline in set(self.entries[expression].values()):
                users.setdefault(pipeline, []).append(expression)
        return users


def _shown(settings: Mapping[str, str]) -> dict[str, str]:
    return {setting: value for setting, value in settings.items() if value != BACKENDS}


def matches(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern, in which only ``*`` is special."""
    return fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))
