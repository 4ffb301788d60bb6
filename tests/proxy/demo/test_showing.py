"""What the demo says of its responses: judged, laid side by side, printed, and kept in a README."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from rich.console import Console

from proxy.demo.change import change_of
from proxy.demo.errors import DemoError
from proxy.demo.hint import HINTS, Hint
from proxy.demo.material import Showcase
from proxy.demo.measured import BEGIN, END, filled, write_measured
from proxy.demo.response import Hit, Response, Shown, judge
from proxy.demo.screen import Screen


def showcase(kind: Literal["search", "index"] = "search", **expect: Any) -> Showcase:
    body = {"query": {"match": {"title": "a|b"}}} if kind == "search" else {"sku": "1"}
    return Showcase(
        id="case",
        example="folder",
        kind=kind,
        pipelines=("one", "two"),
        body=body,
        better="More is found.",
        expect=expect,
    )


def found(
    *ids: str, total: int | None = None, metadata: Mapping[str, Any] | None = None
) -> Response:
    hits = tuple(Hit(id, f"Title {id}") for id in ids)
    return Response(
        status=200, total=len(ids) if total is None else total, hits=hits, metadata=metadata or {}
    )


NOTHING = found()


@pytest.mark.parametrize(
    ("expect", "before", "after", "fault"),
    [
        ({"total_before": 1}, NOTHING, NOTHING, "total_before: is 0, not 1"),
        ({"total_after": 1}, NOTHING, NOTHING, "total_after: is 0, not 1"),
        ({"title_gained": "Title a"}, found("a"), found("a"), "'Title a' was found before"),
        ({"title_gained": "Title a"}, NOTHING, NOTHING, "'Title a' is not found after"),
        ({"first_title_before": "Title a"}, found("b"), found("b"), "does not lead before"),
        ({"first_title_before": "Title a"}, found("a"), found("a"), "still leads after"),
        ({"surprise": 1}, NOTHING, NOTHING, "surprise: unknown"),
    ],
)
def test_a_search_that_is_not_as_expected_is_reported(
    expect: dict[str, Any], before: Response, after: Response, fault: str
) -> None:
    """Each member of `expect` has its own words."""
    faults = judge(showcase(**expect), before, after).faults
    assert any(fault in each for each in faults)


def test_a_search_that_is_as_expected_has_no_faults() -> None:
    """All members together."""
    case = showcase(
        total_before=1, total_after=2, title_gained="Title b", first_title_before="Title a"
    )
    assert judge(case, found("a"), found("b", "a")).faults == ()


REFUSED = Response(status=400, error="no title; no price")
STORED = Response(status=201, document={"sku": "1", "slug": "x"})


@pytest.mark.parametrize(
    ("expect", "after", "fault"),
    [
        ({"status": 201}, REFUSED, "status: is 400, not 201"),
        ({"status": 400}, STORED, "status: it was stored all the same"),
        ({"status": 201}, Response(status=201), "status: nothing was stored"),
        ({"fields_gained": {"slug": "y"}}, STORED, "slug is 'x', not 'y'"),
        ({"fields_gained": {"slug": "y"}}, REFUSED, "slug is None, not 'y'"),
        ({"reasons": ["no name"]}, REFUSED, "'no name' is not named"),
    ],
)
def test_a_document_that_is_not_as_expected_is_reported(
    expect: dict[str, Any], after: Response, fault: str
) -> None:
    """Status, fields and reasons are held against what was stored or refused."""
    faults = judge(showcase("index", **expect), STORED, after).faults
    assert any(fault in each for each in faults)


def texts(shown: Shown) -> tuple[list[str], list[str]]:
    change = change_of(shown)
    return [line.text for line in change.before], [line.text for line in change.after]


def test_new_and_moved_hits_are_marked() -> None:
    """A hit says where it was before; the first new one is shown wherever it stands."""
    before = found("a", "b", "c", "d")
    shown = judge(showcase(), before, found("d", "b", "a", "c", "e", total=5))
    assert texts(shown) == (
        ["4 hits", "1. a Title a", "2. b Title b", "3. c Title c"],
        [
            "5 hits (+1)",
            "1. d Title d (was 4)",
            "2. b Title b",
            "3. a Title a (was 1)",
            "5. e Title e (new)",
        ],
    )


def test_a_hit_is_not_called_new_where_hits_before_are_not_all_known() -> None:
    """A page of two of many says nothing about the third."""
    shown = judge(showcase(), found("a", "b", total=9), found("c", total=9))
    assert texts(shown)[1] == ["9 hits", "1. c Title c"]


def test_what_pipelines_tell_and_refuse_is_shown() -> None:
    """Metadata without its nested members; a refusal's reasons one a line."""
    reported = {"spelling": {"original": "a", "words": ["a"]}, "note": "seen"}
    shown = judge(showcase(), REFUSED, found("a", metadata=reported))
    before, after = texts(shown)
    assert before == ["400 refused", "no title", "no price"]
    assert after[2:] == ['told: spelling: {"original": "a"}', 'told: note: "seen"']


def test_a_document_shows_what_it_gained() -> None:
    """Only fields that are new or other than sent."""
    before = Response(status=201, document={"sku": "1"})
    shown = judge(showcase("index"), before, STORED)
    assert texts(shown) == (
        ["201 stored", "1 fields, as sent"],
        ["201 stored", 'slug: "x" (new)'],
    )
    shown = judge(showcase("index"), REFUSED, REFUSED)
    assert texts(shown)[0] == ["400 refused, nothing stored", "no title", "no price"]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_screen_shows_every_showcase(terminal: bool) -> None:
    """With or without a terminal: its name, pipelines, both responses, and what went wrong."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, color_system=None, width=120)
    screen = Screen(console)
    good = judge(showcase(), found("a"), found("b"))
    bad = judge(showcase(total_after=7), found("a"), found("b"))
    with screen.step("working"):
        pass
    screen.showcases([good, bad])
    screen.hints("http://127.0.0.1:1", "http://127.0.0.1:2")
    text = out.getvalue()
    for part in ("done: working (", "one, two", "1. a Title a", "1. b Title b (new)"):
        assert part in text
    assert "case: ok" in text or "case  (one, two)  ok" in text
    assert "NOT AS EXPECTED: case: total_after: is 1, not 7" in text
    assert "1 of 2 showcases did what they should" in text
    assert ("│" in text) == terminal
    assert text.count("curl -s") == len(HINTS)


def test_a_curl_line_is_safe_for_the_shell() -> None:
    """Quotes in a body survive; the method is named where it is not curl's own."""
    hint = Hint("why", "PUT", "/i/_doc/1?a=b&c", {"t": "it's"})
    words = shlex.split(hint.curl("http://h:1"))
    assert words[:4] == ["curl", "-s", "-X", "PUT"]
    assert words[4] == "http://h:1/i/_doc/1?a=b&c"
    assert json.loads(words[words.index("-d") + 1]) == {"t": "it's"}
    assert shlex.split(Hint("why", "GET", "/").curl("http://h:1")) == ["curl", "-s", "http://h:1/"]
    assert "-X" not in Hint("why", "POST", "/", {}).curl("http://h:1")


def test_a_readme_block_is_filled_and_filled_again() -> None:
    """The block holds a table of both responses; what stands around it stays."""
    shown = judge(showcase(), found("a"), found("b", "a"))
    readme = f"# Title\n\n{BEGIN}{END}\n\nend\n"
    once = filled(readme, [shown])
    assert once == filled(once, [shown])
    assert once.startswith("# Title\n\n" + BEGIN)
    assert once.endswith(f"{END}\n\nend\n")
    assert "| **1 hits** | **2 hits (+1)** |" in once
    assert "| 1. a Title a | 1. b Title b (new) |" in once
    assert "|  | 2. a Title a (was 1) |" in once
    assert '    {"match": {"title": "a|b"}}' in once


def test_a_readme_without_a_block_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "README.md"
    path.write_text("# no block\n")
    shown = judge(showcase(), NOTHING, NOTHING)
    with pytest.raises(DemoError, match=r"folder/README\.md cannot be filled: .* exactly one"):
        write_measured(tmp_path, [shown])
    path.write_text(f"{BEGIN}{END}")
    write_measured(tmp_path, [shown])
    assert "**0 hits**" in path.read_text()
