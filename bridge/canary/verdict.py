"""Compare what was sent and acknowledged with what the bridge shows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class What(StrEnum):
    """What is counted on both sides."""

    BATCH = "batch"
    LOSS = "loss"
    EPOCH = "epoch"
    PREDICTION = "prediction"
    IMAGE = "image"


class Kind(StrEnum):
    """What can be the matter with it; page.py says what each means."""

    MISSING = "missing"
    DUPLICATE = "duplicate"
    WRONG = "wrong"
    LATE = "late"


Counts = Mapping[What, int]

Values = Mapping[What, Mapping[str, float]]
"""What the counted things add up to, by name; none of these sums is rounded."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    kind: Kind
    what: What
    expected: object
    found: object
    count: int = 1


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a run must show at one moment."""

    sent: Counts
    """At most this much can be shown."""
    expected: Counts
    """At least this much must be shown, once nothing is on its way."""
    is_quiet: bool
    """Nothing is on its way: all was acknowledged, or is known to be lost on this side."""
    refused: int = 0
    """Messages that the bridge called invalid, though all of them are valid."""
    images_kept: int = 0
    """Images that acknowledgments say are kept."""
    values: Values | None = None
    """What everything sent adds up to; None where not all of it may have arrived."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the bridge shows of a run at one moment."""

    counts: Counts
    values: Values
    images_stored: int
    """Images that /metrics says are stored."""
    images_there: int | None = None
    """Different images that are listed and could be read; None: that was not looked at."""


Judgement = tuple[list[Finding], bool]
"""New findings, and whether all is settled: shown, or reported as missing."""


def shortages(expectation: Expectation, shown: Shown) -> list[Finding]:
    """Return what is shown too rarely."""
    pairs = {what: (least, shown.counts[what]) for what, least in expectation.expected.items()}
    if shown.images_there is not None:
        stored = max(expectation.images_kept, shown.images_stored)
        kept = min(expectation.sent[What.IMAGE], stored), shown.images_there
        pairs[What.IMAGE] = max(pairs[What.IMAGE], kept, key=lambda pair: pair[0] - pair[1])
    return [
        Finding(Kind.MISSING, what, least, found, least - found)
        for what, (least, found) in pairs.items()
        if found < least
    ]


def excesses(expectation: Expectation, shown: Shown) -> list[Finding]:
    """Return what cannot come right any more: what is shown too often, and valid messages that were refused."""
    refused = Finding(Kind.WRONG, What.BATCH, "accepted", "refused", expectation.refused)
    return [
        Finding(Kind.DUPLICATE, what, most, shown.counts[what], shown.counts[what] - most)
        for what, most in expectation.sent.items()
        if shown.counts[what] > most
    ] + [refused] * bool(expectation.refused)


def differences(expectation: Expectation, shown: Shown) -> list[Finding]:
    """Return values that are wrong though their number is right."""
    findings = []
    for what, expected in (expectation.values or {}).items():
        found = shown.values[what]
        names = {*expected, *found}
        wrong = sorted(name for name in names if expected.get(name, 0) != found.get(name, 0))
        if wrong and shown.counts[what] == expectation.sent[what]:
            one, other = ({name: side.get(name, 0) for name in wrong} for side in (expected, found))
            findings.append(Finding(Kind.WRONG, what, one, other))
    return findings


class Verdict:
    """The comparisons of one run: reports everything once, and nothing that may still come right.

    Something is missing only when nothing is on its way, and it has been absent for `overdue_seconds`
    of unbroken watching: a page that could not be read, or a bridge that has just come back, proves nothing.
    """

    def __init__(self, *, overdue_seconds: float) -> None:
        self._overdue_seconds = overdue_seconds
        self._last_short_at: float | None = None
        self._watched_seconds = 0.0
        self._sent: Counts = {}
        self._reported: dict[tuple[Kind, What], int] = {}

    def judge(self, expectation: Expectation, shown: Shown, *, at: float) -> Judgement:
        """Compare a page that was requested at `at` with what is known since it arrived."""
        findings = [*self._new(excesses(expectation, shown))]
        if not expectation.is_quiet:
            self._watch({}, at, is_short=False)
            return findings, False
        short = shortages(expectation, shown)
        self._watch(expectation.sent, at, is_short=bool(short))
        counts = {one.what: one.count for one in short}
        for what in What:  # what has come back may be missing once more
            key = Kind.MISSING, what
            self._reported[key] = min(self._reported.get(key, 0), counts.get(what, 0))
        if self._watched_seconds >= self._overdue_seconds:
            findings += self._new(short)
        findings += self._new(differences(expectation, shown))
        return findings, all(one.count <= self._reported[one.kind, one.what] for one in short)

    def note_unreadable(self) -> None:
        """Note that there was no page: what was seen before it and what comes after it do not join."""
        self._last_short_at = None

    def _watch(self, sent: Counts, at: float, *, is_short: bool) -> None:
        """Add up how long something has been missing of the same run."""
        if sent != self._sent or not is_short:
            self._watched_seconds = 0.0
        elif self._last_short_at is not None:
            self._watched_seconds += at - self._last_short_at
        self._sent = sent
        self._last_short_at = at if is_short else None

    def _new(self, findings: Sequence[Finding]) -> Iterator[Finding]:
        for finding in findings:
            key = finding.kind, finding.what
            new = finding.count - self._reported.get(key, 0)
            if new > 0:
                self._reported[key] = finding.count
                yield replace(finding, count=new)
