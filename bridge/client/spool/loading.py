"""What a process has left in its segments, and what is missing there."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.spool.ranges import Ranges, count, merged, outside
from bridge.client.spool.records import (
    HEADER_BYTES,
    PRIORITIES,
    AckRecord,
    Damage,
    GapRecord,
    NextFileRecord,
    Record,
)
from bridge.client.spool.segment import Segment


@dataclass(slots=True)
class SpoolContents:
    """The segments of a spool in the order of their messages, and what became of each sequence."""

    segments: list[Segment] = field(default_factory=list)
    number: int = 0
    """The highest of a segment."""
    next_number: int = 0
    """The highest of a segment that has been begun, and may have been deleted."""
    last: int = 0
    """The highest sequence that appears anywhere."""
    acked_through: int = 0
    has_end: bool = False
    is_end_damaged: bool = False
    """The status that ends the session is here, and unreadable."""
    damaged: int = 0
    known: Ranges = field(default_factory=list)
    """Sequences that are here, or missing for a known reason."""
    lost_before: Ranges = field(default_factory=list)
    """Sequences that an earlier delivery has found missing."""
    unnumbered_before: int = 0
    was_end_unknown: bool = False
    tail: Damage | None = None
    """Damage behind the last message, which may have been another one."""
    last_damaged: int = 0
    """The highest sequence of a message that is here, and unreadable."""
    misses_file: bool = False
    """A segment that has been begun, with at least one message, is not here."""
    missing: Ranges = field(default_factory=list)

    @property
    def unnumbered(self) -> int:
        """At least how many messages behind the last one are lost whose sequences are unknown.

        Damage next to an unreadable message with a known sequence may be a part of that one.
        """
        last_read = max((segment.last for segment in self.segments), default=0)
        has_tail = self.tail is not None and self.last_damaged <= last_read
        return int(self.misses_file or has_tail)

    @property
    def is_lost_uncounted(self) -> bool:
        """Whether more than `lost` may be lost, and nothing says how many."""
        return bool(self.unnumbered or self.unnumbered_before or self.tail)

    @property
    def lost(self) -> int:
        """At least how many messages are lost."""
        unnumbered = max(self.unnumbered, self.unnumbered_before)
        return count(self.missing) + count(self.lost_before) + unnumbered

    @property
    def is_end_unknown(self) -> bool:
        """Whether the session may have ended by itself, though nothing readable says so.

        A process that is killed while it writes leaves less than the header of a record.
        """
        is_torn = self.tail is not None and 0 < self.tail.size_bytes < HEADER_BYTES
        has_tail = self.tail is not None and not is_torn
        return self.is_end_damaged or self.was_end_unknown or self.misses_file or has_tail

    @property
    def unrecorded_gap(self) -> GapRecord | None:
        """What has to be recorded, since the next delivery may not see it any more; None: nothing."""
        if not self.missing and self.unnumbered <= self.unnumbered_before:
            return None
        return GapRecord(self.missing, True, self.unnumbered, self.is_end_unknown)


def scan(segments: list[Segment], *, last_segment_number: int = 0) -> SpoolContents:
    """Read every segment; `last_segment_number` is that of the last one, as far as it was recorded.

    Raises PermissionError for those that this user may not read: they are not damaged.
    """
    contents = SpoolContents(number=max((segment.number for segment in segments), default=0))
    firsts = {segment.path: _first(segment) for segment in segments}
    holding = sorted(
        (segment for segment in segments if firsts[segment.path]),
        key=lambda segment: (firsts[segment.path], segment.number),
    )
    highest = max((segment.number for segment in holding), default=0)
    others = [segment for segment in segments if not firsts[segment.path]]
    before: Segment | None = None
    for segment in holding:
        damaged = contents.damaged
        _scan_segment(segment, contents)
        is_whole = contents.damaged == damaged
        if is_whole and segment.is_old():
            contents.known.append((_complete_from(segment, before), segment.last))
        before = segment if is_whole else None
    for segment in others:
        tail = contents.tail
        _scan_segment(segment, contents)
        if 0 < segment.number < highest:
            contents.tail = tail  # the sequences of what was in it are missing
    contents.misses_file = max(contents.next_number, last_segment_number) > contents.number
    contents.segments = [*holding, *others]
    contents.last = max(contents.last, contents.acked_through)
    known = merged([*contents.known, *contents.lost_before])
    contents.missing = outside(known, contents.acked_through + 1, contents.last)
    return contents


def _scan_segment(segment: Segment, contents: SpoolContents) -> None:
    """Account for what a segment holds behind the messages that are accounted for."""
    after = max((kept.last for kept in contents.segments), default=0)
    segment.floor = after
    known: Ranges = []
    for record in _readable(segment):
        if not isinstance(record, OutgoingMessage):
            _apply_record(record, known, contents)
        elif record.sequence > after:
            after = record.sequence
            segment.count_message(record)
            contents.tail = None  # the sequences of what was damaged before are missing
            contents.has_end |= record.priority is Priority.FINAL
            if known and known[-1][1] == after - 1:
                known[-1] = (known[-1][0], after)
            else:
                known.append((after, after))
    contents.last = max(contents.last, after)
    contents.known = merged([*contents.known, *known])
    contents.segments.append(segment)


def _apply_record(
    record: AckRecord | GapRecord | NextFileRecord | Damage, known: Ranges, contents: SpoolContents
) -> None:
    if isinstance(record, AckRecord):
        contents.acked_through = max(contents.acked_through, record.sequence)
        contents.has_end |= record.includes_end
    elif isinstance(record, GapRecord) and record.is_lost:
        contents.lost_before = merged([*contents.lost_before, *record.ranges])
        contents.unnumbered_before = max(contents.unnumbered_before, record.unnumbered)
        contents.was_end_unknown |= record.is_end_unknown
    elif isinstance(record, GapRecord):
        known += record.ranges
    elif isinstance(record, NextFileRecord):
        contents.next_number = max(contents.next_number, record.number)
    else:
        contents.damaged += 1
        contents.is_end_damaged |= record.kind == Priority.FINAL
        if record.is_unnumbered and (
            contents.tail is None or record.size_bytes > contents.tail.size_bytes
        ):
            contents.tail = record
        if record.kind in PRIORITIES:
            contents.last = max(contents.last, record.sequence)
            contents.last_damaged = max(contents.last_damaged, record.sequence)


def _complete_from(segment: Segment, before: Segment | None) -> int:
    """Return from which sequence on a segment of the old format is complete: its gaps were made to keep the limit.

    The old format does not record gaps, so a segment missing before this one is known by their numbers alone.
    """
    if segment.number == 1 and not segment.floor:
        return 1
    is_next = before is not None and segment.number == before.number + 1
    return segment.floor + 1 if is_next else segment.first


def _first(segment: Segment) -> int:
    """Return the sequence of the first readable message in a segment; 0: there is none."""
    messages = (record for record in _readable(segment) if isinstance(record, OutgoingMessage))
    first = next(messages, None)
    return first.sequence if first is not None else 0


def _readable(segment: Segment) -> Iterable[Record]:
    """Yield the readable records of a segment; a disk that fails counts as damage to what lies behind."""
    try:
        for record, _ in segment.read():
            yield record
    except PermissionError:
        raise
    except OSError:
        yield Damage(0)
