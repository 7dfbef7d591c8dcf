"""Tests of what the bridge counts and logs about itself."""

import inspect
import logging
from typing import get_args

import pytest

from bridge.families import BRIDGE_FAMILIES, MESSAGE_KINDS
from bridge.model import Batch, Message, Stage
from bridge.telemetry import Telemetry

OCCURRENCES = {
    "received": lambda t: t.received({Batch: 2}, 10),
    "error_answered": lambda t: t.error_answered("INVALID_DATA", "why"),
    "dropped": lambda t: t.dropped("image", "limit"),
    "committed": lambda t: t.committed(0.1),
    "commit_failed": lambda t: t.commit_failed(OSError("full")),
    "row_refused": lambda t: t.row_refused("journal", "why"),
    "rendered": lambda t: t.rendered(0.1, 7),
    "sessions_counted": lambda t: t.sessions_counted({Stage.LIVE: 3}, 10),
    "stream_opened": lambda t: t.stream_opened(),
    "stream_refused": lambda t: t.stream_refused("unread", host="10.0.0.1"),
    "stream_closed": lambda t: t.stream_closed(),
    "stream_rebalanced": lambda t: t.stream_rebalanced(),
    "http_connections_counted": lambda t: t.http_connections_counted(3),
    "alerts_received": lambda t: t.alerts_received("queued", alert="TrainingStalled"),
    "http_refused": lambda t: t.http_refused("malformed", address="10.0.0.1"),
    "database_measured": lambda t: t.database_measured(4096),
    "loop_lag_measured": lambda t: t.loop_lag_measured(0.5),
    "spool_measured": lambda t: t.spool_measured(5, 10),
    "spool_checked": lambda t: t.spool_checked(is_usable=True),
    "spool_remade": lambda t: t.spool_remade("/spool"),
    "recovery_failed": lambda t: t.recovery_failed(OSError("full")),
    "set_aside": lambda t: t.set_aside("/damaged", "why"),
    "uploaded": lambda t: t.uploaded("key", 10, 0.1),
    "upload_failed": lambda t: t.upload_failed("key", OSError("gone")),
    "upload_stalled": lambda t: t.upload_stalled(),
    "left_in_spool": lambda t: t.left_in_spool(2, 9, "/spool", is_kept=False),
    "left_in_outbox": lambda t: t.left_in_outbox(2, is_kept=False),
    "certificate_kept": lambda t: t.certificate_kept("expired"),
    "access_kept": lambda t: t.access_kept("not YAML"),
    "deletion_requested": lambda t: t.deletion_requested(
        "run", images=True, by="::1", attempt=None
    ),
    "sessions_outdated": lambda t: t.sessions_outdated(3),
    "deletions_pending": lambda t: t.deletions_pending(2),
    "shard_deleted": lambda t: t.shard_deleted(),
    "session_deleted": lambda t: t.session_deleted("run", None),
    "attempts_outdated": lambda t: t.attempts_outdated(1),
    "deletion_failed": lambda t: t.deletion_failed("run", OSError("gone")),
    "tile_refused": lambda t: t.tile_refused("too_slow"),
    "connection_changed": lambda t: t.connection_changed("otlp", "http://host:4317", "refused"),
    "spans_waiting": lambda t: t.spans_waiting(3),
    "spans_exported": lambda t: t.spans_exported(3),
    "span_export_failed": lambda t: t.span_export_failed(3, OSError("gone")),
    "spans_rejected": lambda t: t.spans_rejected(3, "too old"),
    "spans_dropped": lambda t: t.spans_dropped(3),
    "session_changed": lambda t: t.session_changed("run", "registered"),
    "unexpected_error": lambda t: t.unexpected_error("here", ValueError("why")),
    "storage_failed": lambda t: t.storage_failed("here", OSError("gone")),
    "event": lambda t: t.event("something"),
}
"""One call of each method."""

ONLY_LOGGED = {
    "deletion_requested",
    "certificate_kept",
    "access_kept",
    "deletion_failed",
    "sessions_outdated",
    "recovery_failed",
    "set_aside",
    "unexpected_error",
    "storage_failed",
    "event",
}


def samples(telemetry: Telemetry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the value of every series."""
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in telemetry.registry.collect()
        for sample in family.samples
    }


def test_every_occurrence_is_called_here():
    """A method that is added is covered by the tests below."""
    methods = {name for name, _ in inspect.getmembers(Telemetry, inspect.isfunction)}

    assert {name for name in methods if not name.startswith("_")} == set(OCCURRENCES)


@pytest.mark.parametrize("name", OCCURRENCES)
def test_an_occurrence_is_counted_or_logged(name, caplog):
    """No method is silent, and each finds its families."""
    telemetry = Telemetry()
    telemetry.uploaded("before", 1, 0.1)
    before = samples(telemetry)

    with caplog.at_level(logging.INFO, logger="bridge"):
        OCCURRENCES[name](telemetry)

    changed = samples(telemetry) != before
    assert changed != (name in ONLY_LOGGED)
    assert changed or caplog.records


def test_every_family_is_moved_by_an_occurrence():
    """No family stays at its first value whatever happens."""
    telemetry = Telemetry(public_url="http://here")
    before = samples(Telemetry())
    for occurrence in (*OCCURRENCES.values(), Telemetry.stream_opened, OCCURRENCES["uploaded"]):
        occurrence(telemetry)
    telemetry.takeovers.taken(2, 0.1)
    telemetry.takeovers.lost(1)

    moved = {key[0] for key, value in samples(telemetry).items() if before.get(key) != value}

    assert not [f.name for f in BRIDGE_FAMILIES if not any(n.startswith(f.name) for n in moved)]


def test_results_are_on_the_page_before_anything_is_counted():
    """A rate over the first failure is not lost: the series was there at 0."""
    found = samples(Telemetry())

    assert found["bridge_uploads_total", (("result", "failed"),)] == 0
    assert found["bridge_spans_total", (("result", "dropped"),)] == 0
    for kind in MESSAGE_KINDS.values():
        assert found["bridge_requests_received_total", (("kind", kind),)] == 0


def test_every_kind_of_message_is_counted():
    """One that was forgotten would end the acknowledgments of every stream that has it."""
    assert set(MESSAGE_KINDS) == set(get_args(Message))
    telemetry = Telemetry()

    telemetry.received(dict.fromkeys(MESSAGE_KINDS, 1), 10)

    assert samples(telemetry)["bridge_requests_received_total", (("kind", "event"),)] == 1


def test_one_kind_is_logged_once_in_a_while(caplog):
    """A thousand lost images are one line, and are all counted."""
    telemetry = Telemetry()

    for _ in range(1000):
        telemetry.dropped("image", "limit")
    telemetry.dropped("image", "spool_full")

    assert [record.fields["reason"] for record in caplog.records] == ["limit", "spool_full"]
    dropped = samples(telemetry)["bridge_dropped_total", (("what", "image"), ("reason", "limit"))]
    assert dropped == 1000


def test_a_client_cannot_fill_the_log_with_its_session(caplog):
    """A thousand registrations are counted, and a few of them logged, with how many were not."""
    caplog.set_level(logging.INFO)
    telemetry = Telemetry()

    for _ in range(1_000):
        telemetry.session_changed("run", "registered again")
    telemetry.session_changed("other", "registered")

    lines = [record.fields for record in caplog.records]
    assert [line["session_id"] for line in lines] == ["run"] * 3 + ["other"]
    assert lines[-1]["not_logged"] == 997
    counted = telemetry.registry.get_sample_value(
        "bridge_session_events_total", {"event": "registered_again"}
    )
    assert counted == 1_000


def test_many_sessions_cannot_fill_the_log_together(caplog):
    """The number of lines is bounded over all sessions."""
    caplog.set_level(logging.INFO)
    telemetry = Telemetry()

    for number in range(10_000):
        telemetry.session_changed(f"run-{number}", "registered")

    assert len(caplog.records) == 100


def test_every_message_has_a_kind():
    """A message that could not be counted would end the stream that brings it."""
    assert set(MESSAGE_KINDS) == set(get_args(Message))
