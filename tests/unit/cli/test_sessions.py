"""`trainbridge sessions`, against a bridge's real HTTP server."""

import json

import pytest
from support.pages import running

from bridge import cli
from bridge.cli import session_screen
from bridge.lifecycle import Absent, Disconnected, Ended
from bridge.model import Batch, Stage, Status, StatusChange


def listed(capsys, *words):
    """Return the rows of the table, split at spaces, without the header."""
    assert cli.main(["sessions", *words]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()[1:]]


def test_sessions_are_a_table(bridge, capsys):
    """One line each: what runs, how far it is, how well it does, and when it was last heard of."""
    resnet = running(bridge.deps, "resnet-1", batches=0, total_epochs=10)
    resnet.apply(Batch(3, 17, 0.123456), resnet.registered_at)
    resnet.apply(StatusChange(Status.RUNNING), resnet.registered_at)
    bert = running(bridge.deps, "bert", batches=0, total_epochs=0)
    bert.apply(Batch(0, 0, float("nan")), bert.registered_at)
    bert.apply(Ended(Stage.LOST), bert.registered_at)
    bridge.deps.sessions.register("new", resnet.client, resnet.config)

    assert cli.main(["sessions"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines]
    assert " ".join(header.split()) == (
        "SESSION STATE CONNECTED ATTEMPT EPOCH BATCH STEP LOSS LAST MESSAGE"
    )
    assert sorted(row[:8] for row in rows) == [
        ["bert", "lost", "no", "1", "0", "0", "-", "NaN"],
        ["new", "registered", "no", "1", "-", "-", "-", "-"],
        ["resnet-1", "running", "yes", "1", "3/10", "17", "-", "0.1235"],
    ]
    assert all(row[-1] == "ago" for row in rows)


def test_a_disconnected_run_is_not_called_running(bridge, capsys):
    """What it reported last may have been true long ago: it is disconnected, and since when is beside it."""
    session = running(bridge.deps, "quiet", batches=0)
    session.apply(StatusChange(Status.RUNNING), session.registered_at)
    session.apply(Batch(0, 0, 0.5), session.registered_at)
    session.apply(Disconnected(), session.registered_at)
    session.apply(Absent(), session.registered_at)

    ((_, state, connected, *_),) = listed(capsys)
    assert (state, connected) == ("disconnected", "no")


def test_a_run_that_came_back_is_in_a_later_attempt(bridge, capsys):
    """The table says which, and the JSON as well."""
    session = running(bridge.deps, "again", batches=0)
    session.attempt = 3

    assert [row[3] for row in listed(capsys)] == ["3"]
    assert cli.main(["sessions", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sessions"][0]["attempt"] == 3


def test_all_sessions_are_listed(bridge, capsys):
    """Also where the API returns them on several pages."""
    names = {f"run-{number}" for number in range(101)}
    for name in names:
        running(bridge.deps, name, batches=0)

    assert {row[0] for row in listed(capsys)} == names


def test_a_limit_says_that_there_are_more(bridge, capsys):
    """Nobody takes the first few for all; where the limit takes all, nothing is said."""
    for number in range(3):
        running(bridge.deps, f"run-{number}", batches=0)

    assert cli.main(["sessions", "--limit", "2"]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 3
    assert captured.err == "2 of more sessions; without --limit all are listed\n"
    assert cli.main(["sessions", "--limit", "3"]) == 0
    assert capsys.readouterr().err == ""


def test_sessions_can_be_chosen(bridge, capsys):
    """By state and by words, as on the page that lists them."""
    running(bridge.deps, "resnet-1", batches=1)
    over = running(bridge.deps, "bert-1", batches=1)
    over.apply(Ended(Stage.LOST), over.registered_at)

    assert [row[0] for row in listed(capsys, "--status", "lost")] == ["bert-1"]
    assert [row[0] for row in listed(capsys, "--query", "RESNET-")] == ["resnet-1"]
    assert listed(capsys, "--status", "lost", "--query", "resnet-") == []
    assert [row[0] for row in listed(capsys, "--sort", "name")] == ["bert-1", "resnet-1"]


def test_a_search_that_the_bridge_does_not_know_is_refused(bridge, capsys):
    """In the bridge's words, which list what it knows."""
    assert cli.main(["sessions", "--status", "sleeping"]) == 1
    assert "status" in capsys.readouterr().err
    assert cli.main(["sessions", "--sort", "colour"]) == 1
    assert "sort" in capsys.readouterr().err


def test_no_session_is_said_so(bridge, capsys):
    """An empty table would look like a mistake; where a filter is the reason, it is named."""
    assert cli.main(["sessions"]) == 0
    assert capsys.readouterr().out == f"No sessions on the bridge at {bridge.url}.\n"
    assert cli.main(["sessions", "--query", "x"]) == 0
    assert "`trainbridge sessions` alone lists all" in capsys.readouterr().out


def test_sessions_are_given_to_scripts_as_json(bridge, capsys):
    """With --json everything in the API's answer is there, for all sessions or as many as the limit."""
    running(bridge.deps, "resnet-1", total_epochs=10)
    for number in range(100):
        running(bridge.deps, f"run-{number}", batches=0)

    assert cli.main(["sessions", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    (session,) = [one for one in answer["sessions"] if one["session_id"] == "resnet-1"]
    assert (session["total_epochs"], session["loss"]) == (10, 0.5)
    assert len(answer["sessions"]) == 101
    assert answer["more"] is False
    assert cli.main(["sessions", "--json", "--limit", "1"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (len(answer["sessions"]), answer["more"]) == (1, True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s ago"),
        (59.9, "59 s ago"),
        (3599, "59 min ago"),
        (7200, "2 h ago"),
        (2e5, "2 d ago"),
    ],
)
def test_an_age_has_one_unit(seconds, text):
    """A clock that is ahead makes nothing negative."""
    assert session_screen.age(seconds) == text
