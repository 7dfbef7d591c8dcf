"""A spool that somebody, or a disk, has damaged: what can be read is, and the rest is counted."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.spools import leave_old, outgoing_message, reopened, sequences, spool_in

from bridge.client.delivery.message import Priority
from bridge.client.spool.records import read_records

PLENTY = 1 << 40
BATCHES = 200


def leave_files(root, *, ended=True, acked_through=0):
    """Leave a spool of several files, as a process does that is killed; return its folder."""
    spool = spool_in(root, limit_bytes=1 << 16)
    spool.append([outgoing_message(1, Priority.CRITICAL)])
    for sequence in range(2, BATCHES):
        spool.append([outgoing_message(sequence)])
        if sequence == acked_through:
            spool.acknowledge(acked_through)
    spool.append([outgoing_message(BATCHES, Priority.FINAL if ended else Priority.BATCH)])
    spool.release()
    return spool.path


def files(path):
    """Return the files with messages, oldest first."""
    return sorted(path.glob("*.spool"))


def flip(content, place, value):
    """Change one byte."""
    changed = bytearray(content)
    changed[place % len(content)] ^= value
    return bytes(changed)


DAMAGES = {
    "one byte": flip,
    "cut off": lambda content, place, _: content[: place % len(content)],
    "bytes put in": lambda content, place, value: (
        content[: place % len(content)] + bytes([value]) * 7 + content[place % len(content) :]
    ),
    "bytes left out": lambda content, place, value: (
        content[: place % len(content)] + content[place % len(content) + value :]
    ),
    "a block of zeros": lambda content, place, _: (
        content[: place % len(content)] + bytes(300) + content[place % len(content) + 300 :]
    )[: len(content)],
    "a block of another place": lambda content, place, value: (
        content[: place % len(content)]
        + content[value : value + 500]
        + content[place % len(content) + 500 :]
    ),
    "the same again": lambda content, *_: content + content,
    "empty": lambda *_: b"",
}


def check(path):
    """Whoever delivers this delivers what is read, in order, once; and knows what is missing."""
    found = reopened(path)
    try:
        read = found.read(0, PLENTY)
        assert sequences(read) == sorted(set(sequences(read)))
        assert found.count_after(0) == (len(read), sum(e.priority is Priority.BATCH for e in read))
        for message in read:
            assert message.body == outgoing_message(message.sequence, message.priority).body
        return found, sequences(read)
    finally:
        found.release()


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(sorted(DAMAGES)),
    st.integers(0, 10),
    st.integers(0, 1 << 20),
    st.integers(1, 255),
)
@example("a block of another place", 8, 5207, 1)
def test_whatever_is_damaged_what_is_read_and_what_is_lost_is_all(kind, file, place, value):
    """In any file but the last, nothing is lost unseen; in the last one, only what was cut off cleanly."""
    root = Path(tempfile.mkdtemp())
    path = leave_files(root)
    damaged = files(path)[file % len(files(path))]
    is_last = damaged == files(path)[-1]
    damaged.write_bytes(DAMAGES[kind](damaged.read_bytes(), place, value))

    found, read = check(path)
    shutil.rmtree(root)

    if kind == "the same again":
        assert len(read) == BATCHES
    elif is_last and kind != "one byte":
        assert len(read) + found.lost <= BATCHES
        assert found.lost or read == list(range(1, len(read) + 1))
    else:
        assert len(read) + found.lost == BATCHES
    assert found.lost or len(read) == BATCHES or kind in ("cut off", "bytes left out")


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 1 << 20), st.integers(1, 255), st.sampled_from([50, 120, 190]))
def test_no_byte_makes_what_is_acknowledged_look_lost(place, value, acked_through):
    """Files that were deleted since the bridge has what was in them are not missing."""
    root = Path(tempfile.mkdtemp())
    path = leave_files(root, acked_through=acked_through)
    damaged = files(path)[place % len(files(path))]
    damaged.write_bytes(flip(damaged.read_bytes(), place, value))

    found, read = check(path)
    shutil.rmtree(root)

    undelivered = [sequence for sequence in read if sequence > found.acked_through]
    assert found.acked_through in (acked_through, 0)
    if found.acked_through:
        assert len(undelivered) + found.lost == BATCHES - acked_through


def removed(path):
    """Somebody has deleted a file in the middle."""
    files(path)[1].unlink()


def swapped(path):
    """Two files have each other's name."""
    first, second = files(path)[:2]
    first.rename(path / "x")
    second.rename(first)
    (path / "x").rename(second)


def duplicated(path):
    """A file has been copied, under names that may be a spool's and those that are not."""
    for name in ("00000099.spool", "copy of 1.spool"):
        shutil.copy(files(path)[0], path / name)


def a_folder(path):
    """A folder has the name of a file."""
    files(path)[1].unlink()
    (path / "00000002.spool").mkdir()


def a_pipe(path):
    """Reading it would never end."""
    (path / "00000002.spool").unlink()
    os.mkfifo(path / "00000002.spool")


@pytest.mark.parametrize("damage", [removed, swapped, duplicated, a_folder, a_pipe])
def test_files_that_are_not_as_they_were(tmp_path, damage):
    """What is still there is read, once and in order; what is not is counted."""
    path = leave_files(tmp_path)
    damage(path)

    found, read = check(path)

    assert len(read) + found.lost == BATCHES
    assert bool(found.lost) == (damage in (removed, a_folder, a_pipe))


def test_the_last_file_is_missed_too(tmp_path):
    """Nobody knows how much was in it, nor whether the session ended; that something is lost is known."""
    path = leave_files(tmp_path)
    files(path)[-1].unlink()

    found, read = check(path)

    assert 0 < len(read) < BATCHES
    assert (found.lost, found.has_end, found.is_end_unknown) == (1, False, True)
    again = reopened(path)
    assert again.lost == 1


@pytest.mark.parametrize("left", [0, 1, 2])
def test_files_behind_a_cut_are_missed(tmp_path, left):
    """Somebody has deleted all files but the first ones, and with the end of these what says that others follow."""
    path = leave_files(tmp_path)
    for file in files(path)[left:]:
        file.unlink()
    if left:
        last = files(path)[-1]
        with last.open("rb") as file:
            file.seek(8)
            *_, (_, end), _ = read_records(file, last.stat().st_size)
        os.truncate(last, end)

    for _ in range(2):
        found, kept = check(path)
        assert found.lost > 0
        assert len(kept) + found.lost <= BATCHES
        assert found.is_lost_uncounted
        assert found.is_end_unknown


def test_damage_beside_a_message_that_is_known_is_not_an_other_message(tmp_path):
    """What is lost is never more than what was written: a note of it says "at least"."""
    path = leave_files(tmp_path)
    last = files(path)[-1]
    content = last.read_bytes()
    torn = flip(
        flip(content, -1, 1), len(content) - 2 * len(outgoing_message(BATCHES).body) - 40, 1
    )
    last.write_bytes(torn + b"noise")

    found, kept = check(path)
    assert len(kept) + found.lost <= BATCHES


def test_what_was_given_up_for_room_is_not_damage(tmp_path):
    """Numbers that the trainer itself dropped, on the disk or before, are not missing afterwards."""
    spool = spool_in(tmp_path, limit_bytes=1 << 14)
    dropped = set()
    for sequence in range(1, 2_001):
        if sequence % 100 == 7:
            continue  # dropped in memory
        spool.append([outgoing_message(sequence)])
        while (shed := spool.make_room()) is not None:
            dropped |= set(shed.dropped)
    spool.release()

    found, read = check(spool.path)

    assert dropped
    assert found.lost == 0
    assert len(read) == 2_000 - 20 - len(dropped)


def test_what_an_earlier_version_gave_up_is_not_damage_either(tmp_path):
    """It noted no gaps: only those beside damage, and files that are missing, count."""
    odd = [outgoing_message(sequence) for sequence in range(1, 400, 2)]
    path = leave_old(tmp_path, odd[:50], odd[50:100], odd[100:150], odd[150:])
    other, third = (shutil.copytree(path, tmp_path / name) for name in ("damaged", "missing"))
    assert check(path)[0].lost == 0

    damaged = files(other)[1]
    content = damaged.read_bytes()
    damaged.write_bytes(flip(content, len(content) // 2, 1))
    found, read = check(other)
    assert found.lost > 0
    assert len(read) == len(odd) - 1

    files(third)[1].unlink()
    path = third
    found, read = check(path)
    assert found.lost == 101  # one between the files may have been given up
    assert len(read) == len(odd) - 50


def test_what_was_found_missing_is_remembered(tmp_path):
    """A delivery that is interrupted behind a gap, and run again, still knows of it."""
    path = leave_files(tmp_path)
    removed(path)
    found = reopened(path)
    lost = found.lost
    found.acknowledge(BATCHES - 10)
    found.release()

    for _ in range(2):
        again = reopened(path)
        again.release()
        assert again.lost == lost > 0
        assert again.count_unacknowledged()[0] == 10


@pytest.mark.parametrize("ended", [True, False])
def test_how_a_session_ended_may_be_what_is_damaged(tmp_path, ended):
    """Nobody says then that it ended silently; a process killed while it wrote has."""
    path = leave_files(tmp_path, ended=ended)
    last = files(path)[-1]
    whole = last.read_bytes()

    last.write_bytes(flip(whole, -1, 1))
    found, _ = check(path)
    assert (found.has_end, found.is_end_unknown, found.lost) == (False, ended, 1)

    other = leave_files(tmp_path / "torn", ended=ended)
    files(other)[-1].write_bytes(whole[: len(whole) - len(outgoing_message(BATCHES).body) - 20])
    found, _ = check(other)
    assert (found.has_end, found.is_end_unknown, found.lost) == (False, False, 1)
