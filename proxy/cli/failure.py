"""How a command ends that failed."""

from __future__ import annotations

from typing import Any

import click


class Failure(click.ClickException):
    """Something outside the command line went wrong: exit code 1, one line."""

    def show(self, file: Any = None) -> None:
        click.echo(f"querymill: {self.format_message()}", err=True)
