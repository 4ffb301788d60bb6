"""Figures of several workers are one sum, whoever of them still lives."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.execution.breaker import BreakerFigure
from proxy.telemetry.aggregate import Peers, fold, salvage
from proxy.telemetry.snapshot import Figures


def counted(number: int) -> Figures:
    figures = Figures()
    figures.requests["search", "2xx"] = number
    figures.conflicts = number
    figures.sandboxes["live"] = number
    figures.in_flight = figures.waiting = number
    figures.refused["index"] = number
    figures.breakers["p"] = [BreakerFigure("open", number)]
    pipeline = figures.pipelines.pipeline("p")
    pipeline.outcomes["done"] = number
    pipeline.stage("s").latency.add(1.0)
    return figures


def worker(folder: Path, name: str, number: int) -> Peers:
    """Another worker, as far as its name goes."""
    return Peers(folder, lambda: counted(number), name)


async def test_living_and_ended_workers_add_up(tmp_path: Path) -> None:
    """Counts of ended ones stay, before they are folded and after; gauges are of the living."""
    async with Peers(tmp_path, lambda: counted(1)) as own:
        other, last = worker(tmp_path, "2", 20), worker(tmp_path, "3", 300)
        await other.open()
        await last.open()
        for _ in range(2):
            total = await own.gather()
            assert total.requests["search", "2xx"] == total.conflicts == 321
            assert total.sandboxes["live"] == total.in_flight == total.waiting == 321
            assert total.refused["index"] == 321
            assert sum(each.retry_seconds for each in total.breakers["p"]) == 321
            assert total.pipelines.pipeline("p").as_dict()["count"] == 321
            assert total.pipelines.pipeline("p").stages["s"].latency.count == 3
        await other.close()
        for _ in range(2):
            total = await own.gather()
            assert (total.conflicts, total.sandboxes["live"]) == (321, 301)
            assert (total.refused["index"], total.in_flight, total.waiting) == (321, 301, 301)
            assert len(total.breakers["p"]) == 2
            fold(tmp_path)
        await last.close()
        fold(tmp_path)
        assert (await own.gather()).conflicts == 321
    assert sorted(os.listdir(tmp_path)) == [f"{os.getpid()}.figures", "past"]


async def test_a_killed_worker_is_left_out(tmp_path: Path) -> None:
    """Its socket may still be there; nobody answers on it."""
    async with Peers(tmp_path, lambda: counted(1)) as own:
        dead = worker(tmp_path, "2", 20)
        await dead.open()
        assert dead._server is not None
        dead._server.close()
        (tmp_path / "4.sock").touch()
        assert (await own.gather()).conflicts == 1


async def test_closing_twice_or_unopened(tmp_path: Path) -> None:
    """Leaves nothing behind that was not there."""
    await Peers(tmp_path, Figures).close()
    assert not os.listdir(tmp_path)


async def test_a_killed_worker_leaves_its_last_note(tmp_path: Path) -> None:
    """Its note does not count while it lives; once it is dead it does, as its figures would."""
    async with Peers(tmp_path, lambda: counted(1)) as own:
        killed = worker(tmp_path, "2", 20)
        await killed.note()
        assert (await own.gather()).conflicts == 1
        salvage(tmp_path, "2")
        for _ in range(2):
            total = await own.gather()
            assert (total.requests["search", "2xx"], total.sandboxes["live"]) == (21, 1)
            assert total.pipelines.pipeline("p").as_dict()["count"] == 21
            assert total.pipelines.pipeline("p").stages["s"].latency.count == 2
            fold(tmp_path)
    assert "2.note" not in os.listdir(tmp_path)


async def test_figures_left_behind_go_before_a_note(tmp_path: Path) -> None:
    """A worker that ends by itself takes its note away, and one that is left is not added."""
    ended = worker(tmp_path, "2", 20)
    await ended.open()
    await ended.note()
    await ended.close()
    assert os.listdir(tmp_path) == ["2.figures"]
    await ended.note()
    salvage(tmp_path, "2")
    async with Peers(tmp_path, lambda: counted(1)) as own:
        assert (await own.gather()).conflicts == 21
