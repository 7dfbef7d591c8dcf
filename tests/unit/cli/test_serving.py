"""`trainbridge serve` and `trainbridge check-config`."""

import argparse
import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest
from support.waiting import until_true

from bridge import cli
from bridge.cli import extras
from bridge.cli.flags import add_settings, given
from bridge.cli.serving import serve
from bridge.config.settings import GROUPS, Settings, default_of, flag_of, variable_of

PROGRAM = """
import argparse, asyncio, sys
from bridge.cli.serving import serve

class Bound:
    grpc, http = "127.0.0.1:1", "127.0.0.1:2"

async def bridge(settings, stopping, ready):
    ready(Bound)
    print("ready", flush=True)
    await stopping.wait()
    print("stopping", flush=True)
    if "stubborn" in sys.argv:
        await asyncio.sleep(60)
    if "stuck" in sys.argv:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(60)

sys.exit(serve(argparse.Namespace(), bridge))
"""

READY = """
import argparse, gc, sys
from bridge.cli import serving

real = serving._service()

async def bridge(settings, stopping, ready):
    def seen(bound):
        print(gc.isenabled(), gc.get_freeze_count() > 50_000)
        print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
        stopping.set()
    await real(settings, stopping, seen)

sys.exit(serving.serve(argparse.Namespace(), bridge))
"""
"""A bridge that is stopped as soon as it is ready, and prints what it then has in memory."""

PARTS = ("cryptography", "sqlalchemy.orm", "sqlalchemy.dialects.postgresql")
"""Of libraries, or what comes with them."""

ADDRESSES = {
    "TRAINBRIDGE_GRPC_ADDRESS": "127.0.0.1:0",
    "TRAINBRIDGE_HTTP_ADDRESS": "127.0.0.1:0",
}


@dataclass(frozen=True)
class Bound:
    """Where a bridge listens."""

    grpc: str = "127.0.0.1:50123"
    http: str = "0.0.0.0:8123"


pytestmark = pytest.mark.usefixtures("kept_logging")


@pytest.fixture
def process():
    """Start a bridge that does nothing, in a process of its own; end it in any case."""
    started = []

    def start(*words, **options):
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, text=True, **options
        )
        started.append(program)
        assert program.stdout.readline() == "ready\n"
        return program

    yield start
    for program in started:
        program.kill()
        program.wait()
        program.stdout.close()


def parsed(*words):
    """Return what the parser makes of the words."""
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return parser.parse_args(words)


def run(bridge, *words):
    """Serve with a bridge of our own."""
    return serve(parsed(*words), bridge)


def test_every_setting_is_a_flag_with_default_and_variable():
    """One definition: what can be set at all can be set by flag, and help says how else."""
    parser = argparse.ArgumentParser()
    add_settings(parser)
    actions = {action.dest: action for action in parser._actions}
    titles = [group.title for group in parser._action_groups]

    for name in Settings.model_fields:
        assert flag_of(name) in actions[name].option_strings
        assert actions[name].help.endswith(f"Default: {default_of(name)}. [{variable_of(name)}]")
    assert titles[-len(GROUPS) :] == list(GROUPS)


def test_a_number_is_never_called_an_address():
    """What a flag takes follows from the type of its setting, and from its name only where that is text."""
    parser = argparse.ArgumentParser()
    add_settings(parser)
    shown = {action.dest: action.metavar for action in parser._actions}

    assert shown["max_streams_per_address"] == shown["http_max_connections_per_address"] == "NUMBER"
    assert shown["grpc_address"] == "HOST:PORT"
    assert shown["state"] == "FOLDER"
    assert shown["tls_cert_file"] == "FILE"


def test_only_flags_that_were_given_count():
    """A flag that was not written must not hide a variable."""
    assert given(parsed()) == {}
    assert given(parsed("--max-sessions", "5", "--no-s3-path-style")) == {
        "max_sessions": "5",
        "s3_path_style": False,
    }


def test_check_config_shows_what_is_in_effect(capsys, monkeypatch):
    """Every setting with its value and where it comes from; secrets masked; warnings last."""
    monkeypatch.setenv("TRAINBRIDGE_S3_SECRET_KEY", "hunter2")
    monkeypatch.setenv("TRAINBRIDGE_TYPO", "x")

    status = cli.main(["check-config", "--max-sessions", "7"])
    out = capsys.readouterr().out
    lines = [line.split(maxsplit=2) for line in out.splitlines()]

    assert status == 0
    assert ["max_sessions", "7", "flag --max-sessions"] in lines
    assert ["s3_secret_key", "********", "variable TRAINBRIDGE_S3_SECRET_KEY"] in lines
    assert {line[0] for line in lines} >= set(Settings.model_fields)
    assert "hunter2" not in out
    assert out.splitlines()[-1].startswith(
        "warning: unknown setting 'TRAINBRIDGE_TYPO' in the environment"
    )


def test_a_setting_that_makes_no_sense_ends_both_alike(capsys):
    """`check-config` says the same as the log of a start would: one line, exit status 2."""
    said = []
    for command in ("check-config", "serve"):
        assert cli.main([command, "--otlp-endpoint", "localhost:4317"]) == 2
        said.append(capsys.readouterr().err.rstrip("\n"))

    assert said[0].startswith(
        "trainbridge: otlp_endpoint is 'localhost:4317' (from flag --otlp-endpoint)"
    )
    assert said[0].removeprefix("trainbridge: ") == json.loads(said[1])["error"]


def test_the_ports_file_is_written_when_ready(tmp_path):
    """Who starts a bridge on free ports finds them in the file, whole or not at all."""
    ports = tmp_path / "ports.json"
    seen = []

    async def bridge(settings, stopping, ready):
        seen.append(ports.exists())
        ready(Bound())
        seen.append(json.loads(ports.read_text()))

    assert run(bridge, "--ports-file", str(ports)) == 0
    assert seen == [False, {"grpc": 50123, "http": 8123}]
    assert list(tmp_path.iterdir()) == [ports]


def test_settings_arrive_as_given():
    """The bridge gets what the flags said."""
    seen = []

    async def bridge(settings, stopping, ready):
        seen.append(settings.max_sessions)

    assert run(bridge, "--max-sessions", "3") == 0
    assert seen == [3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_bridge_in_order(process, number):
    """The bridge is asked to stop, finishes by itself, and the exit status is 0."""
    program = process(stderr=subprocess.PIPE)
    program.send_signal(number)

    _, err = program.communicate(timeout=60)

    assert program.returncode == 0
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert events == ["ready", "stopping"]


def test_an_echo_of_the_signal_changes_nothing(process):
    """`timeout` and some shells send a signal twice at once; that must not cut the bridge short."""
    program = process("stubborn")
    program.send_signal(signal.SIGTERM)
    program.send_signal(signal.SIGINT)
    assert program.stdout.readline() == "stopping\n"

    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(timeout=0.3)


@pytest.mark.parametrize("manner", ["stubborn", "stuck"])
def test_a_second_signal_is_fast(process, manner):
    """Whatever the bridge is doing, it is gone within seconds."""
    program = process(manner)
    program.send_signal(signal.SIGTERM)
    assert program.stdout.readline() == "stopping\n"

    def is_gone_after_another():
        program.send_signal(signal.SIGINT)
        return program.poll() is not None

    until_true(is_gone_after_another)
    assert program.returncode != 0


def test_a_terminal_shows_what_to_open():
    """Who starts a bridge by hand sees the address of the pages, of /metrics, and for training."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=theirs, stderr=subprocess.DEVNULL
    )
    os.close(theirs)
    try:
        shown = ""
        while not shown.rstrip().endswith("ready"):
            shown += os.read(ours, 4096).decode()
    finally:
        program.kill()
        program.wait()
        os.close(ours)

    assert "http://127.0.0.1:2/metrics" in shown
    assert "127.0.0.1:1" in shown
    assert "Ctrl-C" in shown


def test_the_bridge_runs_on_an_event_loop():
    """The runner gives a running loop, uvloop's where it is installed."""
    seen = []

    async def bridge(settings, stopping, ready):
        seen.append(type(asyncio.get_running_loop()).__module__)

    run(bridge)
    assert seen in (["uvloop"], ["asyncio.unix_events"])


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """Return what a bridge with a new folder prints when it is ready."""
    optional = (*extras.libraries_of(extras.DEMO), *PARTS)
    done = subprocess.run(
        [sys.executable, "-c", READY, *optional],
        env={**os.environ, **ADDRESSES, "TRAINBRIDGE_STATE": str(tmp_path_factory.mktemp("state"))},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_start_waits_for_no_library_that_a_folder_can_do_without(ready):
    """PostgreSQL, migrations, S3, OTLP, issuers of tokens and pictures of pages are imported where they are used."""
    assert set(ready[1].split()) == {
        *("aiohttp", "grpc_health", "grpc_reflection", "jinja2", "msgpack", "prometheus_client"),
        *("pydantic", "pydantic_settings", "sqlalchemy", "yaml"),
    }


def test_collections_do_not_look_through_the_program(ready):
    """They run again once it is imported, and leave it out: the event loop would stand still for each of them."""
    assert ready[0] == "True True"
