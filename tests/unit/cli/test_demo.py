"""`trainbridge demo`."""

import pytest

import bridge.demo
from bridge import cli


@pytest.fixture
def asked(monkeypatch):
    """What the demo was asked for, instead of training."""
    found = []

    def run(**wishes):
        found.append(wishes)
        return 3

    monkeypatch.setattr(bridge.demo, "run", run)
    return found


def test_a_demo_needs_no_word(asked):
    """By default it trains a few epochs at the usual addresses and serves on; its status is ours."""
    assert cli.main(["demo"]) == 3
    assert asked == [
        {
            "exit_when_done": False,
            "epochs": 6,
            "grpc_address": "127.0.0.1:50051",
            "http_address": "127.0.0.1:8080",
            "state": None,
        }
    ]


def test_a_demo_can_be_told_how_long_and_where(asked):
    """Every wish reaches the demo."""
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

    assert list(asked[0].values()) == [True, 2, "h:1", "h:2", "folder"]


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_demo_trains_at_least_one_epoch(asked, number):
    """A number that makes no sense is refused before anything starts."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", "--epochs", number])

    assert ended.value.code == 2
    assert asked == []
