"""Two indexes answer as one that has the images of both would."""

import math
import random

import pytest
from support.images import NOON_MS
from support.shared_database import opened

from bridge.storage.index import ImageIndex, Prefer
from bridge.storage.merged_index import MergedIndex
from bridge.storage.shards import Shard, ShardBatch, ShardImage, put_batches, put_shards
from bridge.storage.sqlite.database import SqliteDatabase

LOSSES = (None, math.nan, 0.25, 0.5, 0.5, 1.5, 3.0)


def made(number, rng, *, attempt, epoch, batch):
    """Return a batch with images, received at a time of its own."""
    images = tuple(
        ShardImage(position, 4096 * position, 100 + number, rng.randrange(2), 0.5, rng.randrange(2))
        for position in range(rng.randrange(1, 4))
    )
    at = NOON_MS + 1000 * number
    return ShardBatch(1, "run", epoch, batch, at, rng.choice(LOSSES), images, attempt)


def random_batches(rng):
    """Return batches of a session, no two of the same attempt, epoch and number."""
    places = [(a, e, b) for a in (1, 2, 3) for e in (0, 1, 2) for b in range(5)]
    rng.shuffle(places)
    return [
        made(number, rng, attempt=attempt, epoch=epoch, batch=batch)
        for number, (attempt, epoch, batch) in enumerate(places[:25])
    ]


@pytest.fixture
def indexed(tmp_path):
    """Return a function that puts batches into an index of their own."""
    databases = []

    def index_of(batches, key="run/2023-11-14/1700000000000-a1-abcd0123-000001.tar"):
        database = SqliteDatabase(tmp_path / f"{len(databases)}.db", durable=False)
        databases.append(database)
        with database.transaction() as transaction:
            put_shards(transaction, [Shard(1, "run", key, 4096, True, True)])
            put_batches(transaction, batches)
        return ImageIndex(database)

    yield index_of
    for database in databases:
        database.close()


@pytest.fixture
def shared_index(postgres_url):
    """Return a function that puts batches into an index which several bridges share."""
    with opened(postgres_url) as database:

        def index_of(batches):
            key = "run/2023-11-14/1700000000000-a1-abcd0123-000001.tar"
            with database.transaction() as transaction:
                put_shards(transaction, [Shard(1, "run", key, 4096, True, True)])
                put_batches(transaction, batches)
            return ImageIndex(database)

        yield index_of


def answers(index, attempt):
    """Return what an index says to many questions, with NaN as text so that answers can be compared."""
    yield index.attempts("run")
    yield index.last_attempt("run")
    for limit in (1, 7, 100):
        yield index.newest("run", limit=limit, attempt=attempt)
        yield [one.loss for one in index.worst("run", limit=limit, attempt=attempt)]
        yield index.page("run", limit=limit, attempt=attempt)
        yield index.page("run", limit=limit, after=(1, 2), attempt=attempt)
    yield [one.epoch for one in index.epochs("run", limit=9, attempt=attempt)]
    for epoch in range(4):
        for batch in range(6):
            yield index.batch("run", epoch, batch, attempt=attempt)
            yield sorted(index.attempts_of_batch("run", epoch, batch))
            yield index.images("run", epoch, batch, attempt=attempt)
            yield index.neighbours("run", epoch, batch, attempt=attempt)
    for seconds in range(-2, 28, 3):
        for prefer in Prefer:
            for epoch in (None, 1):
                found = index.at(
                    "run",
                    at_ms=NOON_MS + seconds * 1000,
                    window_ms=5000,
                    prefer=prefer,
                    epoch=epoch,
                    attempt=attempt,
                )
                # Of several with the same loss any may be meant.
                yield found if prefer is Prefer.NEWEST else found and found.loss
    for actual in (0, 1, 2):
        for to_ms in (None, NOON_MS + 12_000):
            yield index.of_cell("run", actual=actual, predicted=1, to_ms=to_ms, attempt=attempt)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("attempt", [None, 1, 2])
def test_it_answers_as_one_index_would(indexed, seed, attempt):
    """Whatever is asked, and however the batches are spread over the two."""
    rng = random.Random(seed)
    batches = random_batches(rng)
    own = [one for one in batches if rng.random() < 0.5]
    other = [one for one in batches if one not in own]
    merged = MergedIndex(indexed(own), indexed(other))
    for theirs, ours in zip(
        answers(indexed(batches), attempt), answers(merged, attempt), strict=True
    ):
        assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("seed", range(4))
def test_both_databases_answer_alike(indexed, shared_index, seed):
    """Whatever is asked: in PostgreSQL as in a file of one bridge."""
    batches = random_batches(random.Random(seed))
    own, shared = indexed(batches), shared_index(batches)
    for attempt in (None, 1, 2):
        for ours, theirs in zip(answers(own, attempt), answers(shared, attempt), strict=True):
            assert repr(theirs) == repr(ours)


def test_a_batch_that_both_have_is_the_own_one_and_comes_once(indexed):
    """A shard may be read from the store before this bridge notes that it has stored it."""
    rng = random.Random(1)
    batch = made(3, rng, attempt=1, epoch=1, batch=2)
    own, other = (f"run/2023-11-14/1700000000000-a1-{name}-000001.tar" for name in ("own", "other"))
    merged = MergedIndex(indexed([batch], own), indexed([batch], other))
    assert len(merged.newest("run", limit=9)) == len(merged.page("run", limit=9)) == 1
    assert {image.location.key for image in merged.images("run", 1, 2)} == {own}
    assert merged.epochs("run", limit=9)[0].images == len(batch.images)
