"""Compiles the interpreter to this machine's code.

In a process of its own, since the compiler takes hundreds of megabytes and a serving process would
keep them, and since an engine must not exist in a process that is still going to fork.
"""

from __future__ import annotations

from pathlib import Path

from wasmtime import Config, Engine
from wasmtime.component import Component

# enters the name of what is cached: change it with the configuration below
ENGINE_CONFIG = "epoch=1;stack=1MiB"


def engine_config() -> Config:
    """The configuration that code is compiled for and run with; both have to agree."""
    config = Config()
    config.epoch_interruption = True
    config.max_wasm_stack = 1024 * 1024
    return config


def main(source: str, target: str) -> None:
    """Compiles the component in file `source` and writes its machine code to file `target`."""
    engine = Engine(engine_config())
    component = Component(engine, Path(source).read_bytes())
    Path(target).write_bytes(component.serialize())
