"""Puts back after each run what the UDF's top level left of the interpreter's own switches.

A helper that wants fifty decimal digits or a deeper stack should not change what the next run of a
warm sandbox gives. Only what costs next to nothing is put back, and only for a UDF whose source
names the modules that have the switches: this is a service, not what keeps UDFs apart. What a run
does to modules, globals and built-ins stays, as docs/SANDBOX.md says.
"""

import contextvars
import decimal
import gc
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

_NAMES = ("sys", "gc", "contextlib")
# Of `sys`: hooks, which are replaced, and lists, which are changed in place.
_HOOKS = ("excepthook", "unraisablehook", "displayhook", "breakpointhook", "stdout", "stderr")
_LISTS = ("path", "meta_path", "path_hooks", "argv", "warnoptions")


class Switches:
    """The switches as they were when the UDF had been loaded; none before."""

    def __init__(self) -> None:
        self._decimal: decimal.Context | None = None
        self._default: decimal.Context | None = None
        self._variables = False
        self._filters: list[Any] | None = None
        self._environment: dict[str, str] | None = None
        self._others = False

    def remember(self, source: str) -> None:
        """What is put back from now on, for a UDF of this source."""
        if "decimal" in source:
            self._decimal = decimal.getcontext().copy()
            self._decimal.clear_flags()
            if "DefaultContext" in source:
                self._default = decimal.DefaultContext.copy()
        self._variables = "contextvars" in source
        if "warnings" in source:
            self._filters = warnings.filters[:]
        if "environ" in source or "putenv" in source:
            self._environment = dict(os.environ)
        self._others = any(name in source for name in _NAMES)
        self._recursion = sys.getrecursionlimit()
        self._digits = sys.get_int_max_str_digits()
        self._interval = sys.getswitchinterval()
        self._trace, self._profile = sys.gettrace(), sys.getprofile()
        self._collects, self._threshold = gc.isenabled(), gc.get_threshold()
        self._hooks = {name: getattr(sys, name, None) for name in _HOOKS}
        self._lists = {name: list(getattr(sys, name, ())) for name in _LISTS}

    def call(self, function: Callable[..., Any], *given: Any) -> Any:
        """What `function` gives; the context variables that it sets end with it."""
        if self._variables:
            return contextvars.copy_context().run(function, *given)
        return function(*given)

    def put_back(self) -> None:
        """As it was remembered."""
        if self._decimal is not None:
            if self._default is not None:
                _copy(self._default, decimal.DefaultContext)
            decimal.setcontext(self._decimal.copy())
        if self._filters is not None and warnings.filters != self._filters:
            warnings.filters[:] = self._filters
            warnings._filters_mutated()
        if self._environment is not None and os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
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
        if gc.get_threshold() != self._threshold:
            gc.set_threshold(*self._threshold)
        if sys.getswitchinterval() != self._interval:
            sys.setswitchinterval(self._interval)
        for name, hook in self._hooks.items():
            if getattr(sys, name, None) is not hook:
                setattr(sys, name, hook)
        for name, items in self._lists.items():
            if list(getattr(sys, name, ())) != items:
                setattr(sys, name, list(items))


def _copy(source: decimal.Context, target: decimal.Context) -> None:
    target.prec, target.rounding = source.prec, source.rounding
    target.Emin, target.Emax = source.Emin, source.Emax
    target.capitals, target.clamp = source.capitals, source.clamp
    target.traps.update(source.traps)
