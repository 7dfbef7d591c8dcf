"""The numbers that a run logs by name: the newest and a curve of each, however many there are and however long it runs."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from bridge.model import Scalars
from bridge.scalar_curve import ScalarCurve

NAMES_LIMIT = 50
"""Names of one session, those of `OWN_FAMILIES` not counted."""

SPLITS_LIMIT = 8
"""Splits of one session; to have none is one of them."""

POINTS_LIMIT = 6_000
"""Points of all curves of one session together, of 56 bytes each: beyond it the longest are thinned."""

EXAMINED = 1_000
"""Names examined per message: a message with a million of them must not hold up the event loop."""

LEARNING_RATE, GRADIENT_NORM, MFU = "learning_rate", "gradient_norm", "mfu"

OWN_FAMILIES = (LEARNING_RATE, GRADIENT_NORM, MFU)
"""Names whose values are shown as what they are."""

ADMITTED = ""
NAMES_REASON = "names_limit"
SPLITS_REASON = "splits_limit"


class ScalarHistory:
    """What is kept of the numbers that one session logs by name and split."""

    def __init__(self) -> None:
        """Start empty."""
        self.curves: dict[tuple[str, str], ScalarCurve] = {}
        """By name and split; in the order in which they first came."""
        self.newest: dict[tuple[str, str], float] = {}
        self._names: set[str] = set()
        self._splits: set[str] = set()
        self._points = 0

    def admit(self, name: str, split: str) -> str:
        """Return ADMITTED, or the reason for which numbers of this name and split are not kept.

        What is admitted once is admitted from then on.
        """
        is_new_name = name not in self._names and name not in OWN_FAMILIES
        is_new_split = split not in self._splits
        if not (is_new_name or is_new_split):
            return ADMITTED
        if is_new_name and len(self._names) >= NAMES_LIMIT:
            return NAMES_REASON
        if is_new_split and len(self._splits) >= SPLITS_LIMIT:
            return SPLITS_REASON
        if is_new_name:
            self._names.add(name)
        self._splits.add(split)
        return ADMITTED

    def add(self, scalars: Scalars, *, at: float, reached: int | None) -> None:
        """Add what arrived at `at`, when the run had reached a step; what was logged may say another.

        None: the run has no steps; the values themselves are counted.
        """
        split = scalars.split
        step = reached if scalars.step is None else scalars.step
        for name, value in islice(scalars.values.items(), EXAMINED):
            if self.admit(name, split) is ADMITTED:
                self._add(name, split, value, at, step)

    def _add(self, name: str, split: str, value: float, at: float, step: int | None) -> None:
        key = (name, split)
        self.newest[key] = value
        curve = self.curves.get(key)
        if curve is None:
            curve = self.curves[key] = ScalarCurve()
        before = len(curve)
        curve.add(value, at=at, step=curve.values + 1 if step is None else step)
        self._points += len(curve) - before
        if self._points > POINTS_LIMIT:
            self._thin()

    def without_split(self) -> dict[str, float]:
        """Return the newest values that came without a split, by name."""
        return {name: value for (name, split), value in self.newest.items() if not split}

    def by_split(self) -> dict[str, dict[str, float]]:
        """Return the newest values that came with a split, by split and name."""
        values: dict[str, dict[str, float]] = {}
        for (name, split), value in self.newest.items():
            if split:
                values.setdefault(split, {})[name] = value
        return values

    def frozen(self) -> dict[tuple[str, str], ScalarCurve]:
        """Return the curves by name and split as they are now, to be read in any thread."""
        return {key: curve.frozen() for key, curve in self.curves.items()}

    def newest_of(self, name: str) -> float | None:
        """Return a newest value of a name, without a split if there is one; None: it was never logged."""
        values = {split: value for (known, split), value in self.newest.items() if known == name}
        return values.get("", next(iter(values.values()), None))

    def snapshot(self) -> list[list[Any]]:
        """Return what `restored` takes: plain values, none of which changes any more."""
        return [[*key, self.newest[key], *curve.snapshot()] for key, curve in self.curves.items()]

    @classmethod
    def restored(
        cls, rows: Sequence[Sequence[Any]], newest: Mapping[str, float]
    ) -> "ScalarHistory":
        """Return the history of a snapshot; `newest` is what versions without curves kept."""
        history = cls()
        for name, value in newest.items():
            if history.admit(name, "") is ADMITTED:
                history.newest[name, ""] = value
        for name, split, value, *curve in rows:
            if history.admit(name, split) is ADMITTED:
                history.newest[name, split] = value
                history.curves[name, split] = ScalarCurve.restored(curve)
        history._points = sum(map(len, history.curves.values()))
        return history

    def _thin(self) -> None:
        """Give up every other point of the longest curve."""
        longest = max(self.curves.values(), key=len)
        before = len(longest)
        longest.halve()
        self._points -= before - len(longest)
