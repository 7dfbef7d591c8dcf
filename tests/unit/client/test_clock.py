"""Times from the wall clock."""

import time

import pytest

from bridge.client.clock import now_ms
from bridge.client.delivery.stream import encoded_heartbeat
from bridge.wire import metrics_pb2 as wire


@pytest.mark.parametrize(
    ("now", "shown"),
    [(-1, 0), (-(10**18), 0), (0, 0), (1_700_000_000_123_456_789, 1_700_000_000_123)],
)
def test_a_clock_before_1970_is_not_reported(monkeypatch, now, shown):
    """The protocol's times are unsigned: with a clock set to 1969 a message has no time, but is sent."""
    monkeypatch.setattr(time, "time_ns", lambda: now)

    beat = wire.MetricsRequest.FromString(encoded_heartbeat(1))

    assert now_ms() == beat.timestamp_ms == beat.heartbeat.timestamp_ms == shown
