"""``python -m component FOLDER``, in `pipelines/wasm`: makes the component that a wheel ships."""

from __future__ import annotations

import sys
from pathlib import Path

from .componentize import why_not
from .shipped import make_shipped
from .step import StepError


def main(folder: str) -> str | None:
    """Nothing, or what went wrong, in a line."""
    missing = why_not()
    if missing:
        return f"the wheel has to have a built sandbox, and {missing}; `pip wheel .` brings it"
    try:
        path = make_shipped(Path(folder), lambda phase, fraction: None)
    except (StepError, OSError) as error:
        return str(error)
    sys.stdout.write(f"{path}\n")
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
