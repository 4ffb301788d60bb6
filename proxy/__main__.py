"""``python -m proxy`` is the command ``querymill``; it can be stopped while it is still loading."""

import os
import signal
import sys
from types import FrameType

_SERVES = sys.argv[1:2] == ["serve"]
_BEFORE = {
    number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
}


def _leave(number: int, frame: FrameType | None) -> None:
    # Nothing is there to clean up yet. An exception could be lost in a callback of the importer.
    os._exit(0 if _SERVES else 128 + number)


def _fill() -> None:
    """Have all standard streams; a file that is opened later would take the place of one."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115


def _go_on(number: int, frame: FrameType | None) -> None:
    # A reload, of settings that have not been read yet.
    pass


def main() -> None:
    """Load the command and run it."""
    _fill()
    if _SERVES:
        signal.signal(signal.SIGHUP, _go_on)
    for number in _BEFORE:
        signal.signal(number, _leave)
    # What takes the time.
    from proxy.cli.commands import main as command

    if not _SERVES:
        for number, handler in _BEFORE.items():
            signal.signal(number, handler)
    command(prog_name="querymill")


if __name__ == "__main__":
    main()
