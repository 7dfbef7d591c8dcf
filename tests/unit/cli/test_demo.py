"""`trainbridge demo`."""

import pytest

import bridge.demo.show
from bridge import cli
from bridge.demo.mishaps import Mishaps


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
            "running": None,
            "mishaps": Mishaps(),
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

    assert list(started[0].values()) == [True, 2, "h:1", "h:2", "folder", None, Mishaps()]


def test_a_demo_can_stream_to_a_bridge_that_runs_already(started):
    """It is given where that takes telemetry and where its pages are, and has no state of its own to keep."""
    words = ["demo", "--address", "h:1", "--bridge-url", "http://h:2"]
    cli.main(words)
    running = started[0]["running"]
    assert (running.grpc, running.url) == ("h:1", "http://h:2")

    assert cli.main([*words, "--state", "folder"]) != 0
    assert len(started) == 1


def test_pages_alone_are_no_bridge_to_stream_to(started, capsys):
    """The demo would start a bridge of its own, and the address that was given would count for nothing."""
    assert cli.main(["demo", "--bridge-url", "http://h:2"]) != 0

    assert "give --address, too" in capsys.readouterr().err
    assert started == []


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_demo_trains_at_least_one_epoch(started, number):
    """An invalid number is refused before anything starts."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", "--epochs", number])

    assert ended.value.code == 2
    assert started == []


@pytest.mark.parametrize(("words", "epoch"), [(["--hang"], 2), (["--hang", "5"], 5)])
def test_a_run_can_be_made_to_hang(started, words, epoch):
    """In the second epoch, or in the one that is given."""
    cli.main(["demo", *words])

    assert started[0]["mishaps"] == Mishaps(hang_epoch=epoch)


@pytest.mark.parametrize(("words", "epoch"), [(["--diverge"], 10), (["--diverge", "5"], 5)])
def test_a_run_can_be_made_to_diverge(started, words, epoch):
    """In the tenth epoch, when the loss is low, or in the one that is given."""
    cli.main(["demo", *words])

    assert started[0]["mishaps"] == Mishaps(diverge_epoch=epoch)


def test_spikes_can_be_rarer(started):
    """Which leaves a curve with something to find."""
    cli.main(["demo", "--spike-every", "20"])

    assert started[0]["mishaps"] == Mishaps(spike_every=20)


def test_a_run_that_hangs_has_no_summary(started, capsys):
    """It never ends, so --exit is refused beside --hang."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", "--hang", "--exit"])

    assert ended.value.code == 2
    assert "not allowed with argument --hang" in capsys.readouterr().err
    assert started == []


@pytest.mark.parametrize("flag", ["--hang", "--diverge"])
def test_a_run_hangs_or_diverges_in_an_epoch_that_it_has(started, capsys, flag):
    """Where it would be over by then, the error says which epochs there are."""
    assert cli.main(["demo", flag, "3", "--epochs", "2"]) != 0

    assert "give one from 1 to 2, or more --epochs" in capsys.readouterr().err
    assert started == []
