"""The files of one session: in order, bounded, and deleted when acknowledged."""

import errno
import os

import pytest
from support.spools import leave, open_files, outgoing_message, reopened, sequences, spool_in

from bridge.client.delivery.message import Priority
from bridge.wire import metrics_pb2 as wire

PLENTY = 1 << 30


@pytest.fixture
def spool(tmp_path):
    """Return a spool of small files."""
    spool = spool_in(tmp_path, limit_bytes=1 << 16)
    yield spool
    spool.release()


def fill(spool, numbers, **options):
    """Write messages one by one."""
    for sequence in numbers:
        spool.append([outgoing_message(sequence, **options)])


def files(spool):
    """Return the names of the files that hold messages."""
    return sorted(path.name for path in spool.path.glob("*.spool"))


def test_messages_come_back_in_order_from_wherever_is_asked(spool):
    """Across files, in pieces, and while more is written."""
    fill(spool, range(1, 201))
    assert len(files(spool)) > 1

    first = spool.read(0, 2_000)
    assert 1 < len(first) < 200
    fill(spool, range(201, 251))
    rest = spool.read(first[-1].sequence, PLENTY)

    assert sequences(first + rest) == list(range(1, 251))
    assert sequences(spool.read(100, PLENTY)) == list(range(101, 251))
    assert spool.read(250, PLENTY) == []
    assert len(spool.read(0, 1)) == 1


def test_what_is_acknowledged_is_deleted(spool):
    """A file goes when everything in it is acknowledged, and not before."""
    fill(spool, range(1, 401))
    before = files(spool)
    spool.acknowledge(200)

    assert len(files(spool)) < len(before)
    assert sequences(spool.read(200, PLENTY)) == list(range(201, 401))
    spool.acknowledge(400)
    assert files(spool) == before[-1:]


def test_another_process_finds_all_that_was_left(tmp_path):
    """How much, from where on, and whether the session has ended."""
    messages = [outgoing_message(1, Priority.CRITICAL), *map(outgoing_message, range(2, 9))]
    found = reopened(leave(tmp_path, messages, acked_through=3))

    assert found.count_unacknowledged() == (5, 5)
    assert (found.acked_through, found.last, found.has_end, found.damaged) == (3, 8, False, 0)
    assert sequences(found.read(3, PLENTY)) == [4, 5, 6, 7, 8]
    found.append([outgoing_message(9, Priority.FINAL)])
    assert sequences(found.read(7, PLENTY)) == [8, 9]
    found.release()
    assert reopened(found.path).has_end


def test_the_end_is_remembered_when_its_message_is_gone(tmp_path):
    """An answer may follow the last status, in another file; the session has ended nevertheless."""
    spool = spool_in(tmp_path, limit_bytes=1 << 16)
    fill(spool, range(1, 101))
    spool.append([outgoing_message(101, Priority.FINAL)])
    fill(spool, range(102, 202), priority=Priority.CRITICAL)
    spool.acknowledge(101)
    spool.release()
    first = spool.read(101, 1)[0]

    found = reopened(spool.path)

    assert first.sequence == 102
    assert found.has_end
    assert found.count_unacknowledged() == (100, 0)


def test_a_torn_tail_is_followed_by_a_new_file(tmp_path):
    """What comes after a crash is not written behind half a record, where nobody would find it."""
    path = leave(tmp_path, [outgoing_message(1), outgoing_message(2)])
    (file,) = path.glob("*.spool")
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 1)

    found = reopened(path)
    found.append([outgoing_message(5)])

    assert sequences(found.read(0, PLENTY)) == [1, 5]


def test_a_damaged_record_is_counted(tmp_path):
    """Its neighbours are delivered, and whoever delivers them can tell of it."""
    path = leave(tmp_path, [outgoing_message(1), outgoing_message(2), outgoing_message(3)])
    (file,) = path.glob("*.spool")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    found = reopened(path)

    assert found.damaged == 1
    assert sequences(found.read(0, PLENTY)) == [1, 3]


def test_room_is_made_by_the_images_of_the_oldest_batches_first(spool):
    """File by file; numbers stay as long as there are images."""
    sequence = 0
    while spool.size_bytes <= 1 << 16:
        sequence += 1
        spool.append([outgoing_message(sequence, images=4)])

    shed = spool.make_room()

    assert not shed.dropped
    assert list(shed.stripped) == list(range(1, len(shed.stripped) + 1))
    assert set(shed.stripped.values()) == {4}
    left = spool.read(0, PLENTY)
    assert sequences(left) == list(range(1, sequence + 1))
    assert [message.images for message in left] == [
        0 if message.sequence in shed.stripped else 4 for message in left
    ]
    first = wire.MetricsRequest.FromString(left[0].body).batch_data
    assert (first.batch_idx, len(first.images)) == (1, 0)
    assert spool.make_room() is None


def test_then_every_other_message_goes_and_precious_ones_never(spool):
    """A spool that is full for long keeps its limit, its order, and every epoch."""
    written, dropped, precious = 0, set(), []
    while written < 5_000:
        written += 1
        priority = Priority.CRITICAL if written % 50 == 0 else Priority.BATCH
        precious += [written] if priority is Priority.CRITICAL else []
        spool.append([outgoing_message(written, priority)])
        while (shed := spool.make_room()) is not None:
            assert not dropped & set(shed.dropped)
            dropped |= set(shed.dropped)
        assert spool.size_bytes <= 1 << 16

    left = sequences(spool.read(0, PLENTY))
    assert left == sorted(set(range(1, 5_001)) - dropped)
    assert set(precious) <= set(left)
    assert sum(number <= 2_500 for number in left) > len(left) / 4, "the beginning is thinned alike"


def test_a_spool_of_precious_messages_alone_stays_whole(spool):
    """There is nothing that may go, so nothing goes, and no loop tries endlessly."""
    fill(spool, range(1, 3_001), priority=Priority.CRITICAL)

    assert spool.size_bytes > 1 << 16
    assert spool.make_room() is None
    assert len(spool.read(0, PLENTY)) == 3_000


def test_a_full_disk_costs_what_was_not_written(spool, monkeypatch):
    """The record that was torn is not found, and what comes when there is room again is."""
    fill(spool, [1, 2])
    write = os.write

    def full(file, content):
        if len(content) > 10:
            return write(file, content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        spool.append([outgoing_message(3)])
    monkeypatch.undo()
    spool.append([outgoing_message(4)])

    assert sequences(spool.read(0, PLENTY)) == [1, 2, 4]
    spool.release()
    found = reopened(spool.path)
    assert sequences(found.read(0, PLENTY)) == [1, 2, 4]


def test_what_is_acknowledged_makes_room_on_a_full_disk(spool, monkeypatch):
    """No byte can be written there before something is deleted."""
    fill(spool, range(1, 401))
    before = files(spool)
    write = os.write

    def full(file, content):
        if files(spool) == before:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, content)

    monkeypatch.setattr(os, "write", full)
    spool.acknowledge(300)

    assert len(files(spool)) < len(before)
    assert spool.acked_through == 300
    spool.release()
    found = reopened(spool.path)
    assert (found.acked_through, found.lost) == (300, 0)


def test_files_are_closed_when_they_are_on_the_disk(spool):
    """However many files a spool has had, few are open."""
    before = len(open_files())
    fill(spool, range(1, 1_001))
    spool.sync()

    assert len(files(spool)) > 5
    assert len(open_files()) <= before + 1
