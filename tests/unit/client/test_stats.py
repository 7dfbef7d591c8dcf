"""The counters of a session, and notices that are logged once."""

import logging
from pathlib import Path

from bridge.client.stats import Notices, Stats, log_losses


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


def test_what_a_session_has_lost_is_logged_with_the_way_out(caplog):
    """Only what was lost, and nothing where all has arrived."""
    spool = (Path("/scratch/spool"), 1 << 30)
    with caplog.at_level(logging.WARNING, "trainbridge"):
        log_losses("run", Stats(), 0, None)
        log_losses("run", Stats(), 4, None)
        log_losses("run", Stats(dropped=1, images_shed=2, refused=3), 0, None)
        log_losses("run", Stats(kept=4), 4, spool)

    begin = "session run is over, and not all of it has arrived: "
    assert [message.removeprefix(begin).split(", ") for message in caplog.messages] == [
        [
            "4 messages were not delivered (give a larger close_seconds or a spool_dir to keep such messages)"
        ],
        [
            "1 messages were dropped (give a spool_dir or a larger buffer_bytes)",
            "2 images were shed (stats.left_out has the reasons)",
            "3 messages were refused by the bridge (its reasons are logged above)",
        ],
        ["4 messages were not delivered"],
        ["4 messages are kept in the spool; deliver them with: trainbridge sync /scratch/spool"],
    ]
