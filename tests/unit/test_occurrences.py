"""Events of a training loop that a session keeps."""

import pytest

from bridge.model import Level, Occurrence
from bridge.occurrences import CHARACTERS_LIMIT, DETAILS_LIMIT, EVENTS_LIMIT, Occurrences
from bridge.storage.packed import packed, unpacked


def event(name="lr drop", message="", **details):
    """Return an event."""
    return Occurrence(name, message, Level.WARNING, details, 1, 2, 34)


def test_the_newest_events_are_kept_and_all_are_counted():
    """However many come, room is bounded; how many there were is known."""
    occurrences = Occurrences()

    for number in range(EVENTS_LIMIT + 10):
        occurrences.add(event(f"event {number}"), float(number))

    assert (len(occurrences), occurrences.total) == (EVENTS_LIMIT, EVENTS_LIMIT + 10)
    assert next(happened.at for happened in occurrences) == 10.0


def test_long_events_are_cut_and_take_the_room_of_others():
    """No client can fill the memory with few events of many characters."""
    occurrences = Occurrences()
    details = {f"name {number}": "x" * 256 for number in range(64)}

    for number in range(100):
        occurrences.add(event(message="m" * 4_096, **details), float(number))

    kept = list(occurrences)
    assert len(kept[-1].occurrence.details) == DETAILS_LIMIT
    assert sum(happened.characters for happened in kept) <= CHARACTERS_LIMIT
    assert (kept[-1].at, occurrences.total) == (99.0, 100)


def test_events_outlive_the_process():
    """Nothing of an event is lost on the disk."""
    occurrences = Occurrences()
    occurrences.add(event(message="by half", rate="0.1"), 5.0)

    restored = Occurrences.restored(unpacked(packed(occurrences.snapshot())))

    assert list(restored) == list(occurrences)
    assert restored.total == 1
    assert Occurrences().snapshot() == []


@pytest.mark.parametrize(
    "state", [[1], [1, [[1.0]]], [1, [[1.0, "a", "", "worst", {}, 0, 0, None]]]]
)
def test_a_damaged_snapshot_is_refused(state):
    """What no session writes never becomes an event."""
    with pytest.raises((TypeError, ValueError)):
        Occurrences.restored(state)
