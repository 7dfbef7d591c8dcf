"""Runs of sequences, as pairs of the first and the last one."""

import struct
import zlib
from collections.abc import Iterable

Ranges = list[tuple[int, int]]


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return the same sequences in as few pairs as possible, in order."""
    found: Ranges = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def outside(ranges: Ranges, first: int, last: int) -> Ranges:
    """Return the sequences from first to last that none of the sorted ranges contains."""
    found: Ranges = []
    for begin, end in ranges:
        if end < first:
            continue
        if begin > last:
            break
        if begin > first:
            found.append((first, begin - 1))
        first = end + 1
    if first <= last:
        found.append((first, last))
    return found


def count(ranges: Ranges) -> int:
    """Count the sequences in ranges that do not overlap."""
    return sum(last - first + 1 for first, last in ranges)


def to_bytes(ranges: Ranges) -> bytes:
    """Return ranges as distances and lengths, which repeat, so that they compress well."""
    numbers = []
    before = 0
    for first, last in ranges:
        numbers += [first - before, last - first + 1]
        before = last
    return zlib.compress(struct.pack(f"<{len(numbers)}Q", *numbers), 1)


def from_bytes(content: bytes) -> Ranges:
    """Return the ranges of `to_bytes`. Raises ValueError for anything else."""
    try:
        numbers = struct.iter_unpack("<QQ", zlib.decompress(content))
        ranges: Ranges = []
        before = 0
        for distance, length in numbers:
            first = before + distance
            before = first + length - 1
            ranges.append((first, before))
    except (struct.error, zlib.error) as error:
        raise ValueError("not ranges of sequences") from error
    return ranges
