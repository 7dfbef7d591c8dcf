"""Whether a numbered message comes in its turn."""

from bisect import bisect_right
from operator import itemgetter

from bridge.errors import InvalidDataError, SequenceGapError

SKIPS_KEPT = 1_000
"""Ranges of sequences that the client of a session began behind; the lowest ones go first."""

Ranges = tuple[tuple[int, int], ...]
"""First and last of consecutive sequences, in order."""


def is_within(ranges: Ranges, sequence: int) -> bool:
    """Return whether one of the ranges holds a sequence."""
    at = bisect_right(ranges, sequence, key=itemgetter(0)) - 1
    return at >= 0 and sequence <= ranges[at][1]


def extended(ranges: Ranges, first: int, last: int) -> Ranges:
    """Return the ranges with one more behind them."""
    if not 0 < first <= last:
        return ranges
    if ranges and ranges[-1][1] + 1 == first:
        first, ranges = ranges[-1][0], ranges[:-1]
    return (*ranges, (first, last))[-SKIPS_KEPT:]


def check_turn(sequence: int, accepted: int, skipped: Ranges) -> None:
    """Raise where a sequence is not the one after the last that was accepted, nor one that was applied before."""
    expected = accepted + 1
    if sequence > expected:
        raise SequenceGapError(
            f"sequence: {sequence} came where {expected} is expected; send again from there",
            expected=expected,
        )
    if is_within(skipped, sequence):
        raise InvalidDataError("sequence: this client began behind it", sequence=sequence)
