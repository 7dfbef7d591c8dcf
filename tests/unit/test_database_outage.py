"""The log of a database that is away: a line when it goes, one a minute, and one when it is back."""

import logging
from datetime import datetime

import pytest

from bridge.database_outage import BACK, GONE, STILL_AWAY, DatabaseOutage
from bridge.errors import DatabaseAwayError, StorageError
from bridge.telemetry import Telemetry

AWAY = DatabaseAwayError("the database runs at db:5432 refused a commit: check that it runs")
HANGS = DatabaseAwayError("the database runs at db:5432 does not answer", is_certain=True)


@pytest.fixture
def now():
    """Return a clock that a test sets."""
    return [1000.0]


@pytest.fixture
def outage(now, caplog):
    """Return an outage that has not begun, and have its lines kept."""
    caplog.set_level(logging.INFO, logger="bridge")
    return DatabaseOutage(clock=lambda: now[0])


def lines(caplog):
    """Return what was logged, each line with its fields."""
    return [(record.getMessage(), record.fields) for record in caplog.records]


def test_an_outage_is_one_line_at_its_begin_and_one_at_its_end(outage, now, caplog):
    """They say since when, what to check, how long it was, and how many commits failed, however often that was tried."""
    for _ in range(12):
        assert outage.explains(AWAY, is_commit=True)
        assert outage.explains(HANGS)
        now[0] += 4.0
    outage.end()
    outage.end()

    [gone, back] = lines(caplog)
    assert gone[0] == GONE
    assert gone[1]["error"] == str(AWAY)
    assert datetime.fromisoformat(gone[1]["since"]).tzinfo is not None
    assert back == (BACK, {"seconds": 48.0, "commits_failed": 12})


def test_while_it_lasts_it_is_a_line_a_minute(outage, now, caplog):
    """With the cause as it is by then."""
    for _ in range(61):
        outage.explains(AWAY, is_commit=True)
        now[0] += 5.0

    texts = [text for text, _ in lines(caplog)]
    assert texts == [GONE, *[STILL_AWAY] * 5]
    assert lines(caplog)[1][1] == {"seconds": 60, "error": str(AWAY)}


def test_a_query_without_a_connection_proves_no_outage(outage, caplog):
    """All connections may be in use while commits go on; a server that hangs is another case."""
    assert not outage.explains(AWAY)
    assert not outage.explains(StorageError("a damaged row"), is_commit=True)
    assert lines(caplog) == []
    assert outage.explains(HANGS)
    assert outage.explains(AWAY)
    assert not outage.explains(StorageError("the object store is away"))
    assert len(lines(caplog)) == 1


def test_every_outage_has_lines_of_its_own(outage, now, caplog):
    """The next one counts from its own begin."""
    for seconds in (3.0, 7.0):
        outage.explains(AWAY, is_commit=True)
        now[0] += seconds
        outage.end()

    assert [fields.get("seconds") for _, fields in lines(caplog)] == [None, 3.0, None, 7.0]


def test_all_parts_of_the_bridge_speak_with_one_voice(caplog):
    """Commits, whoever reads, and the check of the connection: one line goes, one comes, and the counters miss nothing."""
    caplog.set_level(logging.INFO, logger="bridge")
    telemetry = Telemetry()
    for _ in range(5):
        telemetry.commit_failed(AWAY)
        for where in ("orphans", "inbox", "web"):
            telemetry.storage_failed(where, AWAY)
        telemetry.connection_changed("database", "runs", str(AWAY))
    telemetry.committed(0.1)
    telemetry.connection_changed("database", "runs", None)

    assert [text for text, _ in lines(caplog)] == [GONE, BACK]
    sample = telemetry.registry.get_sample_value
    assert sample("bridge_commit_failures_total") == 5
    assert sample("bridge_connection_up", {"connection": "database"}) == 1


def test_what_is_found_without_an_outage_is_logged_as_ever(caplog):
    """A check that fails while commits go on, an object store, and a commit that fails for a reason of its own."""
    caplog.set_level(logging.INFO, logger="bridge")
    telemetry = Telemetry()
    telemetry.connection_changed("database", "runs", "may not make tables")
    telemetry.connection_changed("database", "runs", None)
    telemetry.storage_failed("orphans", AWAY)
    telemetry.commit_failed(OSError("full"))
    telemetry.commit_failed(AWAY)
    telemetry.connection_changed("object_store", "s3", "refused")

    assert [text for text, _ in lines(caplog)] == [
        "a connection does not work",
        "a connection works",
        "a store could not be read",
        "a commit failed",
        GONE,
        "a connection does not work",
    ]
