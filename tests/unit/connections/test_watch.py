"""Checks in the background."""

import asyncio
import logging
import threading

import pytest
from support.waiting import until

from bridge.connections import Connection, ConnectionWatch, blocking
from bridge.errors import StorageError
from bridge.telemetry import Telemetry


class Neighbor:
    """Works, fails or hangs as a test wants."""

    def __init__(self):
        self.error = ""
        self.attempts = 0
        self.is_answering = threading.Event()
        self.is_answering.set()

    def probe(self):
        self.attempts += 1
        self.is_answering.wait()
        if self.error:
            raise StorageError(self.error)


def watching(neighbor, telemetry, **options):
    """Watch one neighbour, with pauses for tests."""
    connection = Connection("otlp", "http://host:4317", blocking(neighbor.probe))
    pauses = {"first_pause_seconds": 0.01, "quiet_pause_seconds": 0.01} | options
    return ConnectionWatch([connection], telemetry, **pauses)


def is_up(telemetry):
    """Return the value of the series."""
    return telemetry.registry.get_sample_value("bridge_connection_up", {"connection": "otlp"})


async def test_a_change_is_shown_and_logged_once(caplog):
    """The series and the log follow the connection; what stays as it is is logged once."""
    caplog.set_level(logging.INFO, "bridge")
    neighbor, telemetry = Neighbor(), Telemetry()
    neighbor.error = "refused: start it"
    watch = watching(neighbor, telemetry)
    assert not watch.checks()[0].is_checked
    assert is_up(telemetry) is None

    async with watch.running():
        await until(lambda: neighbor.attempts >= 3)
        assert watch.checks()[0].error == "refused: start it"
        assert is_up(telemetry) == 0
        neighbor.error = ""
        await until(lambda: is_up(telemetry) == 1)
        attempts = neighbor.attempts
        await until(lambda: neighbor.attempts >= attempts + 2)

    events = [(record.getMessage(), record.fields.get("error")) for record in caplog.records]
    assert events == [
        ("a connection does not work", "refused: start it"),
        ("a connection works", None),
    ]


async def test_a_neighbor_that_hangs_has_one_thread():
    """It counts as down after the timeout, is not tried again meanwhile, and is up when it answers."""
    neighbor, telemetry = Neighbor(), Telemetry()
    neighbor.is_answering.clear()
    watch = watching(neighbor, telemetry, timeout_seconds=0.02)

    async with watch.running():
        await until(lambda: is_up(telemetry) == 0)
        assert "no answer within" in watch.checks()[0].error
        assert neighbor.attempts == 1
        neighbor.is_answering.set()
        await until(lambda: is_up(telemetry) == 1)


async def test_a_stop_waits_for_no_neighbor():
    """A probe that hangs does not hold up the end."""
    neighbor = Neighbor()
    neighbor.is_answering.clear()

    async with watching(neighbor, Telemetry()).running():
        await until(lambda: neighbor.attempts == 1)
    neighbor.is_answering.set()


NEVER_SECONDS = 3600.0


async def test_a_failure_that_the_bridge_sees_is_checked_at_once():
    """Neither the death of a neighbour nor its return waits for the next regular check."""
    neighbor, telemetry = Neighbor(), Telemetry()

    async with watching(neighbor, telemetry, quiet_pause_seconds=NEVER_SECONDS).running():
        await until(lambda: is_up(telemetry) == 1)
        neighbor.error = "gone: start it"
        telemetry.span_export_failed(1, StorageError("gone"))
        await until(lambda: is_up(telemetry) == 0)


async def test_a_success_that_the_bridge_sees_is_checked_at_once(monkeypatch):
    """A pause that has grown to minutes is cut short when a span is accepted."""
    monkeypatch.setattr("bridge.connections.watch.backoff_seconds", lambda *_, **__: NEVER_SECONDS)
    neighbor, telemetry = Neighbor(), Telemetry()
    neighbor.error = "gone: start it"

    async with watching(neighbor, telemetry).running():
        await until(lambda: is_up(telemetry) == 0)
        neighbor.error = ""
        telemetry.spans_exported(1)
        await until(lambda: is_up(telemetry) == 1)


async def test_what_agrees_with_the_last_check_causes_none():
    """Exports that succeed, and uploads of whatever sort, do not wake the check of a collector that works."""
    neighbor, telemetry = Neighbor(), Telemetry()
    options = {"first_pause_seconds": 0.0, "quiet_pause_seconds": NEVER_SECONDS}

    async with watching(neighbor, telemetry, **options).running():
        await until(lambda: is_up(telemetry) == 1)
        telemetry.spans_exported(1)
        telemetry.upload_stalled()
        telemetry.uploaded("key", 1, 0.1)
        for _ in range(10):
            await asyncio.sleep(0)
        assert neighbor.attempts == 1


async def test_a_commit_says_how_the_database_is():
    """A failed one has folder and database checked at once, and the first that succeeds the database."""
    neighbor, telemetry = Neighbor(), Telemetry()
    neighbor.error = "away"
    connection = Connection("database", "postgresql://h/d", blocking(neighbor.probe))
    pauses = {"first_pause_seconds": 0.0, "quiet_pause_seconds": NEVER_SECONDS}
    watch = ConnectionWatch([connection], telemetry, **pauses)

    async with watch.running():
        await until(lambda: watch.checks()[0].error == "away")
        neighbor.error = ""
        await until(lambda: telemetry.committed(0.1) or not watch.checks()[0].error)
        neighbor.error = "away"
        telemetry.commit_failed(StorageError("away"))
        await until(lambda: watch.checks()[0].error == "away")


async def test_failures_without_end_cause_one_check_in_a_pause():
    """However often an export fails, the next check comes after the first pause only."""
    neighbor, telemetry = Neighbor(), Telemetry()
    options = {"first_pause_seconds": NEVER_SECONDS, "quiet_pause_seconds": NEVER_SECONDS}

    async with watching(neighbor, telemetry, **options).running():
        await until(lambda: is_up(telemetry) == 1)
        for _ in range(100):
            telemetry.span_export_failed(1, StorageError("refused"))
            await asyncio.sleep(0)
        assert neighbor.attempts == 1


async def test_checks_that_failures_cause_in_vain_come_less_and_less_often(monkeypatch):
    """A collector that refuses some spans and answers the check is not checked at every failure."""
    asked = []

    def backoff(failures, **_):
        asked.append(failures)
        return 0.0

    monkeypatch.setattr("bridge.connections.watch.backoff_seconds", backoff)
    neighbor, telemetry = Neighbor(), Telemetry()
    options = {"first_pause_seconds": 0.001, "quiet_pause_seconds": NEVER_SECONDS}

    async with watching(neighbor, telemetry, **options).running():
        refused = StorageError("refused")
        await until(lambda: telemetry.span_export_failed(1, refused) or neighbor.attempts >= 5)

    assert asked[:3] == [0, 1, 2]


@pytest.mark.parametrize(
    ("occurrence", "expected"),
    [
        (lambda telemetry: telemetry.uploaded("key", 1, 0.1), ("object_store", True)),
        (
            lambda telemetry: telemetry.upload_failed("k", StorageError("x")),
            ("object_store", False),
        ),
        (lambda telemetry: telemetry.upload_stalled(), ("object_store", False)),
        (lambda telemetry: telemetry.commit_failed(OSError("x")), ("state", False)),
        (lambda telemetry: telemetry.committed(0.1), ("database", True)),
        (lambda telemetry: telemetry.spans_exported(0), ("otlp", True)),
        (lambda telemetry: telemetry.span_export_failed(1, StorageError("x")), ("otlp", False)),
    ],
)
def test_what_the_bridge_does_says_whether_a_connection_works(occurrence, expected):
    """Each use is reported to whoever listens, and where nobody does it is just counted."""
    telemetry, seen = Telemetry(), []
    occurrence(telemetry)
    telemetry.on_connection_used = lambda *used: seen.append(used)
    occurrence(telemetry)

    assert seen == [expected]
