"""What can go wrong with the embedded backend, in words a person can act on."""


class EmbeddedError(Exception):
    """The embedded backend cannot be prepared, started or kept running.

    The message says what failed, where, and what to do about it; it may span several lines.
    """


class JavaUnfit(EmbeddedError):
    """One Java runtime cannot run the backend; the chooser goes on to the next one."""
