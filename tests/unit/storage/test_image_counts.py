"""How many images of which attempt came to what, on disk."""

import pytest
from support.shared_database import opened

from bridge.errors import UnwritableError
from bridge.model import ImageResult
from bridge.storage.image_counts import (
    IMAGES,
    ImageCount,
    ReadCounts,
    add_counts,
    counts_of,
    counts_of_all,
)


def add(database, *counts):
    """Commit counts of the first attempt of a session, each a result, how many, and when."""
    with database.transaction() as transaction:
        add_counts(transaction, [ImageCount("run", 1, *count) for count in counts])


def test_counts_add_up(database):
    """Each result by itself, with the time of the newest image, whatever the order they are written in."""
    add(database, (ImageResult.STORED, 2, 50), (ImageResult.DROPPED, 1, 60))
    add(database, (ImageResult.STORED, 3, 40), (ImageResult.STORED, 4, 70))

    found = counts_of(database, "run", 1)

    assert sorted(found.counts) == [
        ImageCount("run", 1, ImageResult.DROPPED, 1, 60),
        ImageCount("run", 1, ImageResult.STORED, 9, 70),
    ]
    assert found.damaged == 0


def test_each_attempt_has_its_own(database):
    """Nothing is found of others, nor of sessions that have none."""
    add(database, (ImageResult.STORED, 2, 50))

    assert counts_of(database, "run", 2) == counts_of(database, "other", 1) == ReadCounts((), 0)


@pytest.mark.parametrize(("images", "at_ms"), [(-1, 5), (IMAGES.stop, 5), (1, -1)])
def test_a_row_that_no_bridge_has_written_counts_as_damaged(database, images, at_ms):
    """The others of its attempt are read."""
    add(database, (ImageResult.STORED, 2, 50), (ImageResult.DROPPED, images, at_ms))

    found = counts_of(database, "run", 1)

    assert found.counts == (ImageCount("run", 1, ImageResult.STORED, 2, 50),)
    assert found.damaged == 1


def test_a_count_beyond_the_database_is_refused(database):
    """It costs its row, which is named, and no other."""
    with pytest.raises(UnwritableError):
        add(database, (ImageResult.STORED, 2**63, 50))
    refused = []
    with database.transaction(refused=refused) as transaction:
        counts = ((ImageResult.STORED, 2**63), (ImageResult.DROPPED, 1))
        add_counts(transaction, [ImageCount("run", 1, *count, 50) for count in counts])

    assert [row.table for row in refused] == ["tallies"]
    assert [count.result for count in counts_of(database, "run", 1).counts] == [ImageResult.DROPPED]


def test_those_of_many_sessions_are_read_at_once(postgres_url):
    """Of each the attempt that is asked for; a row that is damaged is counted where it is."""
    stored = ImageCount("run", 2, ImageResult.STORED, 3, 40)
    dropped = ImageCount("other", 1, ImageResult.DROPPED, 1, 60)
    damaged = ImageCount("other", 1, ImageResult.STORED, -1, 60)
    with opened(postgres_url) as database:
        with database.transaction() as transaction:
            add_counts(transaction, [stored, stored._replace(attempt=1), dropped, damaged])

        found = counts_of_all(database, {"run": 2, "other": 1, "none": 1})

        assert found == {
            "run": ReadCounts((stored,), 0),
            "other": ReadCounts((dropped,), 1),
            "none": ReadCounts((), 0),
        }
        assert found == {
            name: counts_of(database, name, attempt)
            for name, attempt in {"run": 2, "other": 1, "none": 1}.items()
        }
