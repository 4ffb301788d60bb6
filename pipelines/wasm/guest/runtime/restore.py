"""Puts back after each run what the UDF's top level left of the interpreter's own switches.

A helper that wants fifty decimal digits or a deeper stack should not change what the next run of a
warm sandbox gives. Only what costs next to nothing is put back, and only for a UDF whose source
names the modules that have the switches: this is a service, not what keeps UDFs apart. What a run
does to modules, globals and built-ins stays, as docs/SANDBOX.md says.
"""

import decimal
import gc
import sys
from typing import Any


class Switches:
    """The switches as they were when the UDF had been loaded; none before."""

    def __init__(self) -> None:
        self._decimal: decimal.Context | None = None
        self._others = False

    def remember(self, source: str) -> None:
        """What is put back from now on, for a UDF of this source."""
        if "decimal" in source:
            self._decimal = decimal.getcontext().copy()
            self._decimal.clear_flags()
        self._others = any(name in source for name in ("sys", "gc", "contextlib"))
        self._recursion = sys.getrecursionlimit()
        self._digits = sys.get_int_max_str_digits()
        self._trace, self._profile = sys.gettrace(), sys.getprofile()
        self._collects = gc.isenabled()
        self._out: Any = (sys.stdout, sys.stderr)

    def put_back(self) -> None:
        """As it was remembered."""
        if self._decimal is not None:
            decimal.setcontext(self._decimal.copy())
        if not self._others:
            return
        if sys.gettrace() is not self._trace:
            sys.settrace(self._trace)
        if sys.getprofile() is not self._profile:
            sys.setprofile(self._profile)
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)
        if sys.get_int_max_str_digits() != self._digits:
            sys.set_int_max_str_digits(self._digits)
        if gc.isenabled() is not self._collects:
            (gc.enable if self._collects else gc.disable)()
        if sys.stdout is not self._out[0] or sys.stderr is not self._out[1]:
            sys.stdout, sys.stderr = self._out
