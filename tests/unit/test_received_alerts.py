"""Alerts about a session that are kept."""

import pytest

from bridge.lifecycle import AlertReceived
from bridge.received_alerts import ALERTS_LIMIT, CHARACTERS_LIMIT, ReceivedAlerts
from bridge.storage.packed import packed, unpacked


def alert(fingerprint="f1", starts_at=10.0, **values):
    """Return an alert that fires, unless it is said to have ended."""
    return AlertReceived(fingerprint, "TrainingDiverging", starts_at, **values)


def test_an_alert_that_resolves_is_the_same_alert():
    """It has one line, with what it sent while it fired; the next time it fires it has another."""
    alerts = ReceivedAlerts()

    alerts.add(alert(command_id="alert-1"), 11.0)
    alerts.add(alert(ends_at=60.0), 61.0)
    alerts.add(alert(starts_at=900.0), 901.0)

    first, second = alerts
    assert (first.received_at, first.fires, first.alert.command_id) == (11.0, False, "alert-1")
    assert (second.received_at, second.fires, alerts.total) == (901.0, True, 2)
    assert alerts.find("f1", 10.0) == first.alert
    assert alerts.find("f2", 10.0) is None


def test_a_refusal_goes_once_the_command_is_sent_after_all():
    """What is said of an alert is what holds."""
    alerts = ReceivedAlerts()

    alerts.add(alert(refusal="too many"), 11.0)
    alerts.add(alert(ends_at=5.0), 12.0)
    assert alerts.find("f1", 10.0).refusal == "too many"

    alerts.add(alert(command_id="alert-1"), 13.0)
    assert alerts.find("f1", 10.0).refusal == ""


def test_the_newest_alerts_are_kept_and_all_are_counted():
    """Neither many nor long ones fill the memory."""
    alerts = ReceivedAlerts()

    for number in range(ALERTS_LIMIT + 10):
        alerts.add(alert(f"f{number}"), float(number))
    assert (len(alerts), alerts.total) == (ALERTS_LIMIT, ALERTS_LIMIT + 10)

    for number in range(100):
        alerts.add(alert(f"g{number}", summary="x" * 1_000), float(number))
    assert sum(kept.characters for kept in alerts) <= CHARACTERS_LIMIT
    assert list(alerts)[-1].alert.fingerprint == "g99"


def test_alerts_outlive_the_process():
    """Nothing of them is lost on the disk, and what makes room afterwards is right."""
    alerts = ReceivedAlerts()
    alerts.add(alert(summary="rises", severity="warning", command_id="alert-1"), 11.0)

    restored = ReceivedAlerts.restored(unpacked(packed(alerts.snapshot())))

    assert list(restored) == list(alerts)
    assert restored.total == 1
    assert ReceivedAlerts().snapshot() == []


@pytest.mark.parametrize("state", [[1], [1, [[1.0]]], [1, [[1.0, "f"]]]])
def test_a_damaged_snapshot_is_refused(state):
    """What no session writes never becomes an alert."""
    with pytest.raises((TypeError, ValueError)):
        ReceivedAlerts.restored(state)
