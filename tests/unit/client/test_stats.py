"""The books, and things said once."""

import logging

from bridge.client.stats import Notices, Stats


def test_a_snapshot_stands_still():
    """What was looked at does not change afterwards."""
    stats = Stats(batches=3)
    snapshot = stats.snapshot()
    stats.batches += 1

    assert (snapshot.batches, stats.batches) == (3, 4)
    assert stats.snapshot() == stats


def test_a_notice_is_given_once_until_forgotten(caplog):
    """A log is not filled with what has been said, and says it anew when it happens anew."""
    notices = Notices()
    with caplog.at_level(logging.WARNING, "trainbridge"):
        for _ in range(3):
            notices.log_once("lost", "no connection")
            notices.log_once("full", "no room")
        notices.reset("lost")
        notices.reset("never said")
        notices.log_once("lost", "no connection")
        notices.log_once("full", "no room")

    assert caplog.messages == ["no connection", "no room", "no connection"]
