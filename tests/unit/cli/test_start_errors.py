"""What keeps a bridge from starting is logged in the format of the log, with the way out, and has an exit status."""

import argparse
import json
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from bridge import cli
from bridge.cli.serving import serve
from bridge.storage.folder import state_folder

pytestmark = pytest.mark.usefixtures("kept_logging")


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """Leave the variables that are set here."""
    for name in ("TRAINBRIDGE_LOG_FORMAT", "TRAINBRIDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def invalid_setting(_folder):
    """A value that nothing can be."""
    yield ["--max-sessions", "many"]


@contextmanager
def contradiction(_folder):
    """Two settings that do not go together."""
    yield ["--session-lost-seconds", "1"]


@contextmanager
def broken_yaml(folder):
    """A file that is not YAML."""
    (folder / "bridge.yaml").write_text("log_level: [info")
    yield ["--config", str(folder / "bridge.yaml")]


@contextmanager
def no_mapping(folder):
    """A file that holds something else."""
    (folder / "bridge.yaml").write_text("- a")
    yield ["--config", str(folder / "bridge.yaml")]


@contextmanager
def unknown_key(folder):
    """A file with a typing mistake."""
    (folder / "bridge.yaml").write_text("log_levle: info")
    yield ["--config", str(folder / "bridge.yaml")]


@contextmanager
def unreadable_file(folder):
    """A folder where a file should be."""
    yield ["--config", str(folder)]


@contextmanager
def http_port_taken(_folder):
    """Another program on the port of the pages."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield ["--http-address", f"127.0.0.1:{other.getsockname()[1]}"]


@contextmanager
def grpc_port_taken(_folder):
    """Another program on the port for training."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield ["--grpc-address", f"127.0.0.1:{other.getsockname()[1]}"]


@contextmanager
def folder_in_use(folder):
    """Another bridge on the same folder."""
    with state_folder(folder / "state"):
        yield ["--state", str(folder / "state")]


@contextmanager
def folder_without_permission(_folder):
    """A folder in which nobody can create anything."""
    yield ["--state", "/proc/trainbridge"]


@contextmanager
def no_certificate(folder):
    """Files that hold something else."""
    for name in ("cert", "key"):
        (folder / name).write_text("nothing")
    yield ["--tls-cert-file", str(folder / "cert"), "--tls-key-file", str(folder / "key")]


@contextmanager
def no_database(folder):
    """A file that SQLite did not write."""
    (folder / "state").mkdir()
    (folder / "state" / "trainbridge.db").write_bytes(b"something else" * 1000)
    yield ["--state", str(folder / "state")]


@contextmanager
def ports_file_is_folder(folder):
    """A folder where the file with the ports should be."""
    (folder / "ports").mkdir()
    yield ["--ports-file", str(folder / "ports")]


FAULTS = (
    (invalid_setting, 2, "max_sessions is 'many' (from flag --max-sessions): give a whole number"),
    (contradiction, 2, "session_lost_seconds is '1'"),
    (broken_yaml, 2, "bridge.yaml, which is not valid YAML: line 1: "),
    (no_mapping, 2, "give lines like `log_level: info`"),
    (unknown_key, 2, "did you mean log_level?"),
    (unreadable_file, 2, "which cannot be read: Is a directory: give the name of a text file"),
    (http_port_taken, 1, "set http_address (--http-address) to another port"),
    (grpc_port_taken, 1, "set grpc_address (--grpc-address) to another port"),
    (folder_in_use, 1, "in use by another bridge: stop that one, or set state (--state)"),
    (folder_without_permission, 1, "or set state (--state) to another folder"),
    (no_certificate, 1, "set tls_cert_file and tls_key_file to two that belong together"),
    (no_database, 1, "trainbridge.db"),
    (ports_file_is_folder, 1, "/ports cannot be written: Is a directory; give a file"),
)


def start(folder, *flags):
    """Start a bridge that will not come up, and return its exit status."""
    return cli.main(
        ["serve", "--state", str(folder / "state"), "--grpc-address", "127.0.0.1:0",
         "--http-address", "127.0.0.1:0", *flags]
    )  # fmt: skip  # flags beside their values


@pytest.mark.parametrize("format", ["json", "text"])
@pytest.mark.parametrize(("fault", "status", "words"), FAULTS)
def test_a_fault_of_the_start_is_logged_in_the_chosen_format(
    tmp_path, capsys, fault, status, words, format
):
    """The cause and the way out in one line, without a traceback."""
    with fault(tmp_path) as flags:
        assert start(tmp_path, *flags, "--log-format", format) == status
    lines = capsys.readouterr().err.splitlines()

    assert "Traceback" not in "".join(lines)
    if format == "json":
        events = [json.loads(line) for line in lines]
        assert events[-1]["level"] == "error"
        assert words in events[-1]["error"]
    else:
        assert words in lines[-1]
        assert not lines[-1].startswith("{")


@pytest.mark.parametrize("where", ["variable", "file", "both"])
def test_the_format_may_be_chosen_anywhere(tmp_path, capsys, monkeypatch, where):
    """Also in a file of which another line is wrong."""
    file = tmp_path / "bridge.yaml"
    file.write_text("log_format: text\nmax_sessions: many\n" if where != "variable" else "x: 1\n")
    if where != "file":
        monkeypatch.setenv("TRAINBRIDGE_LOG_FORMAT", "text" if where == "variable" else "json")

    assert start(tmp_path, "--config", str(file)) == 2
    is_json = capsys.readouterr().err.startswith("{")
    assert is_json is (where == "both")


def test_every_invalid_setting_is_a_line(tmp_path, capsys):
    """Whoever mends one sees the others at once."""
    assert start(tmp_path, "--max-sessions", "x", "--max-streams", "x", "--log-format", "json") == 2
    found = [json.loads(line)["error"] for line in capsys.readouterr().err.splitlines()]

    assert [text.partition(" ")[0] for text in found] == ["max_sessions", "max_streams"]


def test_a_fault_of_our_own_is_one_line_of_the_log_too(capsys):
    """Whoever reads the log line by line gets the traceback in a field."""

    async def bridge(_settings, _stopping, _ready):
        raise KeyError("x")

    assert serve(argparse.Namespace(log_format="json"), bridge) == 1
    [line] = map(json.loads, capsys.readouterr().err.splitlines())
    assert "please report it" in line["event"]
    assert "KeyError" in line["exception"]


PROGRAM = """
import argparse, sys, threading, time
from bridge.cli.serving import serve

class Bound:
    grpc, http = "127.0.0.1:1", "127.0.0.1:2"

async def bridge(settings, stopping, ready):
    threading.Thread(target=time.sleep, args=(60,)).start()
    ready(Bound)
    print("ready", flush=True)
    await stopping.wait()

sys.exit(serve(argparse.Namespace(shutdown_grace_seconds="0.1"), bridge))
"""


def test_a_thread_that_hangs_does_not_outlive_the_grace():
    """Python waits for threads at its end: the deadline of the stop holds for that too."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout.readline() == "ready\n"
        program.terminate()
        _, err = program.communicate(timeout=60)

    assert program.returncode == 1
    assert "took longer than shutdown_grace_seconds" in err
