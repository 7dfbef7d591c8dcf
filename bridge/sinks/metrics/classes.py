"""Writes pairs of true and predicted class as labels, for a bounded number of series."""

from collections.abc import Iterator

from bridge.sinks.metrics.labels import label_suffix

OTHER = "other"


class Classes:
    """Turns class numbers into labels: the number as text below the cap, "other" for all others."""

    __slots__ = ("_rows", "_wrong_other", "cap", "pairs")

    def __init__(self, cap: int = 32) -> None:
        """Prepare the labels of all pairs of `cap` classes and "other", which all sessions share."""
        self.cap = cap
        names = [*map(str, range(cap)), OTHER]
        self._rows = [[_text(a, b, is_correct=a == b) for b in names] for a in names]
        self._wrong_other = _text(OTHER, OTHER, is_correct=False)
        self.pairs = {
            **{
                self._rows[a][b]: (names[a], names[b])
                for a in range(cap + 1)
                for b in range(cap + 1)
            },
            self._wrong_other: (OTHER, OTHER),
        }
        """(true, predicted) by labels."""

    def text(self, actual: int, predicted: int) -> str:
        """Return the labels of a pair."""
        cap = self.cap
        row = actual if 0 <= actual < cap else cap
        column = predicted if 0 <= predicted < cap else cap
        if row == column == cap and actual != predicted:
            return self._wrong_other
        return self._rows[row][column]

    def diagonal(self, count: int) -> Iterator[str]:
        """Yield the labels of correct predictions for the first `count` classes, and for "other" if there are more."""
        for number in range(min(count, self.cap)):
            yield self._rows[number][number]
        if count > self.cap:
            yield self._rows[self.cap][self.cap]


def _text(actual: str, predicted: str, *, is_correct: bool) -> str:
    correct = "true" if is_correct else "false"
    return label_suffix(
        ("true_class", actual), ("predicted_class", predicted), ("correct", correct)
    )
