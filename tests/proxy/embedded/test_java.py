"""The choice of a Java, by what each one says of itself when it is run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.embedded import EmbeddedError
from proxy.embedded.account import service_account
from proxy.embedded.errors import JavaUnfit
from proxy.embedded.java import JavaNeeds, candidates, chosen_home, find_java, probe

MODULES = ("java.base", "jdk.incubator.vector")
NEEDS = JavaNeeds(lowest=21, highest=None, modules={"jdk.incubator.vector"})
MakeJava = Callable[..., Path]


def test_a_fit_java_is_taken(fake_java: MakeJava) -> None:
    """Version and modules are read from its own output."""
    java = probe(fake_java("21.0.4", MODULES), NEEDS, service_account())
    assert (java.version, java.bundled) == (21, False)
    assert java.command == java.home / "bin" / "java"


def test_a_missing_module_is_named(fake_java: MakeJava) -> None:
    """A runtime without a needed module is refused with the module's name and the cure."""
    home = fake_java(modules=("java.base",))
    with pytest.raises(JavaUnfit, match=r"lacks the module jdk\.incubator\.vector: install a full"):
        probe(home, NEEDS, service_account())


@pytest.mark.parametrize(("version", "found"), [("17.0.9", 17), ("1.8.0_392", 8)])
def test_an_old_java_is_refused(fake_java: MakeJava, version: str, found: int) -> None:
    """Both ways of writing a version are understood."""
    with pytest.raises(JavaUnfit, match=f"is Java {found}, and Java 21 or newer is needed"):
        probe(fake_java(version, MODULES), NEEDS, service_account())


def test_a_too_new_java_is_refused(fake_java: MakeJava) -> None:
    """Old backends have a highest Java too."""
    needs = JavaNeeds(lowest=11, highest=23, modules=())
    with pytest.raises(JavaUnfit, match="is Java 25, and Java 11 to 23 is needed"):
        probe(fake_java("25.0.1", MODULES), needs, service_account())


def test_a_java_that_fails_is_refused(fake_java: MakeJava) -> None:
    """Its exit code is told, whatever it printed."""
    with pytest.raises(JavaUnfit, match="-version ended with 3"):
        probe(fake_java(exit_code=3), NEEDS, service_account())


def test_a_program_that_is_no_java_is_refused(open_folder: Path) -> None:
    """What prints no version is shown with what it printed."""
    command = open_folder / "bin" / "java"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\necho hello\n")
    command.chmod(0o755)
    with pytest.raises(JavaUnfit, match="does not tell its version: 'hello'"):
        probe(open_folder, NEEDS, service_account())


def test_a_java_that_cannot_be_executed_is_refused(fake_java: MakeJava) -> None:
    """A file without the execute bit is told with the user who tried."""
    home = fake_java(modules=MODULES)
    (home / "bin" / "java").chmod(0o644)
    with pytest.raises(JavaUnfit, match="cannot be run as user"):
        probe(home, NEEDS, service_account())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the backend as another user")
def test_a_java_only_root_can_read_is_refused(fake_java: MakeJava) -> None:
    """It is run as the user the backend will have, who cannot reach it."""
    home = fake_java(modules=MODULES)
    home.chmod(0o700)
    with pytest.raises(JavaUnfit, match="cannot be run as user"):
        probe(home, NEEDS, service_account())


def test_candidates_come_in_order_and_once(fake_java: MakeJava, open_folder: Path) -> None:
    """The backend's own variable, JAVA_HOME, PATH, then what is installed; links are followed."""
    own, general, path = (fake_java(name=name) for name in ("own", "general", "path"))
    installed = fake_java(name="system/jdk-a")
    (open_folder / "system" / "jdk-b").symlink_to(own)
    (open_folder / "system" / "empty").mkdir()
    environ = {
        "OWN_JAVA_HOME": str(own),
        "JAVA_HOME": str(general),
        "PATH": str(path / "bin"),
    }
    found = list(candidates(environ, "OWN_JAVA_HOME", open_folder / "system"))
    assert found == [own, general, path, installed]


def test_no_candidate_at_all(tmp_path: Path) -> None:
    """An empty machine has none."""
    assert list(candidates({}, "OWN_JAVA_HOME", tmp_path / "none")) == []


def test_the_first_fit_one_wins(fake_java: MakeJava) -> None:
    """Unfit ones before it do not matter."""
    homes = [fake_java("17.0.1", MODULES, name="a"), fake_java("25.0.1", MODULES, name="b")]
    assert find_java(iter(homes), NEEDS, service_account()).home == homes[1]


def test_when_none_fits_each_reason_is_reported(fake_java: MakeJava) -> None:
    """The message lists every runtime that was tried."""
    homes = [fake_java("17.0.1", MODULES, name="a"), fake_java("25.0.1", name="b")]
    with pytest.raises(JavaUnfit) as caught:
        find_java(iter(homes), NEEDS, service_account())
    message = str(caught.value)
    assert "is Java 17" in message
    assert "lacks the module" in message
    assert "JAVA_HOME" in message


def test_when_there_is_none_it_is_reported() -> None:
    """No Java at all is a reason of its own."""
    with pytest.raises(JavaUnfit, match="no Java was found at all"):
        find_java(iter([]), NEEDS, service_account())


def test_a_named_home_must_hold_a_java(fake_java: MakeJava, tmp_path: Path) -> None:
    """The three words name no home; anything else has to be one."""
    home = fake_java()
    assert chosen_home("auto") is chosen_home("bundled") is chosen_home("machine") is None
    assert chosen_home(str(home)) == home
    with pytest.raises(EmbeddedError, match=r"bin/java does not exist: set it to auto, machine"):
        chosen_home(str(tmp_path))
