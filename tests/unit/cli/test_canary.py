"""`trainbridge canary`."""

import signal

import pytest

import bridge.canary
from bridge import cli


@pytest.fixture
def started(monkeypatch):
    """The options a canary is started with, instead of running; it finds something wrong."""
    found = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def watch(options, _page, _stopping):
        found.append(options)
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


def test_a_canary_needs_no_flag(started):
    """By default it sends one batch a second to the bridge here, in runs of ten minutes, without end."""
    assert run() == 0
    assert started == [bridge.canary.CanaryOptions()]


def test_every_flag_reaches_the_canary(started):
    """Each flag has its place in the options."""
    flags = {"--address": "h:1", "--bridge-url": "http://h:2", "--rate": "5", "--images": "3", "--run-batches": "80",
             "--late-seconds": "7", "--look-seconds": "0.5", "--store-seconds": "8",
             "--duration-seconds": "9"}  # fmt: skip  # flags beside their values
    run(*(word for flag in flags.items() for word in flag))

    assert started == [
        bridge.canary.CanaryOptions("h:1", "http://h:2", 5.0, 3, 80, 7.0, 0.5, 8.0, 9.0)
    ]


def test_a_check_that_found_something_fails(started):
    """With an end, the exit status says whether anything was wrong."""
    assert run("--duration-seconds", "5") == 1


def test_the_bridge_may_come_from_the_environment(started, monkeypatch):
    """As for the other commands that query a bridge."""
    monkeypatch.setenv("TRAINBRIDGE_URL", "http://there:8080")
    run()

    assert started[0].bridge_url == "http://there:8080"


def test_a_port_file_is_written(started, tmp_path):
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
def test_invalid_arguments_are_refused(started, words, capsys):
    """Before anything starts, with exit status 2 and the flag named, or what it holds."""
    try:
        status = run(*words)
    except SystemExit as ended:
        status = ended.code

    assert (status, started) == (2, [])
    err = capsys.readouterr().err
    assert words[0] in err or words[1] in err


def test_a_fast_canary_has_longer_runs(started):
    """The number of its sessions on the bridge stays the same."""
    run("--rate", "50")

    assert started[0].run_batches == 30_000
