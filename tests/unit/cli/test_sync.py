"""`trainbridge sync`: its arguments, and its output."""

import json
import os
import pty
import socket
import subprocess
import sys

import pytest
from support.fake_bridge import FakeBridge, serving
from support.spools import leave, outgoing_message

from bridge import cli
from bridge.client import sync
from bridge.client.delivery.message import Priority
from bridge.client.spool.folder import Folder


@pytest.fixture
def bridge():
    """Return a bridge that behaves."""
    with serving(FakeBridge()) as one:
        yield one


@pytest.fixture
def spool(tmp_path):
    """Return the spool of two sessions."""
    for name, instance in (("one", "1" * 32), ("two", "2" * 32)):
        messages = [*map(outgoing_message, range(1, 100)), outgoing_message(100, Priority.FINAL)]
        leave(tmp_path, messages, session_id=name, instance_id=instance)
    return tmp_path


class Bridges(FakeBridge):
    """Serves several sessions, one after the other."""

    def RegisterTrainingSession(self, request, context):  # noqa: N802 -- the protocol's name
        """Start anew."""
        self.accepted = 0
        return super().RegisterTrainingSession(request, context)


def test_every_session_is_delivered_and_reported(spool, capsys):
    """One line each; the second time there is nothing left, which is not a failure."""
    with serving(Bridges()) as bridge:
        assert cli.main(["sync", str(spool), "--address", bridge.address]) == 0
        said = capsys.readouterr().out
        assert cli.main(["sync", str(spool), "--address", bridge.address]) == 0

    assert said == "one-11111111: 100 messages delivered\ntwo-22222222: 100 messages delivered\n"
    assert capsys.readouterr().out == f"{spool}: nothing is left to deliver\n"
    assert [who.session_id for who in bridge.registrations] == ["one", "two"]


def test_the_outcome_is_given_to_scripts_as_json(spool, capsys):
    """One object a line; where nothing is left there is none."""
    with serving(Bridges()) as bridge:
        assert cli.main(["sync", str(spool), "--json", "--address", bridge.address]) == 0
        said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert cli.main(["sync", str(spool), "--json", "--address", bridge.address]) == 0

    assert [(one["session_id"], one["delivered"], one["is_whole"]) for one in said] == [
        ("one", 100, True),
        ("two", 100, True),
    ]
    assert capsys.readouterr().out == ""


def test_one_session_alone_may_be_delivered(spool, capsys):
    """Its own folder is named then."""
    with serving(Bridges()) as bridge:
        assert cli.main(["sync", str(spool / "two-22222222"), "--address", bridge.address]) == 0

    assert [path.name for path in spool.iterdir()] == ["one-11111111"]


def test_address_and_token_come_from_the_environment(spool, monkeypatch):
    """As for a training session; the token is not kept in the spool."""
    with serving(Bridges()) as bridge:
        monkeypatch.setenv("TRAINBRIDGE_ADDRESS", bridge.address)
        monkeypatch.setenv("TRAINBRIDGE_TOKEN", "secret")
        assert cli.main(["sync", str(spool)]) == 0

    assert bridge.metadata[0]["authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "is not a spool: No such file"),
        (lambda path: path.touch(), "is not a spool: Not a directory"),
        (lambda path: (path / "photos").mkdir(parents=True), "is not a spool: no session has left"),
    ],
    ids=["nothing", "a file", "another folder"],
)
def test_what_is_not_a_spool_is_an_error(tmp_path, capsys, make, said):
    """A mistyped folder must not look like success."""
    make(tmp_path / "x")

    assert cli.main(["sync", str(tmp_path / "x")]) == 1
    assert said in capsys.readouterr().err


def test_a_session_in_use_is_named_and_skipped(spool, bridge, capsys):
    """The others are delivered; the exit status says that not all is."""
    living = Folder.claim(spool / "one-11111111")
    assert cli.main(["sync", str(spool), "--address", bridge.address]) == 1
    living.release()

    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("one-11111111: skipped: its training process is still alive")
    assert said[1] == "two-22222222: 100 messages delivered"


def test_a_refusal_says_what_to_do(spool, bridge, capsys):
    """The bridge's own words, where it stays, and what may be the matter."""
    bridge.refuse_registration = "this session is being sent by another training process"
    assert cli.main(["sync", str(spool), "--address", bridge.address]) == 1

    said = capsys.readouterr().out
    assert "refuses it: this session is being sent by another training process" in said
    assert f"It stays in {spool / 'one-11111111'}." in said
    assert "wait for its end" in said


def test_a_damaged_spool_is_delivered_once_and_kept(spool, capsys):
    """What is missing is said, and where the rest is; the exit status is 1, and 0 when nothing is left."""
    file = next((spool / "one-11111111").glob("*.spool"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with serving(Bridges()) as bridge:
        assert cli.main(["sync", str(spool), "--address", bridge.address]) == 1
        said = capsys.readouterr().out
        assert cli.main(["sync", str(spool), "--address", bridge.address]) == 0
        again = capsys.readouterr().out
        assert len(bridge.registrations) == 2
        kept = spool / "one-11111111.damaged"
        assert cli.main(["sync", str(kept), "--address", bridge.address]) == 1

    assert said == (
        "one-11111111: 99 messages delivered, 1 lost: damaged, missing, or too large for the bridge\n"
        f"  What was left is kept in {kept}\n"
        "two-22222222: 100 messages delivered\n"
    )
    assert again == (
        "one-11111111.damaged: has been delivered; kept because some of it is damaged\n"
        f"{spool}: nothing is left to deliver\n"
    )
    assert "has been delivered" in capsys.readouterr().err
    assert list(kept.glob("*.spool"))


@pytest.mark.parametrize("is_cut", [True, False], ids=["cut", "removed"])
def test_what_nobody_can_count_is_said_to_be_at_least_so_many(spool, bridge, capsys, is_cut):
    """A file that is cut off, or gone altogether, is not a success, and is kept."""
    file = next((spool / "one-11111111").glob("*.spool"))
    if is_cut:
        os.truncate(file, file.stat().st_size * 2 // 3)
    else:
        file.unlink()

    assert cli.main(["sync", str(spool), "--address", bridge.address]) == 1

    said = capsys.readouterr().out.splitlines()
    assert ", at least 1 lost: damaged, missing, or too large for the bridge" in said[0]
    assert said[1] == f"  What was left is kept in {spool / 'one-11111111.damaged'}"


def test_a_folder_that_nobody_can_assign_costs_no_other(spool, capsys):
    """It is named and left, and the exit status says so."""
    (spool / "one-11111111" / "session.json").unlink()
    with serving(Bridges()) as bridge:
        assert cli.main(["sync", str(spool), "--address", bridge.address]) == 1

    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("one-11111111: not delivered: there is no session.json")
    assert said[1] == f"  It stays in {spool / 'one-11111111'}."
    assert said[2] == "two-22222222: 100 messages delivered"


def test_attempts_are_delivered_in_the_order_they_began(tmp_path, capsys):
    """Whatever their folders are called: each of them comes after the one before."""
    for instance, started_ms in (("1" * 32, 3_000), ("2" * 32, 1_000), ("3" * 32, 2_000)):
        leave(tmp_path, [outgoing_message(1)], instance_id=instance, started_ms=started_ms)
    with serving(Bridges()) as bridge:
        assert cli.main(["sync", str(tmp_path), "--address", bridge.address]) == 0

    assert [who.client_instance_id[0] for who in bridge.registrations] == ["2", "3", "1"]


def test_another_name_is_for_one_session(spool, capsys):
    """Two sessions under one name would be taken for one."""
    with serving(Bridges()) as bridge:
        assert cli.main(["sync", str(spool), "--address", bridge.address, "--as", "x"]) == 2
        assert "--as" in capsys.readouterr().err
        one = ["sync", str(spool / "one-11111111"), "--address", bridge.address]
        assert cli.main([*one, "--as", "a b"]) == 1
        assert "session_id must match" in capsys.readouterr().out
        assert cli.main([*one, "--as"]) == 0

    assert (
        capsys.readouterr().out
        == "one-11111111: 100 messages delivered as one-recovered-11111111\n"
    )
    assert [who.session_id for who in bridge.registrations] == ["one-recovered-11111111"]


def test_without_a_bridge_only_the_first_is_tried(spool, capsys, monkeypatch):
    """The others would fail for the same reason, each after as long a while; why is said at once."""
    monkeypatch.setattr(sync, "STALLED_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    assert cli.main(["sync", str(spool), "--address", address, "--patience", "0.3"]) == 1

    said = capsys.readouterr()
    assert f"no bridge at {address}: nothing listens there" in said.err
    assert (
        f"one-11111111: no connection to the bridge at {address} yet: nothing listens" in said.err
    )
    assert "trying until nothing has moved for 0.3 s (--patience)" in said.err
    assert "one more session has not been tried" in said.err
    assert "two" not in said.out
    assert len(list(spool.iterdir())) == 2


def test_an_address_that_is_none_is_a_misuse(spool, capsys):
    """Nothing is tried."""
    assert cli.main(["sync", str(spool), "--address", "ftp://x"]) == 2
    assert "address" in capsys.readouterr().err


def test_progress_is_shown_on_a_terminal(spool):
    """A bar that moves, and the same lines at the end."""
    ours, theirs = pty.openpty()
    with serving(Bridges()) as bridge:
        command = [sys.executable, "-m", "bridge", "sync", str(spool), "--address", bridge.address]
        ran = subprocess.run(command, stdout=theirs, timeout=60, check=False)
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 10_000)
        except OSError:
            break
    os.close(ours)

    assert ran.returncode == 0
    assert b"\rone-11111111: [" in said
    assert b"/100 messages" in said
    assert b"\rtwo-22222222: 100 messages delivered" in said
