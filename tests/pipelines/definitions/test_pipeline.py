"""Reading pipeline definitions."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.definitions.limits import (
    MEMORY_MAX_MB,
    MEMORY_MIN_MB,
    PIPELINE_TIMEOUT_MAX_MS,
    RETRIES_MAX,
    STAGE_TIMEOUT_MAX_MS,
    STAGES_MAX,
)
from pipelines.definitions.pipeline import read_pipeline
from pipelines.errors import DefinitionError
from pipelines.stages import KINDS
from pipelines.stages.python import (
    LOG_MAX_BYTES,
    SIZE_MAX,
    SIZE_MIN,
    PythonConfig,
)

FULL: dict[str, Any] = {
    "name": "synonym-expansion",
    "version": "1.0.0",
    "type": "query",
    "description": "adds synonyms",
    "on_error": "continue",
    "timeout_ms": 200,
    "stages": [
        {
            "name": "expand",
            "type": "python",
            "enabled": True,
            "timeout_ms": 50,
            "on_failure": "abort",
            "retries": 0,
            "config": {
                "udf_name": "synonym_expander",
                "udf_version": "latest",
                "parameters": {"boost_original": 2.0},
            },
        }
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """FULL with one member set; a value of ... removes it."""
    definition = copy.deepcopy(FULL)
    place: Any = definition
    *parents, last = [int(p) if p.isdigit() else p for p in path.split("/")]
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return definition


def fault(value: object, name: str | None = None) -> str:
    with pytest.raises(DefinitionError) as caught:
        read_pipeline(value, KINDS, name=name)
    return str(caught.value)


def test_a_full_definition_is_read_as_it_stands() -> None:
    """Every member of the documented example reaches the frozen form."""
    definition = read_pipeline(FULL, KINDS)
    assert definition.label == "synonym-expansion@1.0.0"
    assert (definition.type, definition.on_error, definition.timeout_ms) == (
        "query",
        "continue",
        200,
    )
    (stage,) = definition.stages
    assert (stage.name, stage.timeout_ms, stage.on_failure) == ("expand", 50, "abort")
    assert isinstance(stage.config, PythonConfig)
    assert stage.config.parameters == {"boost_original": 2.0}
    assert definition.source == FULL


@pytest.mark.parametrize(
    ("phase", "on_error"), [("query", "continue"), ("result", "continue"), ("document", "fail")]
)
def test_defaults_depend_on_the_type(phase: str, on_error: str) -> None:
    """Query and result pipelines continue on an error, document pipelines fail."""
    stage = {"name": "s", "type": "python", "config": {"udf_name": "u"}}
    definition = read_pipeline({"type": phase, "stages": [stage]}, KINDS, name="p")
    assert definition.on_error == on_error
    assert (definition.version, definition.timeout_ms) == ("1.0.0", 5000)
    assert definition.stages[0].enabled
    assert (definition.stages[0].timeout_ms, definition.stages[0].retries) == (250, 0)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("type", ..., "type: required"),
        ("type", "search", "type: [search] is not one of query, document, result"),
        ("type", 7, "type: must be a string, not a number"),
        ("name", "_none", "name: [_none] must be 1 to 100 letters"),
        ("name", "a,b", "name: [a,b] must be"),
        ("name", "x" * 101, "name: ["),
        ("version", "1 0", "version: [1 0] must be"),
        ("on_error", "retry", "on_error: [retry] is not one of continue, fail"),
        ("timeout_ms", 0, "timeout_ms: 0 is out of range: 1 to 120000"),
        ("timeout_ms", True, "timeout_ms: must be a whole number, not a boolean"),
        ("timeout_ms", 1.5, "timeout_ms: must be a whole number, not a number"),
        ("timeout_ms", None, "timeout_ms: must be a whole number, not null"),
        ("description", "x" * 1001, "description: is longer than 1000 characters"),
        ("stages", {}, "stages: must be an array, not an object"),
        ("stages", [], "stages: has 0 stages; 1 to 50 are allowed"),
        ("stages", ["x"], "stages[0]: must be an object, not a string"),
        ("surprise", 1, "surprise: unknown key; known are applies_to, dead"),
        ("stages/0/surprise", 1, "stages[0].surprise: unknown key"),
        ("Type", "query", "Type: unknown key; did you mean type? known are applies_to"),
        ("timeout-ms", 5, "timeout-ms: unknown key; did you mean timeout_ms?"),
        ("stages/0/on_failur", "abort", "stages[0].on_failur: unknown key; did you mean on_fail"),
        ("stages/0/config/udf_nam", "x", "stages[0].config.udf_nam: unknown key; did you mean udf"),
        ("stages/0/name", ..., "stages[0].name: required"),
        ("stages/0/type", "painless", "stages[0].type: [painless] is not one of python"),
        ("stages/0/enabled", "yes", "stages[0].enabled: must be true or false, not a string"),
        ("stages/0/on_failure", "explode", "stages[0].on_failure: [explode] is not one of"),
        ("stages/0/retries", 1, "stages[0].retries: goes with on_failure [retry]"),
        ("stages/0/config", ..., "stages[0].config: required"),
        ("stages/0/config", [], "stages[0].config: must be an object, not an array"),
        ("stages/0/config/udf_name", ..., "stages[0].config.udf_name: required"),
        ("stages/0/config/udf_name", "a/b", "stages[0].config.udf_name: [a/b] must be"),
        ("stages/0/config/parameters", [], "stages[0].config.parameters: must be an object"),
        ("stages/0/config/isolation", "none", "stages[0].config.isolation: [none] is not"),
        ("stages/0/config/memory", 1, "stages[0].config.memory: unknown key; did you mean mem"),
    ],
)
def test_every_fault_is_named_by_its_path(path: str, value: Any, message: str) -> None:
    """The message begins with the place of the fault and says what is allowed."""
    assert fault(changed(path, value)).startswith(message)


@pytest.mark.parametrize(
    ("path", "low", "high"),
    [
        ("timeout_ms", 1, PIPELINE_TIMEOUT_MAX_MS),
        ("stages/0/timeout_ms", 1, STAGE_TIMEOUT_MAX_MS),
        ("stages/0/config/memory_mb", MEMORY_MIN_MB, MEMORY_MAX_MB),
        ("stages/0/config/input_bytes", SIZE_MIN, SIZE_MAX),
        ("stages/0/config/output_bytes", SIZE_MIN, SIZE_MAX),
        ("stages/0/config/log_bytes", 0, LOG_MAX_BYTES),
    ],
)
def test_numeric_limits_at_under_and_over(path: str, low: int, high: int) -> None:
    """Both ends of a range are allowed, one step outside is not."""
    for value in (low, high):
        read_pipeline(changed(path, value), KINDS)
    for value in (low - 1, high + 1):
        assert "out of range" in fault(changed(path, value))


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("stages/0/config", "udf_name", "udf_nam"),
        ("stages/0", "name", "nam"),
        ("stages/0", "config", "confg"),
        ("", "type", "typ"),
        ("", "stages", "stage"),
    ],
)
def test_a_misspelt_key_is_reported_before_the_missing_one(place: str, old: str, new: str) -> None:
    """Who wrote `udf_nam` hears of `udf_nam`, and not that `udf_name` is required."""
    definition = changed("description", "")
    holder: Any = definition
    for step in place.split("/") if place else ():
        holder = holder[int(step) if step.isdigit() else step]
    holder[new] = holder.pop(old)
    assert f"{new}: unknown key; did you mean {old}? known are " in fault(definition)


def test_retries_at_and_over_the_ceiling() -> None:
    """`retry` tries once more unless told otherwise, ten times at the most."""
    retry = changed("stages/0/on_failure", "retry")
    retry["stages"][0]["retries"] = RETRIES_MAX
    assert read_pipeline(retry, KINDS).stages[0].retries == RETRIES_MAX
    retry["stages"][0]["retries"] = RETRIES_MAX + 1
    assert "out of range" in fault(retry)
    retry["stages"][0]["retries"] = 0
    assert "needs at least 1" in fault(retry)
    del retry["stages"][0]["retries"]
    assert read_pipeline(retry, KINDS).stages[0].retries == 1


def test_the_number_of_stages_at_and_over_the_ceiling() -> None:
    """Fifty stages are allowed, one more is not."""
    stages = [{**FULL["stages"][0], "name": f"s{n}"} for n in range(STAGES_MAX)]
    assert len(read_pipeline(changed("stages", stages), KINDS).stages) == STAGES_MAX
    stages.append({**stages[0], "name": "last"})
    assert fault(changed("stages", stages)).startswith("stages: has 51 stages")


def test_two_stages_cannot_share_a_name() -> None:
    """The later of the two is named."""
    stage = FULL["stages"][0]
    message = fault(changed("stages", [stage, stage]))
    assert message == "stages[1].name: [expand] is the name of an earlier stage"


def test_a_document_pipeline_cannot_continue_on_an_error() -> None:
    """Storing what failed to be transformed has a name of its own, which nobody picks unawares."""
    message = "on_error: [continue] is not one of fail, skip, pass, dead_letter"
    assert fault(changed("type", "document")) == message


@pytest.mark.parametrize(
    ("phase", "members", "message"),
    [
        ("document", {"on_error": "dead_letter"}, "dead_letter_index: goes with on_error"),
        ("document", {"dead_letter_index": "x"}, "dead_letter_index: goes with on_error"),
        (
            "document",
            {"on_error": "dead_letter", "dead_letter_index": ".querymill"},
            "dead_letter_index: [.querymill] must be an index name",
        ),
        ("document", {"applies_to": ["get"]}, "applies_to: is for result pipelines"),
        ("result", {"applies_to": ["get", "put"]}, "applies_to[1]: [put] is not one of"),
        ("result", {"applies_to": []}, "applies_to: is empty"),
        ("result", {"on_update": "merge"}, "on_update: is for document pipelines"),
        ("document", {"on_update": "all"}, "on_update: [all] is not one of upsert, doc, merge"),
    ],
)
def test_members_of_one_type_are_refused_on_others(
    phase: str, members: dict[str, Any], message: str
) -> None:
    """What would have no effect is an error, not a surprise."""
    stage = {"name": "s", "type": "python", "config": {"udf_name": "u"}}
    value = {"type": phase, "stages": [stage], **members}
    assert fault(value, name="p").startswith(message)


def test_members_of_one_type_are_read() -> None:
    """Where a result pipeline applies, and what a document pipeline does with updates."""
    stage = {"name": "s", "type": "python", "config": {"udf_name": "u"}}
    result = {"type": "result", "stages": [stage], "applies_to": ["search", "get"]}
    assert read_pipeline(result, KINDS, name="p").applies_to == ("search", "get")
    letters = {"on_error": "dead_letter", "dead_letter_index": "failed", "on_update": "merge"}
    document = read_pipeline({"type": "document", "stages": [stage], **letters}, KINDS, name="p")
    assert (document.on_error, document.dead_letter_index, document.on_update) == (
        "dead_letter",
        "failed",
        "merge",
    )


def test_the_name_inside_must_be_the_one_it_is_stored_under() -> None:
    """A definition cannot be stored under another name by mistake."""
    assert fault(FULL, name="other").startswith("name: [synonym-expansion] differs")


def test_parameters_nested_too_deeply_are_refused() -> None:
    """What could not be written out again is refused at upload."""
    deep: Any = {}
    for _ in range(300):
        deep = {"x": deep}
    assert fault(changed("stages/0/config/parameters", deep)).startswith(
        "stages[0].config.parameters: "
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_or_refused(value: Any) -> None:
    """No upload leads to anything but a definition or a `DefinitionError`."""
    with contextlib.suppress(DefinitionError):
        assert read_pipeline(value, KINDS).stages


@given(st.sampled_from(sorted(FULL)), JSON)
def test_any_member_can_be_anything(key: str, value: Any) -> None:
    """The same for each member of an otherwise sound definition."""
    with contextlib.suppress(DefinitionError):
        assert read_pipeline({**FULL, key: value}, KINDS).stages


def test_the_source_can_be_written_out_again() -> None:
    """What is kept for GET is the JSON that came in."""
    assert orjson.loads(orjson.dumps(read_pipeline(FULL, KINDS).source)) == FULL
