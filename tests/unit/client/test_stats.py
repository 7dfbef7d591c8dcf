"""The counters of a session, and notices that are logged once."""

import logging

from bridge.client.stats import Notices, Stats


def test_a_snapshot_does_not_change():
    """The counters go on; the snapshot stays as it was taken."""
    stats = Stats(batches=3)
    snapshot = stats.snapshot()
    stats.batches += 1

    assert (snapshot.batches, stats.batches) == (3, 4)
    assert stats.snapshot() == stats


def test_a_notice_is_logged_once(caplog):
    """The log is not filled with repetitions."""
    notices = Notices()
    with caplog.at_level(logging.WARNING, "trainbridge"):
        for _ in range(3):
            notices.log_once("lost", "no connection")
            notices.log_once("full", "no room")

    assert caplog.messages == ["no connection", "no room"]
