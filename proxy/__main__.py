"""``python -m proxy`` is the command ``querymill``."""

from proxy.cli import main

main(prog_name="querymill")
