"""Checks in the background."""

import logging
import threading

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
