"""A canary that looks at the object store: what reaches it, and what does not."""

import threading
from dataclasses import replace

import pytest
from support.shown_bridge import ShownBridge, shown

from bridge.canary import CanaryOptions, Page, watch


@pytest.fixture
def fake():
    """A bridge that stores everything at once."""
    with shown(ShownBridge()) as bridge:
        bridge.config.image_batches_per_second = 1_000.0
        yield bridge


def looked(fake, page, **changes):
    """Run a canary for a moment, and return whether all was well."""
    options = CanaryOptions(
        fake.address,
        fake.url,
        batches_per_second=1_000.0,
        run_batches=40,
        late_seconds=20.0,
        look_seconds=0.05,
        duration_seconds=0.3,
        store_seconds=20.0,
    )
    return watch(replace(options, **changes), page, threading.Event())


def logged(caplog):
    """Return what was expected and found, of each finding."""
    return [
        (record.fields["what"], record.fields["expected"], record.fields["found"])
        for record in caplog.records
        if "expected" in getattr(record, "fields", {})
    ]


def test_images_that_come_back_from_the_store_are_well(fake):
    """Nothing is found."""
    page = Page()

    assert looked(fake, page)
    assert page.findings == 0


def test_a_run_that_begins_when_the_time_is_over_still_sends_images(fake):
    """The last run of a canary with a duration proves the store like any other."""
    assert looked(fake, Page(), duration_seconds=0.0)


def test_images_that_stay_on_the_disk_are_missing_with_the_reason(fake, caplog):
    """A wrong bucket fails the check, though every image can be read: the log says what the bridge knows."""
    fake.is_stored = False
    page = Page()

    assert not looked(fake, page, store_seconds=0.2)
    [(what, expected, found)] = logged(caplog)
    assert what == "image"
    assert expected.endswith("in the object store")
    assert "0 of them after 0.2 s; connection object_store (s3://b): there is no bucket b" in found


def test_the_disk_is_enough_where_nobody_asks(fake):
    """Without the option the store is not looked at."""
    fake.is_stored = False

    assert looked(fake, Page(), store_seconds=None)


def test_a_run_without_images_proves_no_store(fake, caplog):
    """A bridge that keeps no images cannot be said to store them."""
    page = Page()

    assert not looked(fake, page, images=0, store_seconds=0.2)
    assert logged(caplog)[0][1] == "some in the object store"
