"""The image index finds the batch that is meant."""

import math
import re

import pytest

from bridge.storage import index_queries as queries
from bridge.storage.index import ImageIndex, Prefer
from bridge.storage.shard_rows import ShardRows
from bridge.storage.shards import (
    Shard,
    ShardBatch,
    ShardImage,
    adopt_batches,
    mark_stored,
    put_batches,
    put_shards,
    shards_of_session,
    unstored_shards,
)
from bridge.storage.sqlite.database import SqliteDatabase

KEY = "run/2023-11-14/1700000000000-abcd0123-000001.tar"


@pytest.fixture
def index(database):
    """Return the index of it."""
    return ImageIndex(database)


def shard_batch(
    epoch, batch, *, at, loss=0.5, classes=((1, 1),), session_id="run", shard_id=1, attempt=1
):
    """Return a batch with an image for each (true, predicted) class."""
    images = tuple(
        ShardImage(i, 512 + 2048 * i, 300, predicted, 0.5, true)
        for i, (true, predicted) in enumerate(classes)
    )
    return ShardBatch(shard_id, session_id, epoch, batch, at, loss, images, attempt)


def shard_in(database, number=1, key=KEY, **states):
    """Return a shard in the spool of the bridge that has opened the database."""
    return Shard(number, "run", key, 4096, bridge_id=database.bridge_id, **states)


def put(database, *batches):
    """Commit batches of one shard."""
    with database.transaction() as transaction:
        put_shards(transaction, [shard_in(database)])
        put_batches(transaction, batches)


def names(batches):
    """Return which batches these are."""
    return [(batch.epoch, batch.batch) for batch in batches]


def test_a_batch_is_found_with_its_images(database, index):
    """What was put comes back, with the place of each image."""
    put(database, shard_batch(2, 7, at=1000, classes=((1, 1), (2, 1))))

    found = index.batch("run", 2, 7)
    first, second = index.images("run", 2, 7)

    assert (found.epoch, found.batch, found.received_ms, found.images) == (2, 7, 1000, 2)
    assert (first.location.key, first.location.offset, first.location.stored) == (KEY, 512, False)
    assert [first.is_wrong, second.is_wrong] == [False, True]
    assert index.batch("run", 2, 8) is None
    assert index.batch("other", 2, 7) is None


def test_a_batch_that_comes_again_replaces_all_of_its_older_self(database, index):
    """The newest wins, also when it has fewer images, and also within one commit."""
    put(database, shard_batch(1, 1, at=1000, classes=((1, 1),) * 4))
    again = shard_batch(1, 1, at=2000, classes=((3, 3),) * 3)
    put(database, again, shard_batch(1, 1, at=3000, classes=((2, 2),)))

    assert [image.true_class for image in index.images("run", 1, 1)] == [2]
    assert index.batch("run", 1, 1).received_ms == 3000


@pytest.fixture
def attempts(database, index):
    """Return the index of a session whose second attempt went back to batch 2, and went on to 4."""
    for number in (1, 2, 3):
        put(database, shard_batch(1, number, at=1000 + number, loss=9.0 + number))
    for number in (2, 4):
        again = shard_batch(1, number, at=2000 + number, classes=((2, 3),) * 2, attempt=2)
        put(database, again)
    return index


def test_attempts_are_kept_side_by_side(attempts):
    """A batch that two attempts have come past has the images of each, and without an attempt those of the newest."""
    both = [attempts.batch("run", 1, 2, attempt=number) for number in (None, 1, 2, 3)]
    images = [len(attempts.images("run", 1, 2, attempt=number)) for number in (None, 1, 2, 3)]

    assert [found and found.attempt for found in both] == [2, 1, 2, None]
    assert images == [2, 1, 2, 0]
    assert attempts.batch("run", 1, 3).attempt == 1
    assert len(attempts.images("run", 1, 3)) == 1
    assert attempts.attempts("run") == [1, 2]
    assert attempts.attempts("other") == []


def test_a_run_is_stitched_by_epoch_and_batch(attempts):
    """Pages and neighbours lead through each place once, as the newest attempt had it."""
    page = attempts.page("run", limit=9)
    before, after = attempts.neighbours("run", 1, 3)

    assert [(one.batch, one.attempt) for one in page] == [(1, 1), (2, 2), (3, 1), (4, 2)]
    assert [(one.batch, one.received_ms) for one in page] == [
        (1, 1001),
        (2, 2002),
        (3, 1003),
        (4, 2004),
    ]
    assert [one.batch for one in attempts.page("run", limit=1, after=(1, 2))] == [3]
    assert [(one.batch, one.attempt) for one in (before, after)] == [(2, 2), (4, 2)]


def test_one_attempt_is_seen_by_itself(attempts):
    """Each query takes an attempt; without one, what is found by loss, time or class may be of any, and says of which."""
    first = {"attempt": 1}

    assert names(attempts.page("run", limit=9, **first)) == [(1, 1), (1, 2), (1, 3)]
    assert names(attempts.newest("run", limit=1, **first)) == [(1, 3)]
    assert names(attempts.worst("run", limit=1, attempt=2)) in ([(1, 2)], [(1, 4)])
    assert attempts.worst("run", limit=1)[0].attempt == 1
    assert attempts.newest("run", limit=1)[0].attempt == 2
    assert [one and one.batch for one in attempts.neighbours("run", 1, 2, attempt=2)] == [None, 4]
    cell = {"actual": 1, "predicted": 1}
    assert attempts.of_cell("run", actual=2, predicted=3).attempt == 2
    assert attempts.of_cell("run", **cell).batch == 3
    assert attempts.of_cell("run", **cell, attempt=2) is None
    at = {"at_ms": 9_000, "window_ms": 8_500, "prefer": Prefer.MAX_LOSS}
    assert attempts.at("run", **at).attempt == 1
    assert attempts.at("run", **at, attempt=2).attempt == 2


def test_worst_begins_with_what_is_not_a_number(database, index):
    """A batch whose loss is not a number is the worst of all."""
    for number, loss in enumerate((0.5, math.nan, 3.0, 1.0)):
        put(database, shard_batch(1, number, at=1000 + number, loss=loss))

    assert names(index.worst("run", limit=3)) == [(1, 1), (1, 2), (1, 3)]
    assert names(index.newest("run", limit=2)) == [(1, 3), (1, 2)]


@pytest.mark.parametrize(
    ("query", "expected", "sorts"),
    [
        (queries.WORST, "batches_by_loss", False),
        (queries.NEWEST, "batches_by_time", False),
        (queries.LAST_UNTIL, "batches_by_time", False),
        (queries.FIRST_AFTER, "batches_by_time", False),
        (queries.IN_WINDOW_BY_TIME, "batches_by_time", False),
        (queries.IN_WINDOW_BY_LOSS, "batches_by_time", True),
        (queries.BEFORE, "batches_by_place", False),
        (queries.AFTER, "batches_by_place", False),
        (queries.PAGE, "batches_by_place", False),
        (queries.EPOCHS, "batches_by_place", False),
        (queries.OF_CELL, "images_by_class", False),
    ],
)
def test_no_question_walks_through_a_session(tmp_path, query, expected, sorts):
    """A session of many batches has the answer at hand, in one of its indexes; what is sorted is short."""
    database = SqliteDatabase(tmp_path / "bridge.db", durable=False)
    text, constants = query.of_all.compiled("sqlite", {})
    names = re.findall(r":(\w+)", text)

    plan = " ".join(
        row[-1]
        for row in database.query(
            f"EXPLAIN QUERY PLAN {text}", {**dict.fromkeys(names, 1), **constants}
        )
    )
    database.close()

    assert f"INDEX {expected} (session_id=?" in plan
    assert ("TEMP B-TREE FOR ORDER BY" in plan, "SCAN" in plan) == (sorts, False)


def test_neighbours_and_pages_go_by_epoch_and_batch(database, index):
    """The way through a session's batches leads through all of them, in order."""
    for epoch, number in ((1, 5), (1, 20), (2, 0), (2, 3)):
        put(database, shard_batch(epoch, number, at=1000))

    before, after = index.neighbours("run", 2, 0)

    assert (names([before]), names([after])) == ([(1, 20)], [(2, 3)])
    assert index.neighbours("run", 1, 5)[0] is None
    assert index.neighbours("run", 2, 3)[1] is None
    assert names(index.page("run", limit=3)) == [(1, 5), (1, 20), (2, 0)]
    assert names(index.page("run", limit=3, after=(2, 0))) == [(2, 3)]


@pytest.mark.parametrize(
    ("at", "window", "prefer", "epoch", "expected"),
    [
        (5000, 3000, Prefer.MAX_LOSS, None, (1, 3)),
        (5000, 3000, Prefer.NEWEST, None, (2, 5)),
        (5000, 3000, Prefer.NEWEST, 1, (1, 4)),
        (3999, 1000, Prefer.MAX_LOSS, None, (1, 3)),
        (4000, 1000, Prefer.MAX_LOSS, None, (1, 4)),
        (9000, 1000, Prefer.MAX_LOSS, None, (2, 5)),
        (500, 100, Prefer.MAX_LOSS, None, (1, 1)),
        (500, 100, Prefer.NEWEST, 2, (2, 5)),
        (9000, 100, Prefer.NEWEST, 7, None),
    ],
)
def test_a_moment_means_one_batch(database, index, at, window, prefer, epoch, expected):
    """Within (at - window, at] the one preferred; else the nearest older, else the first after."""
    for number, loss in ((1, 1.0), (2, 1.0), (3, 9.0), (4, 2.0)):
        put(database, shard_batch(1, number, at=number * 1000, loss=loss))
    put(database, shard_batch(2, 5, at=5000, loss=3.0))

    found = index.at("run", at_ms=at, window_ms=window, prefer=prefer, epoch=epoch)

    assert (names([found])[0] if found else None) == expected


def test_the_highest_loss_may_be_the_highest_finite_one(database, index):
    """A spike before a loss that is not a number is what a series of extremes shows."""
    for number, loss in enumerate((9.0, math.nan, None, 1.0)):
        put(database, shard_batch(1, number, at=1000 + number, loss=loss))
    window = {"at_ms": 2000, "window_ms": 2000}

    assert index.at("run", prefer=Prefer.MAX_LOSS, **window).batch == 1
    assert index.at("run", prefer=Prefer.MAX_FINITE_LOSS, **window).batch == 0


def test_a_cell_of_the_confusion_matrix_leads_to_its_newest_batch(database, index):
    """The images of one mistake are found, within a time where one is given."""
    put(database, shard_batch(1, 1, at=1000, classes=((3, 8),)))
    put(database, shard_batch(1, 2, at=2000, classes=((3, 3), (3, 8))))
    put(database, shard_batch(1, 3, at=3000, classes=((8, 3),)))

    assert names([index.of_cell("run", actual=3, predicted=8)]) == [(1, 2)]
    assert names([index.of_cell("run", actual=3, predicted=8, to_ms=1500)]) == [(1, 1)]
    assert index.of_cell("run", actual=3, predicted=8, from_ms=2500) is None


def test_a_stored_shard_no_longer_waits(database, index):
    """Marking a shard as stored changes where its images are read, and nothing else."""
    put(database, shard_batch(1, 1, at=1000))
    before = unstored_shards(database)

    with database.transaction() as transaction:
        unknown = mark_stored(transaction, [1, 2])

    assert unknown == [2]
    assert [shard.key for shard in before] == [KEY]
    assert unstored_shards(database) == []
    assert index.images("run", 1, 1)[0].location.stored


def test_what_was_cut_off_is_forgotten(database, index):
    """Batches that lost some images keep the others; those that lost all are gone."""
    put(
        database,
        shard_batch(1, 1, at=1000, classes=((1, 1), (2, 2))),
        ShardBatch(1, "run", 1, 2, 1001, 0.5, (ShardImage(0, 9000, 300, 1, 0.5, 1),)),
    )

    with database.transaction() as transaction:
        lost = ShardRows(database, ()).delete_except(transaction, shard_in(database), [512])
    kept = index.images("run", 1, 1)
    batch = index.batch("run", 1, 1)
    gone = index.batch("run", 1, 2)
    with database.transaction() as transaction:
        also_lost = ShardRows(database, ()).delete_shard(transaction, shard_in(database))

    assert (lost, batch.images, also_lost) == (2, 1, 1)
    assert [image.position for image in kept] == [0]
    assert gone is None
    assert index.newest("run", limit=9) == []
    assert shards_of_session(database, "run") == []


def test_what_is_found_again_does_not_replace_what_is_newer(database, index):
    """Reading an old shard back changes nothing where the index knows better."""
    put(database, shard_batch(1, 1, at=5000, classes=((1, 1),)))

    with database.transaction() as transaction:
        put_shards(transaction, [shard_in(database, 2, KEY + "2", closed=True, stored=True)])
        older = shard_batch(1, 1, at=4000, classes=((2, 2),), shard_id=2)
        unknown = shard_batch(1, 2, at=4000, classes=((3, 3),), shard_id=2)
        adopt_batches(transaction, database, [older, unknown])

    assert [image.true_class for image in index.images("run", 1, 1)] == [1]
    assert [image.true_class for image in index.images("run", 1, 2)] == [3]


def test_a_loss_that_is_not_reported_is_none_and_the_least(database, index):
    """It differs from one that is not a number, and comes after every loss there is."""
    for number, loss in enumerate((None, math.nan, -3.0, math.inf)):
        put(database, shard_batch(1, number, at=1000 + number, loss=loss))

    found = [index.batch("run", 1, number).loss for number in range(4)]

    assert found[0] is None
    assert found[2] == -3.0
    assert math.isnan(found[1])
    assert math.isnan(found[3])
    assert set(names(index.worst("run", limit=9))) == {(1, 1), (1, 2), (1, 3)}
    ahead = index.at("run", at_ms=1002, window_ms=1, prefer=Prefer.MAX_LOSS)
    assert (ahead.epoch, ahead.batch) == (1, 2)
    only = index.at("run", at_ms=1000, window_ms=1, prefer=Prefer.MAX_LOSS)
    assert (only.epoch, only.batch) == (1, 0)


@pytest.mark.parametrize(
    ("kept", "confidence"), [(0.0, None), (5.0, None), (None, None), (0.5, 0.5)]
)
def test_rows_of_older_versions_hold_confidences_that_are_none(database, index, kept, confidence):
    """A 0 was not reported, and what lies outside 0..1 is not a confidence."""
    image = ShardImage(0, 512, 300, 1, kept, 1)
    put(database, ShardBatch(1, "run", 1, 1, 1000, 0.5, (image,)))

    assert index.images("run", 1, 1)[0].confidence == confidence
