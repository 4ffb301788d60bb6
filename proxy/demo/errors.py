"""What can go wrong in the demo, in words a person can act on."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot start or go on; the message says what failed, where, and what to do."""
