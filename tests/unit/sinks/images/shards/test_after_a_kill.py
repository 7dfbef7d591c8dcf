"""What is known of images after a kill is what the last commit knew."""

import shutil

from support.images import Bench, batch, session
from support.stores import MemoryStore

from bridge.lifecycle import Expired, Registered
from bridge.model import ImageResult
from bridge.sinks.images import Keep
from bridge.storage.image_counts import counts_of
from bridge.storage.windows import held_windows


def killed(bench, folder):
    """Return the folder as a kill would leave it now."""
    shutil.copytree(bench.spool.parent, folder)
    return folder


def taken_up(bench, run):
    """Have a bridge that starts know of a session from before."""
    run.restored_state["images"] = counts_of(bench.database, run.id, run.attempt).counts
    bench.images.replay(run, Registered(), 0.0)
    bench.images.resume([run])
    bench.commit()


async def test_what_an_open_window_holds_survives(tmp_path):
    """The batch behind a spike is on disk with its acknowledgment, before its window has chosen it."""
    store, run = MemoryStore(), session()
    async with Bench(
        tmp_path / "one", store, keep=Keep.SAMPLE, batches_per_second=0.01
    ).running() as one:
        one.register(run)
        for index, loss in enumerate((0.5, 5.0, 1.0)):
            one.send(run, batch(1, index, loss=loss))
        one.commit()
        assert one.books()[ImageResult.STORED] == 2
        left = killed(one, tmp_path / "two")
        one.send(run, batch(1, 3, loss=9.0))  # this one was never acknowledged

    async with Bench(left, MemoryStore(), keep=Keep.SAMPLE).running() as two:
        run.batches, run.epoch = 3, 1
        taken_up(two, run)
        two.received = 6
        books = two.books()
        again = killed(two, tmp_path / "three")
        found = two.index.newest("run", limit=10)

    assert books == {
        ImageResult.STORED: 4,
        ImageResult.SAMPLED_OUT: 2,
        ImageResult.DROPPED: 0,
        ImageResult.INVALID: 0,
    }
    assert sorted(row.batch for row in found) == [0, 1]
    async with Bench(again, MemoryStore(), keep=Keep.SAMPLE).running() as three:
        assert held_windows(three.database) == []
        taken_up(three, run)
        assert three.resolved[ImageResult.STORED] == 4


async def test_a_held_batch_without_a_loss_survives(tmp_path):
    """A loss that was not reported does not count as damage: the batch was acknowledged, and is kept."""
    run = session()
    async with Bench(
        tmp_path / "one", MemoryStore(), keep=Keep.SAMPLE, batches_per_second=0.01
    ).running() as one:
        one.register(run)
        one.send(run, batch(1, 0))
        one.send(run, batch(1, 1, loss=None))
        one.commit()
        left = killed(one, tmp_path / "two")

    async with Bench(left, MemoryStore(), keep=Keep.SAMPLE).running() as two:
        run.batches, run.epoch = 2, 1
        taken_up(two, run)
        found = two.index.newest("run", limit=10)

    assert {row.batch: row.loss for row in found} == {0: 0.5, 1: None}
    assert two.metric("bridge_dropped_total", what="window", reason="damaged") is None


async def test_every_count_survives_and_goes_on(tmp_path):
    """Stored, sampled out, dropped and invalid: each image once, over any number of kills."""
    run, folder, expected = session(), tmp_path / "0", 0
    for life in range(1, 4):
        async with Bench(folder, MemoryStore(), memory_bytes=1_500).running() as bench:
            if life > 1:
                taken_up(bench, run)
            else:
                bench.register(run)
            bench.received = expected
            for index in range(5):
                bench.send(run, batch(life, index, images=2, invalid=1))
            bench.commit()
            expected += 15
            books = bench.books()
            assert sum(books.values()) == expected
            assert books[ImageResult.INVALID] == 5 * life
            assert books[ImageResult.DROPPED] > 0
            folder = killed(bench, tmp_path / str(life))


async def test_another_attempt_counts_anew(tmp_path):
    """What the first attempt was counted for is none of the second one's business."""
    async with Bench(tmp_path / "one", MemoryStore()).running() as bench:
        first, second = session(), session(attempt=2)
        bench.register(first)
        bench.send(first, batch(1, 0))
        bench.commit()
        bench.images.consume(first, Expired(), 0.0)
        bench.resolved.clear()

        second.restored_state["images"] = counts_of(bench.database, "run", 1).counts
        bench.register(second)

        assert not bench.resolved
        assert bench.images.counts("run") == (0, 0)


async def test_a_damaged_window_costs_only_itself(tmp_path):
    """The bridge starts, says so, and keeps what the other windows held."""
    store, runs = MemoryStore(), (session("good"), session("bad"))
    bench = Bench(tmp_path / "one", store, keep=Keep.SAMPLE, batches_per_second=0.01)
    async with bench.running() as one:
        for run in runs:
            one.register(run)
            for index in range(2):
                one.send(run, batch(1, index))
        one.commit()
        with one.database.transaction() as transaction:
            transaction.execute("UPDATE windows SET offer = x'c1' WHERE session_id = 'bad'")
        left = killed(one, tmp_path / "two")

    async with Bench(left, MemoryStore(), keep=Keep.SAMPLE).running() as two:
        two.images.resume(runs)
        two.commit()
        assert [row.batch for row in two.index.newest("good", limit=5)] == [1, 0]
        assert [row.batch for row in two.index.newest("bad", limit=5)] == [0]
        assert two.metric("bridge_dropped_total", what="window", reason="damaged") == 1
        assert held_windows(two.database) == []
