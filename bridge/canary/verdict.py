"""Compare what was said and acknowledged with what was found."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bridge.canary.run import Cell


class What(StrEnum):
    """What is counted on both sides."""

    BATCH = "batch"
    LOSS = "loss"
    EPOCH = "epoch"
    PREDICTION = "prediction"
    IMAGE = "image"


class Kind(StrEnum):
    """What can be the matter."""

    MISSING = "missing"
    """Acknowledged, and not there."""
    DUPLICATE = "duplicate"
    """There more often than it was said."""
    WRONG = "wrong"
    """There, with another value."""
    LATE = "late"
    """There only after longer than is allowed."""


Counts = Mapping[What, int]

Short = Mapping[What, tuple[int, int]]
"""How much there must be, and how much there is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    kind: Kind
    what: What
    expected: object
    found: object
    count: int = 1
    """How many things it is about."""


@dataclass(frozen=True, slots=True)
class Values:
    """What the counted things come to."""

    loss_sum: float
    cells: Mapping[Cell, int]
    """Predictions by true and predicted class."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the canary itself knows of its run at one moment."""

    said: Counts
    """At most this much can be there."""
    owed: Counts
    """At least this much must be there, once nothing is on its way."""
    is_quiet: bool
    """Everything said has been acknowledged, or is known to be lost on this side."""
    images_kept: int = 0
    """Images that acknowledgments say are kept."""
    values: Values | None = None
    """What everything said comes to; None where not all of it may have arrived."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the bridge shows of the run at one moment."""

    counts: Counts
    values: Values
    images_stored: int
    """Images that /metrics says are stored."""
    images_listed: int | None
    """Images that the index lists; None: it could not be read."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came out of one comparison."""

    findings: tuple[Finding, ...]
    """Those that are new."""
    is_settled: bool
    """Nothing was on its way, and everything is there or has been told."""


def shortfall(account: Account, found: Found) -> Short:
    """Return what there is too little of."""
    short = {
        what: (owed, found.counts.get(what, 0))
        for what, owed in account.owed.items()
        if found.counts.get(what, 0) < owed
    }
    listed = found.images_listed
    kept = min(account.said[What.IMAGE], max(account.images_kept, found.images_stored))
    counted = short.get(What.IMAGE, (0, 0))
    if listed is not None and kept - listed > counted[0] - counted[1]:
        short[What.IMAGE] = (kept, listed)
    return short


def surplus(account: Account, found: Found) -> Short:
    """Return what there is too much of: how much there may be, and how much there is."""
    return {
        what: (said, found.counts.get(what, 0))
        for what, said in account.said.items()
        if found.counts.get(what, 0) > said
    }


def differences(account: Account, found: Found) -> Iterator[Finding]:
    """Yield values that are wrong though their number is right."""
    values, said = account.values, account.said
    if values is None:
        return
    if found.counts.get(What.LOSS) == said[What.LOSS] and not is_sum(
        found.values.loss_sum, values.loss_sum
    ):
        yield Finding(Kind.WRONG, What.LOSS, values.loss_sum, found.values.loss_sum)
    if found.counts.get(What.PREDICTION) == said[What.PREDICTION]:
        cells = {*values.cells, *found.values.cells}
        wrong = [cell for cell in sorted(cells) if _of(values, cell) != _of(found.values, cell)]
        if wrong:
            yield Finding(
                Kind.WRONG, What.PREDICTION, _told(values, wrong), _told(found.values, wrong)
            )


def is_sum(found: float, expected: float) -> bool:
    """Tell whether two sums of losses are the same, which may have been added in another order."""
    return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)


def _of(values: Values, cell: Cell) -> int:
    return values.cells.get(cell, 0)


def _told(values: Values, cells: list[Cell]) -> dict[str, int]:
    return {"/".join(cell): _of(values, cell) for cell in cells}


class Verdict:
    """The comparisons of one run: it says everything once, and nothing while it may still come right.

    Something is missing only when nothing is on its way, and it has stayed away for `overdue_seconds`
    of unbroken watching: a page that could not be read, or a bridge that has just come back, proves nothing.
    """

    def __init__(self, *, overdue_seconds: float) -> None:
        """Begin a run."""
        self._overdue_seconds = overdue_seconds
        self._short_at: float | None = None
        """When the last page was read, if something was missing on it."""
        self._watched_seconds = 0.0
        self._said: Counts = {}
        self._missing: dict[What, int] = {}
        self._doubled: dict[What, int] = {}
        self._wrong: set[What] = set()

    def judge(self, before: Account, after: Account, found: Found, *, at: float) -> Judgement:
        """Compare a page with what was known before it was asked for, at `at` (monotonic), and after it came."""
        findings = [*self._surplus(after, found)]
        if not before.is_quiet or before.said != after.said:
            self._watch({}, {}, at)
            return Judgement(tuple(findings), is_settled=False)
        short = shortfall(before, found)
        self._watch(before.said, short, at)
        findings += self._shortfall(short)
        findings += self._differences(before, found)
        is_settled = all(
            owed - there <= self._missing.get(what, 0) for what, (owed, there) in short.items()
        )
        return Judgement(tuple(findings), is_settled)

    def unreadable(self) -> None:
        """Note that there was no page: what was seen before it and what comes after it do not join."""
        self._short_at = None

    def _watch(self, said: Counts, short: Short, at: float) -> None:
        """Add up how long the same things have been short."""
        if said != self._said or not short:
            self._watched_seconds = 0.0
        elif self._short_at is not None:
            self._watched_seconds += at - self._short_at
        self._said = said
        self._short_at = at if short else None

    def _shortfall(self, short: Short) -> Iterator[Finding]:
        for what in What:
            owed, there = short.get(what, (0, 0))
            told = min(self._missing.get(what, 0), owed - there)  # what has come back may go again
            if self._watched_seconds >= self._overdue_seconds and owed - there > told:
                yield Finding(Kind.MISSING, what, owed, there, owed - there - told)
                told = owed - there
            self._missing[what] = told

    def _surplus(self, after: Account, found: Found) -> Iterator[Finding]:
        for what, (said, there) in surplus(after, found).items():
            new = there - said - self._doubled.get(what, 0)
            if new > 0:
                self._doubled[what] = there - said
                yield Finding(Kind.DUPLICATE, what, said, there, new)

    def _differences(self, account: Account, found: Found) -> Iterator[Finding]:
        for finding in differences(account, found):
            if finding.what not in self._wrong:
                self._wrong.add(finding.what)
                yield finding
