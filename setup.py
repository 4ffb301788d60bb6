"""The one step of a build that pyproject.toml cannot say: a wheel has the built sandbox in it.

With it, serving needs no componentize-py. An editable installation builds its own, at first use.
"""

import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WASM = Path("pipelines", "wasm")


class BuildWithSandbox(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib).absolute() / WASM / "component"
        # By itself: the packages above it need what only a proxy has.
        command = [sys.executable, "-m", "component", str(target)]
        done = subprocess.run(command, cwd=Path(__file__).parent / WASM, check=False)
        if done.returncode:
            raise SystemExit("querymill: the sandbox could not be built; see above")


setup(cmdclass={"build_py": BuildWithSandbox})
