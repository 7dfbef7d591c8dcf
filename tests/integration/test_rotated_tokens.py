"""Tokens that are renewed, taken away and given back at both ends, while a run streams to a real bridge."""

import logging

import pytest
from support.access import Granted, write_tokens
from support.bridges import running_bridge
from support.waiting import until_true

from bridge.client import BridgeClient, TrainingSession
from bridge.client.query import ProblemError

OLD, NEW, LAST = (Granted(("ingest", "view"), prefix) for prefix in ("team.", "team.a", "team.a-"))
"""Three tokens, each of which may stream the session team.a-..."""

READER = Granted(("metrics", "view"))
STEADY = Granted(("ingest",), "steady.")
BATCHES = 20
CLOSE_SECONDS = 90
"""Only a test that fails takes so long."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with the tokens that the bridge knows."""
    folder = tmp_path_factory.mktemp("access")
    write_tokens(folder / "tokens.yaml", (OLD, READER, STEADY))
    return folder


@pytest.fixture(scope="module")
def bridge(place):
    """Run a bridge that asks for tokens."""
    with running_bridge(place / "state", "--tokens-file", str(place / "tokens.yaml")) as one:
        yield one


@pytest.fixture
def file(place):
    """Return the token that the trainer has, which is renewed by a symbolic link, as kubelets do it."""
    return Projected(place)


class Projected:
    """A token as Kubernetes projects it: one link leads to a folder, which is replaced at once."""

    def __init__(self, folder):
        self._folder = folder
        self._versions = 0
        self.path = folder / "token"
        self.renew(OLD)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to("..data/token")

    def renew(self, granted):
        """Replace it."""
        self._versions += 1
        version = self._folder / f"..{self._versions}"
        version.mkdir(exist_ok=True)
        (version / "token").write_text(granted.token)
        fresh = self._folder / "..fresh"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(version.name)
        fresh.replace(self._folder / "..data")


def admit(place, *granted):
    """Let the bridge know these tokens, and those that stay, from now on, which it notices within a second."""
    write_tokens(place / "tokens.yaml", (*granted, READER, STEADY))


def log(session, first, last):
    """Report some batches."""
    for batch in range(first, last):
        session.log_batch(0.5, epoch=0, batch=batch)


def delivered(session, batches):
    """Wait until the bridge has so many batches for good."""
    until_true(lambda: session.stats.batches_acknowledged == batches)


def complaints(caplog):
    """Return what was logged of a missing connection."""
    return [line for line in caplog.messages if line.startswith("no connection")]


def counted(bridge, session_id):
    """Return how many batches of a session the bridge has counted."""
    client = BridgeClient(f"http://{bridge.http}", token=READER.token)
    (line,) = [
        line
        for line in client.metrics().splitlines()
        if line.startswith("training_batches_total") and f'session_id="{session_id}"' in line
    ]
    return int(float(line.rpartition(" ")[2]))


def test_nothing_is_lost_while_tokens_change_at_both_ends(place, bridge, file, caplog):
    """Renewed in time, nobody notices; taken away, it is one line, and the run goes on once there is another."""
    admit(place, OLD)
    with (
        caplog.at_level(logging.INFO, "trainbridge"),
        TrainingSession(
            bridge.grpc, session_id="team.a-run", token_file=file.path, close_seconds=CLOSE_SECONDS
        ) as session,
    ):
        log(session, 0, BATCHES)
        delivered(session, BATCHES)
        file.renew(NEW)
        admit(place, NEW)
        until_true(lambda: session.stats.connections == 2)
        log(session, BATCHES, 2 * BATCHES)
        delivered(session, 2 * BATCHES)
        assert not complaints(caplog)

        admit(place)
        until_true(lambda: session.stats.refusal)
        log(session, 2 * BATCHES, 3 * BATCHES)
        admit(place, LAST)
        file.renew(LAST)
        delivered(session, 3 * BATCHES)

    assert counted(bridge, "team.a-run") == 3 * BATCHES
    assert session.stats.unacknowledged == session.stats.dropped == 0
    lines = complaints(caplog)
    assert (
        1 <= len(lines) <= 2
    )  # a bridge looks at its file each second, and may be asked before that
    assert f"the token from the file {file.path} (token_file)" in lines[0]
    secrets = [granted.token for granted in (OLD, NEW, LAST, READER)]
    texts = [caplog.text, bridge.log.read_text()]
    texts += [path.read_bytes().decode(errors="replace") for path in _files(place / "state")]
    assert not [secret for secret in secrets for text in texts if secret in text]


def test_a_reader_goes_on_with_a_renewed_token(place, bridge, file):
    """What it may not do or see is said in one sentence."""
    admit(place, OLD)
    with TrainingSession(
        bridge.grpc, session_id="team.a-read", token=OLD.token, close_seconds=CLOSE_SECONDS
    ) as session:
        log(session, 0, 1)
        delivered(session, 1)
    client = BridgeClient(f"http://{bridge.http}", token_file=file.path)
    until_true(lambda: _status(client) == 200)
    assert client.session("team.a-read").batches == 1

    file.renew(NEW)
    admit(place, NEW)

    def shows_new():
        client.session("team.a-read")
        return client._server.token.value == NEW.token

    until_true(shows_new)
    with pytest.raises(ProblemError, match="a token sees the sessions that it is for") as missing:
        client.session("team.b-run")
    with pytest.raises(ProblemError, match="that is the token from the file") as forbidden:
        client.submit_command("team.a-read", "STOP")
    admit(place)
    until_true(lambda: _status(client) == 401)

    assert (missing.value.status, forbidden.value.status) == (404, 403)


def test_a_name_outside_of_the_prefix_is_one_clear_line(bridge, monkeypatch, caplog):
    """And one that the SDK makes fits."""
    with caplog.at_level(logging.WARNING, "trainbridge"):
        session = TrainingSession(
            bridge.grpc, session_id="other", token=STEADY.token, close_seconds=0.1
        )
        until_true(lambda: session.stats.refusal)
        session.close()
    monkeypatch.setenv("TRAINBRIDGE_SESSION_PREFIX", STEADY.sessions)
    with TrainingSession(
        bridge.grpc, model="m", token=STEADY.token, close_seconds=CLOSE_SECONDS
    ) as own:
        log(own, 0, 1)

    (line,) = complaints(caplog)
    assert "it does not let the token from the argument token stream this session" in line
    assert "TRAINBRIDGE_SESSION_PREFIX" in line
    assert own.session_id.startswith("steady.m-")
    assert own.stats.batches_acknowledged == 1


def _status(client):
    try:
        client.session("team.a-read")
    except ProblemError as problem:
        return problem.status
    return 200


def _files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]
