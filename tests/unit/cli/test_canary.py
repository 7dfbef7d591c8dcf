"""`trainbridge canary`."""

import signal

import pytest

import bridge.canary
from bridge import cli


@pytest.fixture
def plans(monkeypatch):
    """What the canary was told to do, instead of singing; it finds something wrong."""
    found = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def watch(plan, _page, _stopping):
        found.append(plan)
        return False

    monkeypatch.setattr(bridge.canary, "watch", watch)
    monkeypatch.setattr("bridge.logs.configure", lambda: None)
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")
    for name in ("TRAINBRIDGE_URL", "TRAINBRIDGE_HTTP_ADDRESS", "TRAINBRIDGE_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


def run(*words):
    """Run the command at a free port."""
    return cli.main(["canary", "--listen", "127.0.0.1:0", *words])


def test_a_canary_needs_no_word(plans):
    """By default it sends one batch a second to the bridge here, in runs of ten minutes, for ever."""
    assert run() == 0
    assert plans == [bridge.canary.Plan()]


def test_every_wish_reaches_the_canary(plans):
    """Each flag has its place in the plan."""
    flags = {"--address": "h:1", "--bridge-url": "http://h:2", "--rate": "5", "--images": "3", "--run-batches": "80",
             "--late-seconds": "7", "--look-seconds": "0.5", "--duration-seconds": "9"}  # fmt: skip
    run(*(word for flag in flags.items() for word in flag))

    assert plans == [bridge.canary.Plan("h:1", "http://h:2", 5.0, 3, 80, 7.0, 0.5, 9.0)]


def test_a_check_that_found_something_fails(plans):
    """With an end, the exit status says whether anything was wrong."""
    assert run("--duration-seconds", "5") == 1


def test_the_bridge_may_come_from_the_environment(plans, monkeypatch):
    """As for the other commands that ask a bridge."""
    monkeypatch.setenv("TRAINBRIDGE_URL", "http://there:8080")
    run()

    assert plans[0].bridge_url == "http://there:8080"


def test_a_port_file_is_written(plans, tmp_path):
    """With the port that was free."""
    run("--ports-file", str(tmp_path / "ports.json"))

    assert (tmp_path / "ports.json").read_text().startswith('{"http": ')


@pytest.mark.parametrize(
    "words",
    [
        ("--rate", "0"),
        ("--rate", "nan"),
        ("--images", "17"),
        ("--images", "-1"),
        ("--run-batches", "0"),
        ("--run-batches", "9", "--rate", "1"),
        ("--late-seconds", "soon"),
        ("--bridge-url", "there"),
        ("--listen", "there"),
        ("--address", "ftp://there"),
        ("--duration-seconds", "-1"),
    ],
)
def test_what_makes_no_sense_is_refused(plans, words, capsys):
    """Before anything starts, with exit status 2 and the flag named, or what it holds."""
    try:
        status = run(*words)
    except SystemExit as ended:
        status = ended.code

    assert (status, plans) == (2, [])
    told = capsys.readouterr().err
    assert words[0] in told or words[1] in told


def test_a_fast_canary_has_longer_runs(plans):
    """The number of its sessions on the bridge stays the same."""
    run("--rate", "50")

    assert plans[0].run_batches == 30_000
