"""A node and its guardian: whoever dies, nothing is left. The nodes here are shells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from proxy.embedded import EmbeddedError, guardian
from proxy.embedded.account import service_account
from proxy.embedded.launch import Command
from proxy.embedded.layout import Layout
from proxy.embedded.node import Node, end_abandoned
from tests.proxy.embedded.processes import group_members, unmeasured, until

ROOT = Path(__file__).parents[3]
FAMILY = "sleep 1000 & echo up; wait"

# A caller of its own: starts a node from the pieces named on its command line, tells of it, and
# waits for a line that never comes.
CALLER = """
import json, os, sys
from pathlib import Path
import psutil
from proxy.embedded.account import service_account
from proxy.embedded.launch import Command
from proxy.embedded.layout import Layout
from proxy.embedded.node import Node
folder, script, forked = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "forked"
names = ("config", "temp", "data", "logs", "console")
layout = Layout(scratch=folder, **{name: folder / name for name in names})
argv = ["/bin/sh", "-c", script]
node = Node(Command(argv=argv, env={}, cwd=Path("/")), layout, service_account(), 5)
child = os.fork() if forked else 0
if not forked or child:
    guardian = psutil.Process(node.pid).ppid()
    print(json.dumps({"node": node.pid, "guardian": guardian, "child": child}), flush=True)
sys.stdin.read()
"""

MakeNode = Callable[..., Node]


@pytest.fixture
def layout(open_folder: Path) -> Layout:
    """A scratch folder with something in it."""
    scratch = open_folder / "scratch"
    scratch.mkdir()
    (scratch / "file").write_text("x")
    names = ("config", "temp", "data", "logs", "console")
    return Layout(scratch=scratch, **{name: scratch / name for name in names})


@pytest.fixture
def make_node(layout: Layout) -> Iterator[MakeNode]:
    """Starts shells as nodes, and stops them at the end whatever happened."""
    made: list[Node] = []

    def make(script: str, grace: float = 5) -> Node:
        command = Command(argv=["/bin/sh", "-c", script], env={}, cwd=Path("/"))
        made.append(Node(command, layout, service_account(), grace))
        return made[-1]

    yield make
    for node in made:
        node.stop()


def said(node: Node, line: str) -> None:
    """Wait until the node has written a line."""
    until(lambda: line in node.tail(), f"the node never said {line!r}")


def guardian_of(node: Node) -> int:
    """The process that started the node."""
    return int(psutil.Process(node.pid).ppid())


def test_stop_ends_the_node_with_its_children(make_node: MakeNode, layout: Layout) -> None:
    """All of the group goes, and the scratch folder; a second stop does nothing."""
    node = make_node(FAMILY)
    said(node, "up")
    assert len(group_members(node.pid)) == 2
    node.stop()
    assert group_members(node.pid) == []
    assert not layout.scratch.exists()
    assert node.ended.is_set()
    node.stop()
    assert node.tail() == ""


def test_a_node_deaf_to_sigterm_is_killed(make_node: MakeNode) -> None:
    """After the grace the group is killed, children that ignore the signal too."""
    node = make_node("trap '' TERM; echo up; while :; do sleep 1000; done", grace=0.2)
    said(node, "up")
    node.stop()
    assert group_members(node.pid) == []


def test_a_node_leads_a_session_of_its_own(make_node: MakeNode) -> None:
    """Ctrl-C on the caller's terminal does not reach it."""
    node = make_node(FAMILY)
    assert os.getsid(node.pid) == os.getpgid(node.pid) == node.pid
    assert os.getsid(guardian_of(node)) != os.getsid(0)


def test_a_node_of_roots_is_not_root(make_node: MakeNode) -> None:
    """It has neither root's user and groups nor a way back to them."""
    node = make_node(FAMILY)
    process = psutil.Process(node.pid)
    account = service_account()
    if account.uid is None:
        assert process.uids().real == os.geteuid()
        return
    assert set(process.uids()) == {account.uid} != {0}
    assert set(process.gids()) == {account.gid}
    status = Path(f"/proc/{node.pid}/status").read_text()
    assert (
        next(line for line in status.splitlines() if line.startswith("Groups:")).split()[1:] == []
    )


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", -9)])
def test_the_end_of_a_node_is_reported(make_node: MakeNode, script: str, code: int) -> None:
    """Exit codes are told as they are, signals as negative numbers, with its last words."""
    node = make_node(f"echo one; echo two; {script}")
    assert node.ended.wait(40)
    assert node.exit_code == code
    assert node.tail(1) == "two"


def test_children_that_outlive_the_node_go_at_the_stop(make_node: MakeNode) -> None:
    """A launcher that dies leaves its group to the guardian."""
    node = make_node("sleep 1000 & echo up; exit 1")
    assert node.ended.wait(40)
    assert len(group_members(node.pid)) == 1
    node.stop()
    assert group_members(node.pid) == []


def test_stack_frames_are_left_out_of_the_last_words(make_node: MakeNode) -> None:
    """What a Java trace says is in its first lines."""
    node = make_node("echo Boom; printf '\\tat a.b(C.java)\\n\\t... 12 more\\n'; exit 1")
    assert node.ended.wait(40)
    assert node.tail() == "Boom"


def test_what_cannot_be_executed_is_reported(layout: Layout) -> None:
    """The system's reason is in the error, and nothing is left."""
    command = Command(argv=["/no/such/java"], env={}, cwd=Path("/"))
    with pytest.raises(EmbeddedError, match=r"cannot be executed: .*No such file"):
        Node(command, layout, service_account(), 5)
    assert not layout.scratch.exists()


def test_a_killed_guardian_takes_the_node_along(make_node: MakeNode, layout: Layout) -> None:
    """The caller notices the death of the guardian, and ends the node in its place."""
    node = make_node(FAMILY)
    said(node, "up")
    os.kill(guardian_of(node), signal.SIGKILL)
    assert node.ended.wait(40)
    assert group_members(node.pid) == []
    assert node.exit_code is None
    node.stop()
    assert not layout.scratch.exists()


def test_sigterm_to_the_guardian_ends_all(make_node: MakeNode, layout: Layout) -> None:
    """As a service manager does that ends every process of a unit."""
    node = make_node(FAMILY)
    said(node, "up")
    guardian = guardian_of(node)
    os.kill(guardian, signal.SIGINT)
    os.kill(guardian, signal.SIGTERM)
    assert node.ended.wait(40)
    assert group_members(node.pid) == []
    assert not layout.scratch.exists()


@pytest.mark.parametrize("forked", ["alone", "forked"])
def test_a_killed_caller_leaves_nothing(layout: Layout, forked: str) -> None:
    """SIGKILL of the caller ends node and guardian, though its forked child holds the pipe."""
    with subprocess.Popen(
        [sys.executable, "-c", CALLER, str(layout.scratch), FAMILY, forked],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=unmeasured(),
    ) as caller:
        assert caller.stdout is not None
        reported = json.loads(caller.stdout.readline())
        assert group_members(reported["node"])
        caller.kill()
        caller.wait()
        until(lambda: not group_members(reported["node"]), "the node lives on")
        until(lambda: not group_members(reported["guardian"]), "the guardian lives on")
        assert not layout.scratch.exists()
        if reported["child"]:
            os.kill(reported["child"], signal.SIGKILL)


def test_a_guardian_without_an_order_ends() -> None:
    """A caller that died before its order leaves a guardian that ends at once."""
    guardian = ROOT / "proxy" / "embedded" / "guardian.py"
    done = subprocess.run(
        [sys.executable, "-I", guardian], stdin=subprocess.DEVNULL, capture_output=True, timeout=40
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_a_guardian_without_a_handle_looks_for_its_caller() -> None:
    """Some builds of Python cannot have the kernel tell of another process's death."""
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    (silent, writing), (wake, waker), stdin = os.pipe(), os.pipe(), os.dup(0)
    os.dup2(silent, 0)
    try:
        # This process has another parent than that; its input does not end.
        guardian._watch(ended, ended.pid, wake, [], lambda pid: None)
    finally:
        os.dup2(stdin, 0)
        for handle in (silent, writing, wake, waker, stdin):
            os.close(handle)


def test_ending_a_group_that_is_gone_is_harmless() -> None:
    """Nothing to kill is no error."""
    process = subprocess.Popen(["/bin/true"], start_new_session=True)
    process.wait()
    end_abandoned(process.pid)
