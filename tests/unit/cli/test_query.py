"""Commands that ask a running bridge, against a real HTTP server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bridge import cli
from bridge.model import CommandType

SESSIONS = {
    "sessions": [
        {"session_id": "resnet-1", "status": "running", "phase": "live", "connected": True,
         "epoch": 3, "epochs_planned": 10, "batch": 17, "loss": 0.123456},
        {"session_id": "bert", "status": "running", "phase": "lost", "connected": False,
         "epoch": 0, "epochs_planned": 0, "batch": 0, "loss": "NaN"},
    ]
}  # fmt: skip


class Bridge:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        bridge = self

        class Door(BaseHTTPRequestHandler):
            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                bridge.asked.append((self.command, self.path, json.loads(body or "null")))
                status, content = bridge.answers.get(self.path, (404, "nothing here"))
                text = (content if isinstance(content, str) else json.dumps(content)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET  # noqa: N815 -- the name is the server's

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def bridge(monkeypatch):
    """Serve at the address that the commands take from the environment."""
    bridge = Bridge()
    thread = threading.Thread(target=bridge.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("TRAINBRIDGE_URL", bridge.url)
    yield bridge
    bridge.server.shutdown()
    thread.join()
    bridge.server.server_close()


def test_sessions_are_a_table(bridge, capsys):
    """One line each: what runs, how far it is, how well it does; a lost one shows as lost."""
    bridge.answers["/api/v1/sessions"] = (200, SESSIONS)

    assert cli.main(["sessions"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["SESSION", "STATUS", "CONNECTED", "EPOCH", "BATCH", "LOSS"],
        ["resnet-1", "running", "yes", "3/10", "17", "0.1235"],
        ["bert", "lost", "no", "0", "0", "NaN"],
    ]


def test_no_session_is_said_so(bridge, capsys):
    """An empty table would look like a mistake."""
    bridge.answers["/api/v1/sessions"] = (200, {"sessions": []})

    assert cli.main(["sessions"]) == 0
    assert capsys.readouterr().out == "No training session is known to this bridge.\n"


def test_sessions_are_given_to_scripts_as_json(bridge, capsys):
    """With --json everything the API tells is there."""
    bridge.answers["/api/v1/sessions"] = (200, SESSIONS)

    assert cli.main(["sessions", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == SESSIONS


@pytest.mark.parametrize(
    ("word", "type"),
    [("pause", "PAUSE_TRAINING"), ("change-learning-rate", "CHANGE_LEARNING_RATE")],
)
def test_an_order_is_posted(bridge, capsys, word, type):
    """The order goes out with the protocol's name and its parameters; the answer says where to watch."""
    bridge.answers["/api/v1/sessions/resnet-1/commands"] = (202, {"state": "queued"})

    assert (
        cli.main(["command", word, "resnet-1", "--set", "learning_rate=0.1", "--set", "x=a=b"]) == 0
    )
    assert bridge.asked == [
        ("POST", "/api/v1/sessions/resnet-1/commands", {"type": type, "parameters": {"learning_rate": "0.1", "x": "a=b"}})
    ]  # fmt: skip
    assert f"{bridge.url}/sessions/resnet-1" in capsys.readouterr().out


def test_every_order_of_the_protocol_has_a_word():
    """No command can be given over HTTP only."""
    assert set(cli.query.ORDERS.values()) == set(CommandType)


def test_a_refusal_is_told_in_the_words_of_the_bridge(bridge, capsys):
    """The detail of the problem JSON is the sentence shown; the exit status is 1."""
    problem = {"title": "Conflict", "detail": "this session is over"}
    bridge.answers["/api/v1/sessions/s/commands"] = (409, problem)

    assert cli.main(["command", "stop", "s"]) == 1
    assert capsys.readouterr().err == "trainbridge: the bridge answered 409: this session is over\n"


def test_a_session_id_cannot_leave_its_place(bridge, capsys):
    """Whatever is typed as a session stays one segment of the path."""
    assert cli.main(["command", "stop", "../../metrics?x"]) == 1
    assert bridge.asked[0][1] == "/api/v1/sessions/..%2F..%2Fmetrics%3Fx/commands"
    assert "404" in capsys.readouterr().err


def test_the_healthcheck_asks_for_readiness(bridge, capsys):
    """0: ready; 1: not, with the failing check; so it fits a container's HEALTHCHECK."""
    bridge.answers["/readyz"] = (200, "ok\n")
    assert cli.main(["healthcheck"]) == 0

    bridge.answers["/readyz"] = (503, "stopping: it is stopping\n")
    assert cli.main(["healthcheck"]) == 1
    assert "stopping: it is stopping" in capsys.readouterr().err


def test_who_is_not_there_is_named(capsys):
    """A wrong address is told with the address, not with a traceback."""
    assert cli.main(["sessions", "--url", "http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.startswith(
        "trainbridge: no bridge answers at http://127.0.0.1:9: "
    )


@pytest.mark.parametrize("answer", ["<html>", "[]", "null"])
def test_another_program_at_the_address_is_recognized(bridge, capsys, answer):
    """What answers without being a bridge is called that."""
    bridge.answers["/api/v1/sessions"] = (200, answer)

    assert cli.main(["sessions"]) == 1
    assert "is no bridge" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["sessions", "--url", "localhost:8080"], ["command", "explode", "s"], ["command", "stop"], ["command", "stop", "s", "--set", "x"]],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_at_once(capsys, words):
    """Misuse exits with 2 before anything is sent."""
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2


def test_the_address_is_where_a_bridge_of_this_environment_is(monkeypatch):
    """In a bridge's own container its commands need no --url, even when it listens everywhere."""
    monkeypatch.delenv("TRAINBRIDGE_URL", raising=False)
    monkeypatch.setenv("TRAINBRIDGE_HTTP_ADDRESS", "0.0.0.0:9")

    assert cli.query._default_url() == "http://localhost:9"
