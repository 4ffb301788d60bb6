"""The log of one document of a batch, held in the sandbox until the host can tell whose it is."""


class HeldLog:
    """Keeps lines up to the first one beyond the limit; the host counts again, and says so."""

    __slots__ = ("limit", "lines", "size")

    def __init__(self, limit: int) -> None:
        self.lines: list[str] = []
        self.size = 0
        self.limit = limit

    def __call__(self, line: str) -> None:
        if self.size > self.limit:
            return
        self.size += len(line.encode("utf-8", "replace")) + 1
        self.lines.append(line)
