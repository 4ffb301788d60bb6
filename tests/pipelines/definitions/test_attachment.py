"""Which attachments hold for which name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.definitions.attachment import SETTINGS, Attachments, is_pattern, setting_phase

QUERY = "index.query.default_pipeline"
RESULT = "index.result.default_pipeline"


def in_force(entries: dict[str, str], name: str) -> str | None:
    """The query pipeline in force for `name`, each expression having one."""
    held = Attachments({expression: {QUERY: value} for expression, value in entries.items()})
    return held.settings(name).get(QUERY)


@pytest.mark.parametrize(
    ("entries", "winner"),
    [
        ({"logs-2024": "exact", "logs-*": "pattern"}, "exact"),
        ({"*": "all", "logs-*": "logs", "logs-2*": "most"}, "most"),
        ({"*-2024": "five", "logs-*": "also five", "l*s-2024": "most"}, "most"),
        ({"**": "stars are no letters", "l*": "one letter"}, "one letter"),
        ({"*-2024": "first in the alphabet", "logs-*": "later"}, "first in the alphabet"),
        ({"metrics-*": "other"}, None),
        ({"logs": "a part of the name"}, None),
        ({"LOGS-*": "other case"}, None),
    ],
)
def test_the_most_specific_expression_wins(entries: dict[str, str], winner: str | None) -> None:
    """The exact name, then the pattern with most letters, of equal ones the first by alphabet."""
    assert in_force(entries, "logs-2024") == winner
    assert in_force(dict(reversed(entries.items())), "logs-2024") == winner


@pytest.mark.parametrize("pattern", ["a?c*", "[a]bc*", "a[!x]c*"])
def test_only_the_star_is_a_wildcard(pattern: str) -> None:
    """Other signs of shell patterns stand for themselves."""
    assert in_force({pattern: "p"}, "abc") is None
    assert in_force({pattern: "p"}, pattern.replace("*", "-1")) == "p"


def test_settings_are_decided_one_by_one() -> None:
    """A more specific expression hides only the settings it has itself."""
    held = Attachments(
        {
            "*": {QUERY: "q", RESULT: "r", "index.document.default_pipeline": "d"},
            "logs-*": {QUERY: "logs-q", RESULT: "logs-r"},
            "logs-1": {QUERY: "_none"},
        }
    )
    assert held.settings("logs-1") == {
        QUERY: "_none",
        RESULT: "logs-r",
        "index.document.default_pipeline": "d",
    }
    assert held.settings("other")[RESULT] == "r"


def test_an_expression_without_settings_is_not_kept() -> None:
    """Nothing attached is the same as never attached."""
    assert not Attachments({"a": {}})
    assert Attachments({"a": {QUERY: "p"}, "b": {}}).entries == {"a": {QUERY: "p"}}


def test_users_are_the_expressions_a_pipeline_is_attached_to() -> None:
    """In any setting, in alphabetical order."""
    held = Attachments({"z-*": {QUERY: "p"}, "a": {RESULT: "p", QUERY: "x"}, "b": {QUERY: "x"}})
    assert (held.users("p"), held.users("x"), held.users("y")) == (["a", "z-*"], ["a", "b"], [])


def test_each_setting_is_for_a_phase_but_the_backends_own() -> None:
    """`index.search.default_pipeline` takes a pipeline of any type."""
    phases = {setting: setting_phase(setting) for setting in SETTINGS}
    assert phases.pop("index.search.default_pipeline") is None
    assert {setting: setting.split(".")[1] for setting in phases} == phases
    assert setting_phase("index.number_of_shards") is None


def test_final_pipelines_add_up() -> None:
    """A more specific expression cannot take the place of a general one's; each counts once."""
    final = "index.query.final_pipeline"
    held = Attachments(
        {"*": {final: "all"}, "logs-*": {final: "logs"}, "logs-1": {final: "all", QUERY: "p"}}
    )
    assert sorted(held.finals("logs-1", "query")) == ["all", "logs"]
    assert held.finals("other", "query") == ["all"]
    assert held.finals("logs-1", "result") == []


NAMES = st.text("ab-", min_size=1, max_size=6)
EXPRESSIONS = st.text("ab-*", min_size=1, max_size=6)


@given(st.dictionaries(EXPRESSIONS, NAMES, max_size=8), NAMES)
def test_the_order_of_attaching_never_matters(entries: dict[str, str], name: str) -> None:
    """Every proxy decides alike, and what wins is the name itself or a pattern."""
    winner = in_force(entries, name)
    assert winner == in_force(dict(reversed(entries.items())), name)
    if name in entries:
        assert winner == entries[name]
    elif winner is not None:
        assert any(is_pattern(e) and value == winner for e, value in entries.items())
