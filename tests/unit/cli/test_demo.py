"""`trainbridge demo`."""

import pytest

import bridge.demo.show
from bridge import cli


@pytest.fixture
def started(monkeypatch):
    """The options a demo is started with, instead of training."""
    found = []

    def run(**options):
        found.append(options)
        return 3

    monkeypatch.setattr(bridge.demo.show, "run", run)
    return found


def test_a_demo_needs_no_flag(started):
    """By default it trains on and on at the usual addresses; its status is ours."""
    assert cli.main(["demo"]) == 3
    assert started == [
        {
            "exit_when_done": False,
            "epochs": 40,
            "grpc_address": "127.0.0.1:50051",
            "http_address": "127.0.0.1:8080",
            "state": None,
        }
    ]


def test_flags_say_how_long_and_where(started):
    """Every flag reaches the demo."""
    words = [
        "--exit",
        "--epochs",
        "2",
        "--grpc-address",
        "h:1",
        "--http-address",
        "h:2",
        "--state",
        "folder",
    ]
    cli.main(["demo", *words])

    assert list(started[0].values()) == [True, 2, "h:1", "h:2", "folder"]


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_demo_trains_at_least_one_epoch(started, number):
    """An invalid number is refused before anything starts."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", "--epochs", number])

    assert ended.value.code == 2
    assert started == []
