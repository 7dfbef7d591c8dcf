"""The images of a run, listed and compared."""

from dataclasses import replace

from bridge.canary.gallery import Gallery
from bridge.canary.run import Place, image_of, loss_of, sample_of
from bridge.canary.shown import Listed, UnreadableError
from bridge.canary.verdict import Kind

NAME = "canary-1"


def listed(epoch, batch, position=0):
    """Return an image as an honest index has it."""
    place = Place(epoch, batch, position)
    sample = sample_of(place.number, position)
    return Listed(
        place, loss_of(place.number), sample.predicted_class, sample.confidence, sample.true_class
    )


class Shelf:
    """Lists what it is given, and has the right bytes, unless told otherwise."""

    def __init__(self, *entries):
        self.entries = list(entries)
        self.files = {}
        self.failing = False
        self.lists = 0

    def images(self, session_id, after=None):
        self.lists += 1
        if self.failing:
            raise UnreadableError("away")
        mark = (after.epoch, after.batch) if after else (-1, -1)
        yield from (one for one in self.entries if (one.place.epoch, one.place.batch) > mark)

    def image(self, session_id, place):
        if self.failing:
            raise UnreadableError("away")
        return self.files.get(place, image_of(session_id, place))


def gallery_of(shelf):
    """Return a gallery of two images a batch."""
    return Gallery(NAME, shelf, samples=2, overdue_seconds=15.0)


def looked(gallery, stored, at=0.0, **more):
    """Look when a hundred batches have been said."""
    return gallery.look(stored, lambda: 100, at=at, **more)


def test_every_image_is_listed_and_compared_once():
    """The list is followed from where it ended; what was right is not asked for again."""
    shelf = Shelf(listed(0, 0), listed(0, 0, 1))
    gallery = gallery_of(shelf)
    first = looked(gallery, 2)
    shelf.entries.append(listed(0, 5))
    second = looked(gallery, 3)

    assert [place.batch for place in first.new] == [0, 0]
    assert [place.batch for place in second.new] == [5]
    assert first.findings == second.findings == []
    assert (gallery.listed, gallery.compared, gallery.unread) == (3, 3, 0)
    assert shelf.lists == 2


def test_an_image_that_was_put_in_behind_is_found():
    """Where the list seems too short, it is read from its beginning."""
    shelf = Shelf(listed(1, 0))
    gallery = gallery_of(shelf)
    looked(gallery, 1)
    shelf.entries.insert(0, listed(0, 5))

    assert [place.batch for place in looked(gallery, 2).new] == [5]


def test_an_image_that_is_listed_twice_is_a_duplicate():
    """The same place of the same batch, told once."""
    gallery = gallery_of(Shelf(listed(0, 0), listed(0, 0)))
    (found,) = looked(gallery, 1, whole=True).findings

    assert (found.kind, found.count) == (Kind.DUPLICATE, 1)
    assert looked(gallery, 1, whole=True).findings == []


def test_an_image_that_nobody_sent_is_wrong():
    """Of a batch not said yet, of one without images, or of a place that no batch has."""
    gallery = gallery_of(Shelf(listed(9, 0), listed(0, 1), listed(0, 0, 2)))

    assert [found.kind for found in looked(gallery, 0).findings] == [Kind.WRONG] * 3


def test_what_the_list_says_of_an_image_is_compared():
    """Loss, classes and confidence are those that were sent."""
    right = listed(0, 0)
    for wrong in (
        replace(right, loss=9.0),
        replace(right, predicted_class=7),
        replace(right, confidence=0.1),
        replace(right, true_class=None),
    ):
        (found,) = looked(gallery_of(Shelf(wrong)), 1).findings
        assert found.kind is Kind.WRONG


def test_an_image_that_is_gone_for_long_is_missing():
    """A 404 may be a matter of moments; one that lasts is told, once."""
    shelf = Shelf(listed(0, 0))
    shelf.files[Place(0, 0, 0)] = None
    gallery = gallery_of(shelf)

    assert [len(looked(gallery, 1, at=at).findings) for at in (0.0, 14.0, 16.0, 40.0)] == [
        0,
        0,
        1,
        0,
    ]


def test_a_store_that_is_away_proves_nothing():
    """What could not be read is read later; that it lasts is told to whoever waits for the end."""
    shelf = Shelf(listed(0, 0))
    shelf.failing = True
    gallery = gallery_of(shelf)
    seen = [looked(gallery, 1, at=at) for at in (1.0, 20.0)]

    assert not any(one.findings or one.is_listed for one in seen)
    assert gallery.is_failing(20.0)
    shelf.failing = False
    assert looked(gallery, 1, at=21.0).is_read
    assert not gallery.is_failing(60.0)
    assert gallery.compared == 1
