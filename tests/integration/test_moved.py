"""A run whose bridge is replaced by one that has never heard of it, as at every upgrade without a volume."""

import json
from urllib.error import HTTPError

from support.bridges import running_bridge
from support.waiting import until_true

from bridge.client import TrainingSession


def test_a_bridge_without_the_state_shows_a_run_in_the_middle_of_its_validation(tmp_path):
    """What it is, that it runs, where it is, what it does and for how long: nothing of that is said but once otherwise."""
    with running_bridge(tmp_path / "old") as old:
        session = TrainingSession(old.grpc, session_id="run", model="resnet18", epochs=9)
        session.log_batch(0.5, epoch=3, batch=120)
        validation = session.phase("validation")
        validation.__enter__()
        until_true(lambda: details(old).get("phase") == "validation")
        address = old.grpc
    with running_bridge(tmp_path / "new", "--grpc-address", address) as new, session:
        until_true(lambda: details(new).get("phase") == "validation")
        shown = details(new)
        validation.__exit__(None, None, None)
        until_true(lambda: details(new)["phase"] == "training")

    assert (shown["status"], shown["model_name"], shown["total_epochs"]) == (
        "running",
        "resnet18",
        9,
    )
    assert shown["epoch"] == 3
    assert shown["phase_seconds"]["validation"] > 1


def details(bridge):
    """Return the session as the API shows it; nothing where it is not known."""
    try:
        return json.loads(bridge.get("/api/v1/sessions/run"))
    except HTTPError:
        return {}
