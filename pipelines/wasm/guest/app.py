"""The component's entry: what the host calls. Imported once, at build time, then snapshotted."""

from runtime import modules, surroundings

surroundings.prepare(modules.ALLOWED)

import wit_world  # noqa: E402  (the surroundings must be in place before anything else is loaded)
from runtime import snapshot, warm  # noqa: E402
from runtime.udf import Udf  # noqa: E402
from wit_world.imports import host  # noqa: E402

warm.up()
_udf = Udf(log=host.log)


class WitWorld(wit_world.WitWorld):
    """Implements the exports of `world.wit`; none raises, an escaping exception would trap."""

    def compile(self, source: str, name: str) -> str:
        return _udf.compile(source, name)

    def load(self, source: str, setup: str) -> str:
        surroundings.start(host.seed())
        return _udf.load(source, setup)

    def run(self, call: str) -> str:
        return _udf.run(call)


surroundings.before_snapshot(snapshot.settle)
