"""Commands that need more than serving does: what is missing is named, with what installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from proxy.cli.failure import Failure

_OURS = ("proxy", "pipelines")


class MissingExtra(Failure):
    """The installation has not what the command needs: exit code 2, one line."""

    exit_code = 2


@contextmanager
def importing(extra: str) -> Iterator[None]:
    """Around the imports of what `extra` installs. Raises `MissingExtra` where one is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", *_OURS):
            raise
        raise MissingExtra(
            f"{missing} is not installed, which this command needs; "
            f"run: pip install 'querymill[{extra}]'"
        ) from error
