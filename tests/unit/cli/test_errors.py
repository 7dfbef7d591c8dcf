"""Whatever is wrong with the words, the address or the machine: one sentence, and what to do next."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from support.answers import answering

from bridge import cli
from bridge.cli.parsing import Parser

HTML = b"<html><h1>It works!</h1></html>"


def outcome(capsys, *words):
    """Run a command in this process; return its exit status and what it says."""
    try:
        status = cli.main(words)
    except SystemExit as leaving:
        status = leaving.code
    return status, capsys.readouterr().err


@pytest.fixture
def gibberish():
    """A server that answers in a protocol of its own, as a gRPC server does to HTTP/1; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0@\0")

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["session"], "unknown command 'session': did you mean `trainbridge sessions`?"),
        (["xyz"], "unknown command 'xyz': there are demo, serve, "),
        (["--verbose"], "unrecognized arguments: --verbose"),
        (["command"], "the following arguments are required: TYPE, SESSION"),
        (["command", "explode", "s"], "invalid value 'explode': give one of pause, resume, stop"),
        (["command", "paus", "s"], "invalid value 'paus': did you mean pause?"),
        (["sync", "d", "--adress", "h:1"], "unrecognized arguments: --adress h:1; did you mean --address?"),
        (["command", "stop", "s", "--set", "x"], "invalid value 'x': give NAME=VALUE"),
        (["command", "stop", "s", "--timeout", "soon"], "invalid value 'soon': give a number above 0"),
        (["sessions", "--limit", "0"], "invalid value '0': give a whole number, at least 1"),
        (["sessions", "list"], "'list' means nothing here: leave it out, or give show, compare, watch or delete; an option before"),
        (["sessions", "--querry", "x"], "'x' means nothing here: leave it out, or give show, compare, watch or delete; an option before"),
        (["sessions", "--url", "localhost:8080"], "did you mean http://localhost:8080?"),
        (["sessions", "--url", "ftp://h"], "invalid value 'ftp://h': give a URL such as"),
        (["sessions", "--url", "http://h:99999"], "invalid value 'http://h:99999': give a URL such as"),
        (["sessions", "--url", ""], "invalid value '': give a URL such as"),
        (["demo", "--epochs", "x"], "invalid value 'x': give a whole number, at least 1"),
        (["demo", "--http-address", "8080"], "give host:port, such as 127.0.0.1:8080"),
        (["demo", "--http-address", ":8081"], "give host:port, such as 127.0.0.1:8081"),
        (["demo", "--grpc-address", "localhost"], "give host:port, such as 127.0.0.1:50051"),
        (["sync"], "the following arguments are required: DIR"),
        (["sync", "x", "--patience", "long"], "invalid value 'long': give a number above 0"),
        (["canary", "--images", "17"], "invalid value '17': give a whole number from 0 to 16"),
    ],
)  # fmt: skip  # as a table
def test_misuse_is_one_sentence(capsys, words, expected):
    """The status is 2; what to give instead is in the sentence, and where to read on below it."""
    status, err = outcome(capsys, *words)

    assert status == 2
    assert expected in err
    assert err.splitlines()[-1].strip().startswith("see `trainbridge")


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
@pytest.mark.parametrize("text", ["", "x", "-1e999", "ß"])
def test_no_type_shows_its_name(capsys, command, text):
    """A value that an argument cannot take is refused with an example, never with the name of a function."""
    parser = Parser("trainbridge x")
    command.arguments(parser)
    for action in parser._actions:
        if action.type in (None, str):
            continue
        try:
            parser._get_value(action, text)
        except argparse.ArgumentError as error:
            assert "give " in str(error), action  # noqa: PT017 -- most values are taken


@pytest.mark.parametrize("name", ["TRAINBRIDGE_URL", "TRAINBRIDGE_HTTP_ADDRESS"])
def test_an_invalid_variable_is_named(capsys, monkeypatch, name):
    """What nobody typed on this line says where it comes from; the help still works."""
    monkeypatch.delenv("TRAINBRIDGE_URL", raising=False)
    monkeypatch.setenv(name, "there")

    status, err = outcome(capsys, "sessions")
    assert status == 2
    assert err.startswith(f"trainbridge: {name}: invalid value 'there': give ")
    assert outcome(capsys, "sessions", "--help") == (0, "")


@pytest.mark.parametrize("words", [["sessions"], ["command", "stop", "s"], ["healthcheck"]])
def test_who_does_not_answer_as_a_bridge_is_named(capsys, gibberish, words):
    """Nothing there, a gRPC port, TLS to a plain server, another program: one line with the address, status 1."""
    with answering(200, HTML, "text/html") as html:
        for url in (
            "http://127.0.0.1:9",
            f"http://127.0.0.1:{gibberish}",
            f"https://127.0.0.1:{gibberish}",
            html.replace("http:", "https:"),
            *([html] if words == ["sessions"] else []),
            "http://name.invalid",
        ):
            status, err = outcome(capsys, *words, "--url", url)

            assert (status, err.count("\n")) == (1, 1), err
            assert err.startswith("trainbridge: ")
            assert url in err


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_proxy_that_wants_credentials_is_named(capsys, status):
    """It says no more than its status; a bridge says what it wants."""
    with answering(status, b"<html>login</html>", "text/html") as url:
        code, err = outcome(capsys, "sessions", "--url", url)

    assert code == 1
    assert f"the bridge answered {status}" in err
    assert "a proxy in front of the bridge that wants to know who asks" in err


def test_a_file_that_cannot_be_written_is_named(capsys, tmp_path, monkeypatch):
    """Nobody sees the name of the temporary file beside it."""
    ports = tmp_path / "missing" / "ports.json"
    monkeypatch.setattr("bridge.logs.configure", lambda: None)
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        status, err = outcome(
            capsys, "canary", "--listen", "127.0.0.1:0", "--ports-file", str(ports)
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert status == 2
    assert err.startswith(f"trainbridge: --ports-file: {ports} cannot be written: No such file")


@pytest.mark.parametrize(
    ("redirection", "status"), [(">/dev/full", 1), (">&-", 0), (">&- 2>&-", 0)]
)
def test_output_that_goes_nowhere_is_not_a_traceback(redirection, status):
    """A full disk is said; a closed output is how the caller wants it."""
    command = f"{sys.executable} -m bridge --help {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.returncode == status
    assert ("No space left on device" in done.stderr) == (status == 1)


def test_ctrl_c_ends_a_command_that_waits(tmp_path):
    """Silently, with the status that shells expect, also while it waits for an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        program = subprocess.Popen(
            [sys.executable, "-m", "bridge", "sessions", "--url", url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"NO_COLOR": "1"},
        )
        connection, _ = listener.accept()
        with connection:
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=60)

    assert (program.returncode, out, err) == (130, b"", b"")
