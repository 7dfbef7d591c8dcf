"""Commands that query a running bridge, against its real HTTP server."""

import json

import pytest
from support.answers import answering
from support.pages import deps_in, running
from support.served_app import served_app

from bridge import cli
from bridge.model import Batch, Ended, Phase, Status, StatusChange
from bridge.protocol import CommandType


class Bridge:
    """What the server answers from, and where it is."""

    def __init__(self, deps, url):
        self.deps = deps
        self.url = url

    def commands(self, session_id):
        """Return what was submitted for a session."""
        return [(one.type, one.parameters) for one in self.deps.commands.of(session_id)]


@pytest.fixture
def bridge(tmp_path, monkeypatch):
    """Serve at the address that the commands take from the environment."""
    deps, shelf = deps_in(tmp_path)
    with served_app(deps) as url:
        monkeypatch.setenv("TRAINBRIDGE_URL", url)
        yield Bridge(deps, url)
    shelf.database.close()


def test_sessions_are_a_table(bridge, capsys):
    """One line each: what runs, how far it is, how well it does; a lost one shows as lost."""
    resnet = running(bridge.deps, "resnet-1", batches=0, total_epochs=10)
    resnet.apply(Batch(3, 17, 0.123456), resnet.registered_at)
    resnet.apply(StatusChange(Status.RUNNING), resnet.registered_at)
    bert = running(bridge.deps, "bert", batches=0, total_epochs=0)
    bert.apply(Batch(0, 0, float("nan")), bert.registered_at)
    bert.apply(Ended(Phase.LOST), bert.registered_at)
    bridge.deps.sessions.register("new", resnet.client, resnet.config)

    assert cli.main(["sessions"]) == 0
    header, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert header == ["SESSION", "STATUS", "CONNECTED", "EPOCH", "BATCH", "LOSS"]
    assert sorted(rows) == [
        ["bert", "lost", "no", "0", "0", "NaN"],
        ["new", "unknown", "no", "-", "-", "-"],
        ["resnet-1", "running", "yes", "3/10", "17", "0.1235"],
    ]


def test_all_sessions_are_listed(bridge, capsys):
    """Also where the API returns them on several pages."""
    names = {f"run-{number}" for number in range(101)}
    for name in names:
        running(bridge.deps, name, batches=0)

    assert cli.main(["sessions"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]} == names


def test_no_session_is_said_so(bridge, capsys):
    """An empty table would look like a mistake."""
    assert cli.main(["sessions"]) == 0
    assert capsys.readouterr().out == "No sessions on this bridge.\n"


def test_sessions_are_given_to_scripts_as_json(bridge, capsys):
    """With --json everything in the API's answer is there."""
    running(bridge.deps, "resnet-1", total_epochs=10)

    assert cli.main(["sessions", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    (session,) = answer["sessions"]
    assert (session["session_id"], session["total_epochs"], session["loss"]) == (
        "resnet-1",
        10,
        0.5,
    )
    assert answer["next"] is None


@pytest.mark.parametrize(
    ("word", "type", "parameters"),
    [
        ("pause", CommandType.PAUSE_TRAINING, {"x": "a=b"}),
        (
            "change-learning-rate",
            CommandType.CHANGE_LEARNING_RATE,
            {"learning_rate": "0.1", "x": "a=b"},
        ),
    ],
)
def test_a_command_is_submitted(bridge, capsys, word, type, parameters):
    """With the protocol's name and its parameters; the output says where to watch."""
    running(bridge.deps, "resnet-1")
    flags = [flag for pair in parameters.items() for flag in ("--set", "=".join(pair))]

    assert cli.main(["command", word, "resnet-1", *flags]) == 0
    assert bridge.commands("resnet-1") == [(type, parameters)]
    out = capsys.readouterr().out
    assert f"{word} queued for resnet-1" in out
    assert f"{bridge.url}/sessions/resnet-1" in out


def test_every_command_of_the_protocol_has_a_word():
    """No command can be given over HTTP only."""
    assert set(cli.query.COMMAND_TYPES.values()) == set(CommandType)


def test_a_refusal_is_repeated_in_the_words_of_the_bridge(bridge, capsys):
    """The detail of the problem JSON is the sentence shown; the exit status is 1."""
    session = running(bridge.deps, "s")
    session.apply(Ended(Phase.ENDED), session.registered_at)

    assert cli.main(["command", "stop", "s"]) == 1
    assert capsys.readouterr().err.startswith(
        "trainbridge: the bridge answered 409: this session is over"
    )


def test_a_session_id_cannot_leave_its_place(bridge, capsys):
    """Whatever is typed as a session stays one segment of the path."""
    assert cli.main(["command", "stop", "../../metrics?x"]) == 1
    assert "404: there is no session with this name" in capsys.readouterr().err


def test_the_healthcheck_asks_for_readiness(bridge, capsys):
    """0: ready; 1: not, with the failing check; so it fits a container's HEALTHCHECK."""
    assert cli.main(["healthcheck"]) == 0

    with answering(503, b"stopping: it is stopping\n", "text/plain") as url:
        assert cli.main(["healthcheck", "--url", url]) == 1
    assert "stopping: it is stopping" in capsys.readouterr().err


def test_who_is_not_there_is_named(capsys):
    """A wrong address comes back with the address, not with a traceback."""
    assert cli.main(["sessions", "--url", "http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.startswith("trainbridge: no bridge at http://127.0.0.1:9: ")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null"])
def test_another_program_at_the_address_is_recognized(capsys, body):
    """What answers without being a bridge is called that."""
    with answering(200, body) as url:
        assert cli.main(["sessions", "--url", url]) == 1
    assert "something else answers there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["sessions", "--url", "localhost:8080"],
        ["command", "explode", "s"],
        ["command", "stop"],
        ["command", "stop", "s", "--set", "x"],
    ],
)
def test_what_cannot_be_queried_is_refused_at_once(capsys, words):
    """Misuse exits with 2 before anything is sent."""
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2


def test_the_address_is_where_a_bridge_of_this_environment_is(monkeypatch):
    """In a bridge's own container its commands need no --url, even when it listens everywhere."""
    monkeypatch.delenv("TRAINBRIDGE_URL", raising=False)
    monkeypatch.setenv("TRAINBRIDGE_HTTP_ADDRESS", "0.0.0.0:9")

    assert cli.arguments.default_url() == "http://localhost:9"
