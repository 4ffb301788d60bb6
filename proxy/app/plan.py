"""What the supervisor hands to every worker it forks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from proxy.config.settings import Settings
from proxy.server.server import ProxyServer
from proxy.workers.board import Board
from proxy.workers.context import new_name
from proxy.workers.lifeline import Lifeline


@dataclass(slots=True, kw_only=True)
class Plan:
    """The settings in force and the number of workers, their board, and their private folder.

    `say_ready` is called once, in the worker that finds all of the first ones ready.
    """

    settings: Settings
    count: int
    folder: Path
    say_ready: Callable[[ProxyServer], None]
    board: Board = field(default_factory=Board)
    name: str = field(default_factory=new_name)
    lifeline: Lifeline = field(default_factory=Lifeline)
