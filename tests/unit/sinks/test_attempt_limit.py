"""A run that starts over and over keeps its last attempts, and nothing of it grows without bound."""

import pytest

from bridge.lifecycle import Registered, Superseded
from bridge.model import Client, Config
from bridge.session import Session
from bridge.sinks.attempt_limit import AttemptLimit
from bridge.sinks.deletions import DeletionRequests
from bridge.storage.deletions import ImageScope
from bridge.telemetry import Telemetry


@pytest.mark.parametrize(("kept", "deleted"), [(3, [1, 2, 3, 4]), (0, []), (9, [])])
def test_the_oldest_attempt_goes_as_another_one_begins(kept, deleted):
    """One for one, so that so many are left, the newest included; each is counted."""
    requests, telemetry = DeletionRequests(), Telemetry()
    limit = AttemptLimit(kept, ImageScope.OWN, requests, telemetry)

    for attempt in range(1, 7):
        session = Session("run", Client(), Config(), now=1.0, attempt=attempt)
        limit.consume(session, Registered(), 1.0)
        limit.consume(session, Superseded(), 2.0)

    write = requests.collect()
    found = [] if write is None else [one.deletion for one in write.requested]
    assert [one.attempt for one in found] == deleted
    assert {(one.session_id, one.images, one.requested_ms) for one in found} <= {
        ("run", ImageScope.OWN, 2000)
    }
    counted = telemetry.registry.get_sample_value("bridge_attempts_outdated_total")
    assert counted == len(deleted)
