"""The images of a run, listed and compared."""

from dataclasses import replace

from bridge.canary.gallery import Gallery
from bridge.canary.run import KnownRun
from bridge.canary.verdict import Kind
from bridge.client.query import NoBridgeError, ProblemError
from bridge.client.query_types import ListedBatch, ListedImage

RUN = KnownRun("canary-1", epoch_batches=20, samples=2, images_every=5)


def listed(number, *positions):
    """Return a batch as an honest index has it, with the images at these positions."""
    epoch, batch = RUN.place(number)
    images = tuple(
        ListedImage(
            position=position,
            url="",
            predicted_class=RUN.predictions(number)[position],
            confidence=RUN.confidences(number)[position],
            true_class=RUN.truths(number)[position],
            is_wrong=False,
        )
        for position in positions or (0,)
    )
    return ListedBatch(epoch, batch, 0, RUN.loss(number), "", images)


class Bridge:
    """Lists what it is given, and has the right bytes, unless a test changes that."""

    def __init__(self, *batches):
        self.listed = list(batches)
        self.files = {}
        self.failing = False
        self.lists = 0

    def batches(self, session_id, *, after):
        self.lists += 1
        if self.failing:
            raise NoBridgeError("away")
        mark = after or (-1, -1)
        yield from (batch for batch in self.listed if (batch.epoch, batch.batch) > mark)

    def image(self, session_id, epoch, batch, position):
        if self.failing:
            raise NoBridgeError("away")
        sent = RUN.images(RUN.number(epoch, batch))
        content = self.files.get((epoch, batch, position), dict(enumerate(sent)).get(position, b""))
        if content is None:
            raise ProblemError(404, "Nothing is here")
        return content


def gallery_of(bridge):
    """Return a gallery of a run of which a hundred batches have been sent."""
    return Gallery(RUN, bridge, lambda number: number <= 100)


def test_every_image_is_listed_and_compared_once():
    """While batches come the list is followed from where it ended; in a pause all is compared."""
    bridge = Bridge(listed(5, 0, 1))
    gallery = gallery_of(bridge)
    first = gallery.check(is_whole=False)
    bridge.listed.append(listed(10))
    second = gallery.check(is_whole=False)
    whole = gallery.check(is_whole=True)
    bridge.files = dict.fromkeys([(1, 4, 0), (1, 4, 1), (1, 9, 0)], b"not asked for again")
    again = gallery.check(is_whole=True)

    assert (first.new, second.new, whole.new) == ([5, 5], [10], [])
    assert first.findings == second.findings == whole.findings == again.findings == []
    assert (first.there, whole.there, len(gallery.compared)) == (None, 3, 3)


def test_an_image_that_was_inserted_before_the_last_one_is_found():
    """In a pause the list is read from its beginning."""
    bridge = Bridge(listed(20))
    gallery = gallery_of(bridge)
    gallery.check(is_whole=False)
    bridge.listed.insert(0, listed(5))

    assert gallery.check(is_whole=True).new == [5]


def test_an_image_that_is_listed_twice_is_a_duplicate():
    """The same position of the same batch, reported once."""
    gallery = gallery_of(Bridge(listed(5), listed(5)))
    (found,) = gallery.check(is_whole=True).findings

    assert (found.kind, found.count) == (Kind.DUPLICATE, 1)
    assert gallery.check(is_whole=True).findings == []


def test_an_image_that_nobody_sent_is_wrong():
    """Of a batch not sent yet, of one without images, or at a position that no batch has."""
    (image,) = listed(5).images
    strange = replace(listed(5), images=(replace(image, position=2),))
    gallery = gallery_of(Bridge(listed(105), listed(6), strange))
    findings = gallery.check(is_whole=True).findings

    assert [found.kind for found in findings] == [Kind.WRONG] * 3


def test_what_the_list_says_of_an_image_is_compared():
    """Loss, classes and confidence are those that were sent."""
    right = listed(5)
    (image,) = right.images
    for wrong in (
        replace(right, loss=9.0),
        replace(right, images=(replace(image, predicted_class=7),)),
        replace(right, images=(replace(image, confidence=0.1),)),
        replace(right, images=(replace(image, true_class=None),)),
    ):
        (found,) = gallery_of(Bridge(wrong)).check(is_whole=True).findings
        assert found.kind is Kind.WRONG


def test_an_image_with_other_bytes_is_wrong():
    """Reported once."""
    bridge = Bridge(listed(5))
    bridge.files[1, 4, 0] = b"other"
    gallery = gallery_of(bridge)

    assert [found.kind for found in gallery.check(is_whole=True).findings] == [Kind.WRONG]
    assert gallery.check(is_whole=True).findings == []


def test_an_image_that_is_gone_is_not_there():
    """A 404 may be a matter of moments; the verdict says when it has lasted for too long."""
    bridge = Bridge(listed(5), listed(10))
    bridge.files[1, 4, 0] = None
    gallery = gallery_of(bridge)
    first = gallery.check(is_whole=True)
    del bridge.files[1, 4, 0]

    assert (first.there, first.findings, first.is_complete) == (1, [], True)
    assert gallery.check(is_whole=True).there == 2


def test_a_store_that_is_away_proves_nothing():
    """What could not be read is read later, and what was found before it failed is not forgotten."""
    bridge = Bridge(listed(5))
    bridge.failing = True
    gallery = gallery_of(bridge)
    seen = gallery.check(is_whole=True)

    assert (seen.findings, seen.there, seen.is_complete) == ([], None, False)
    bridge.failing = False
    assert gallery.check(is_whole=True).there == len(gallery.compared) == 1
