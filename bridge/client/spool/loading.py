"""What a process has left in its files, and what is missing there."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bridge.client.delivery.message import OutgoingMessage, Priority
from bridge.client.spool.ranges import Ranges, count, merged, outside
from bridge.client.spool.records import HEADER_BYTES, PRIORITIES, Damage, Found, Gap, Mark, Next
from bridge.client.spool.segment import Segment


@dataclass(slots=True)
class Contents:
    """The files of a spool in the order of their messages, and what has become of the sequences."""

    segments: list[Segment] = field(default_factory=list)
    number: int = 0
    """The highest of a file."""
    next_number: int = 0
    """The highest of a file that has been begun, and may not be here any more."""
    last: int = 0
    """The highest sequence of which there is any trace."""
    marked: int = 0
    ended: bool = False
    is_end_damaged: bool = False
    """The status that ends the session is here, and cannot be read."""
    damaged: int = 0
    known: Ranges = field(default_factory=list)
    """Sequences that are here, or are not for a reason that is known."""
    lost_before: Ranges = field(default_factory=list)
    """Those that an earlier delivery has found missing."""
    unnumbered_before: int = 0
    was_end_unknown: bool = False
    tail: Damage | None = None
    """What is damaged behind the last message, and may have been another one."""
    last_damaged: int = 0
    """The highest sequence of a message that is here, and cannot be read."""
    misses_file: bool = False
    """A file that has been begun, with a message at least, is not here."""
    missing: Ranges = field(default_factory=list)

    @property
    def unnumbered(self) -> int:
        """Count the messages behind the last one whose sequences are not known, at least.

        Damage beside a message whose sequence is known may be a part of that one.
        """
        last_read = max((segment.last for segment in self.segments), default=0)
        has_tail = self.tail is not None and self.last_damaged <= last_read
        return int(self.misses_file or has_tail)

    @property
    def is_lost_uncounted(self) -> bool:
        """Tell whether nobody knows how many more than `lost` are lost."""
        return bool(self.unnumbered or self.unnumbered_before or self.tail)

    @property
    def lost(self) -> int:
        """Count the messages that are lost, at least."""
        unnumbered = max(self.unnumbered, self.unnumbered_before)
        return count(self.missing) + count(self.lost_before) + unnumbered

    @property
    def is_end_unknown(self) -> bool:
        """Tell whether the session may have ended by itself, though nothing readable says so.

        A process that is killed while it writes leaves less than the header of a record.
        """
        is_torn = self.tail is not None and 0 < self.tail.size_bytes < HEADER_BYTES
        has_tail = self.tail is not None and not is_torn
        return self.is_end_damaged or self.was_end_unknown or self.misses_file or has_tail

    @property
    def found(self) -> Gap | None:
        """What has to be noted, since the next delivery may not see it any more; None: nothing."""
        if not self.missing and self.unnumbered <= self.unnumbered_before:
            return None
        return Gap(self.missing, True, self.unnumbered, self.is_end_unknown)


def read_all(segments: list[Segment], *, begun: int = 0) -> Contents:
    """Read every file; `begun` is the number of the last one, where that is known.

    Raises OSError for those that could be read if only somebody permitted it.
    """
    contents = Contents(number=max((segment.number for segment in segments), default=0))
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
        _take(segment, contents)
        is_whole = contents.damaged == damaged
        if is_whole and segment.is_old():
            contents.known.append((_old_from(segment, before), segment.last))
        before = segment if is_whole else None
    for segment in others:
        tail = contents.tail
        _take(segment, contents)
        if 0 < segment.number < highest:
            contents.tail = tail  # the sequences of what was in it are missing
    contents.misses_file = max(contents.next_number, begun) > contents.number
    contents.segments = [*holding, *others]
    contents.last = max(contents.last, contents.marked)
    known = merged([*contents.known, *contents.lost_before])
    contents.missing = outside(known, contents.marked + 1, contents.last)
    return contents


def _take(segment: Segment, contents: Contents) -> None:
    """Note what a file holds behind the messages that have been noted."""
    after = max((kept.last for kept in contents.segments), default=0)
    segment.floor = after
    known: Ranges = []
    for found in _readable(segment):
        if not isinstance(found, OutgoingMessage):
            _take_other(found, known, contents)
        elif found.sequence > after:
            after = found.sequence
            segment.note(found)
            contents.tail = None  # the sequences of what was damaged before are missing
            contents.ended |= found.priority is Priority.FINAL
            if known and known[-1][1] == after - 1:
                known[-1] = (known[-1][0], after)
            else:
                known.append((after, after))
    contents.last = max(contents.last, after)
    contents.known = merged([*contents.known, *known])
    contents.segments.append(segment)


def _take_other(found: Mark | Gap | Next | Damage, known: Ranges, contents: Contents) -> None:
    if isinstance(found, Mark):
        contents.marked = max(contents.marked, found.sequence)
        contents.ended |= found.ended
    elif isinstance(found, Gap) and found.is_lost:
        contents.lost_before = merged([*contents.lost_before, *found.ranges])
        contents.unnumbered_before = max(contents.unnumbered_before, found.unnumbered)
        contents.was_end_unknown |= found.is_end_unknown
    elif isinstance(found, Gap):
        known += found.ranges
    elif isinstance(found, Next):
        contents.next_number = max(contents.next_number, found.number)
    else:
        contents.damaged += 1
        contents.is_end_damaged |= found.kind == Priority.FINAL
        if found.is_unnumbered and (
            contents.tail is None or found.size_bytes > contents.tail.size_bytes
        ):
            contents.tail = found
        if found.kind in PRIORITIES:
            contents.last = max(contents.last, found.sequence)
            contents.last_damaged = max(contents.last_damaged, found.sequence)


def _old_from(segment: Segment, before: Segment | None) -> int:
    """Return from which sequence on an old file is whole: gaps in it were made to keep the limit.

    It notes none, so a file that is missing before it is told by the numbers of the files.
    """
    if segment.number == 1 and not segment.floor:
        return 1
    is_next = before is not None and segment.number == before.number + 1
    return segment.floor + 1 if is_next else segment.first


def _first(segment: Segment) -> int:
    """Return the sequence of the first message in a file; 0: there is none that can be read."""
    found = (found for found in _readable(segment) if isinstance(found, OutgoingMessage))
    first = next(found, None)
    return first.sequence if first is not None else 0


def _readable(segment: Segment) -> Iterable[Found]:
    """Yield what can be read of a file; a disk that fails damages what lies behind."""
    try:
        for found, _ in segment.read():
            yield found
    except PermissionError:
        raise
    except OSError:
        yield Damage(0)
