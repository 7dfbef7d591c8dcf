"""How often a message has failed, so that one that never succeeds does not hold up the others."""

ATTEMPTS = 3
"""A message that could not be read or applied so many times in a row is refused for good."""


class Failures:
    """Counts the failures of the message whose turn it is.

    What cannot be read has no sequence. It is taken for the message that is expected, unless that one is
    known to be readable: it came, and was not applied.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.unreadable = 0
        """Messages that could not be read since the last one that came in its turn."""
        self._readable = 0
        self._sequence = 0
        self._failures = 0

    def note_readable(self, sequence: int) -> None:
        """Note a message that could be read and was not applied."""
        self._readable = sequence

    def is_exhausted(self, sequence: int) -> bool:
        """Count one more failure of a message; return whether that was its last attempt."""
        self._failures = self._failures + 1 if sequence == self._sequence else 1
        self._sequence = sequence
        return self._failures >= ATTEMPTS

    def is_unreadable(self, expected: int) -> bool:
        """Count what could not be read as a failure of the message expected; return whether it was its last attempt."""
        unreadable, self.unreadable = self.unreadable, 0
        return bool(unreadable) and expected != self._readable and self.is_exhausted(expected)
